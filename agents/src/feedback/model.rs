//! The policy network while it is fitted: free numbers with their Adam, and the plain weights they stand for.

use liprl_nets::{Buffer, Gradient, Weights, layers::LipschitzMlp, optim::OptimiserConfig};
use liprl_numerics::{Mlp, StateIo, StreamRng, kernels};
use tch::Tensor;

use crate::AgentError;

/// A network whose plain weights are free, or made from free numbers.
#[derive(Debug)]
pub(super) struct Model {
    mlp: Mlp,
    construction: Option<Construction>,
    /// The plain weights, `[len]`: the free numbers themselves without a parameterisation.
    plain: Buffer,
    pub(super) weights: Weights,
    /// ∂L/∂(plain weights), for the caller to fill.
    pub(super) gradient: Gradient,
    m: Vec<f32>,
    v: Vec<f32>,
    steps: u64,
    config: OptimiserConfig,
}

/// A parameterisation with its free numbers.
#[derive(Debug)]
struct Construction {
    layers: LipschitzMlp,
    /// The free numbers.
    raw: Buffer,
    /// Leaf and result of the graph from them to the plain weights.
    graph: (Tensor, Tensor),
}

impl Model {
    /// First weights from `rng`.
    pub(super) fn new(
        mlp: Mlp,
        layers: Option<LipschitzMlp>,
        config: OptimiserConfig,
        rng: &mut StreamRng,
    ) -> Result<Self, AgentError> {
        let mut plain = Buffer::zeros(&[mlp.len()])?;
        let construction = match layers {
            Some(layers) => {
                let mut raw = Buffer::zeros(&[layers.len()])?;
                layers.initialise(raw.slice_mut(), rng);
                let graph = graph(&layers, &raw)?;
                Some(Construction { layers, raw, graph })
            }
            None => {
                mlp.initialise(plain.slice_mut(), rng);
                None
            }
        };
        let free = construction.as_ref().map_or(mlp.len(), |construction| construction.layers.len());
        let mut model = Self {
            weights: Weights::new(&mlp, &plain, 0),
            gradient: Gradient::new(&[&mlp])?,
            m: vec![0.0; free],
            v: vec![0.0; free],
            steps: 0,
            config,
            plain,
            construction,
            mlp,
        };
        model.refresh()?;
        Ok(model)
    }

    /// The plain network.
    pub(super) fn mlp(&self) -> &Mlp {
        &self.mlp
    }

    /// Its weights.
    pub(super) fn params(&self) -> &[f32] {
        self.plain.slice()
    }

    /// Its weights as a tensor on the same memory.
    pub(super) fn tensor(&self) -> &Tensor {
        self.plain.tensor()
    }

    /// A constant proven from the parameterisation, in units of the network's inputs and outputs.
    pub(super) fn certified_by_construction(&self) -> Result<Option<f64>, AgentError> {
        Ok(self
            .construction
            .as_ref()
            .map(|construction| construction.layers.certified(construction.raw.tensor()))
            .transpose()?)
    }

    /// One step of Adam down `gradient`; returns its norm before clipping, in the free numbers.
    pub(super) fn step(&mut self) -> Result<f64, AgentError> {
        self.steps += 1;
        let Self { construction, plain, gradient, m, v, config, steps, .. } = self;
        let norm_of = |gradient: &[f32]| kernels::sum_of_squares(gradient).sqrt();
        let norm = match construction {
            None => {
                let norm = norm_of(gradient.slice());
                kernels::adam(plain.slice_mut(), m, v, gradient.slice(), config.step(*steps, norm));
                norm
            }
            Some(Construction { raw, graph: (leaf, flat), .. }) => {
                let outer = Tensor::f_from_slice(gradient.slice())?.f_to_kind(flat.kind())?;
                let along = flat.f_dot(&outer)?;
                let free = Tensor::f_run_backward(&[&along], &[&*leaf], false, false)?.swap_remove(0);
                let free = Vec::<f32>::try_from(&free)?;
                let norm = norm_of(&free);
                kernels::adam(raw.slice_mut(), m, v, &free, config.step(*steps, norm));
                norm
            }
        };
        self.refresh()?;
        Ok(norm)
    }

    /// Recomputes the plain weights from the free numbers.
    fn refresh(&mut self) -> Result<(), AgentError> {
        let Some(Construction { layers, raw, graph: kept }) = &mut self.construction else { return Ok(()) };
        *kept = graph(layers, raw)?;
        tch::no_grad(|| self.plain.tensor().shallow_clone().f_copy_(&kept.1))?;
        Ok(())
    }

    /// Everything that changes.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        let free = self.construction.as_mut().map_or(&mut self.plain, |construction| &mut construction.raw);
        free.state(io, "params")?;
        io.f32("adam/m", &mut self.m)?;
        io.f32("adam/v", &mut self.v)?;
        io.value("adam/steps", &mut self.steps)?;
        if io.loading() { self.refresh() } else { Ok(()) }
    }
}

/// The graph from a copy of the free numbers to the plain weights.
fn graph(layers: &LipschitzMlp, raw: &Buffer) -> Result<(Tensor, Tensor), AgentError> {
    tch::with_grad(|| {
        let leaf = Tensor::f_from_slice(raw.slice())?.set_requires_grad(true);
        let flat = layers.effective(&leaf)?.flat()?;
        Ok((leaf, flat))
    })
}
