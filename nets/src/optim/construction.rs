//! Free numbers in place of weights, for networks with a Lipschitz constant by construction
//! (`layers`).

use liprl_numerics::{Mlp, StreamRng};
use tch::{Device, Tensor};

use crate::{Buffer, LipschitzConfig, NetsError, layers::LipschitzMlp};

/// The free numbers of one or more networks, and the graph from them to the plain weights.
#[derive(Debug)]
pub(super) struct Construction {
    networks: Vec<LipschitzMlp>,
    free: Buffer,
    /// Leaf and result, both of all networks.
    graph: (Tensor, Tensor),
}

impl Construction {
    /// First numbers from `rng`.
    pub(super) fn new(networks: Vec<LipschitzMlp>, device: Device, rng: &mut StreamRng) -> Result<Self, NetsError> {
        let mut first = vec![0.0; networks.iter().map(LipschitzMlp::len).sum()];
        let mut rest = &mut first[..];
        for network in &networks {
            let (mine, others) = rest.split_at_mut(network.len());
            network.initialise(mine, rng);
            rest = others;
        }
        let mut free = Buffer::zeros_on(&[first.len()], device)?;
        free.fill_from(&first)?;
        Ok(Self { graph: graph(&networks, &free)?, networks, free })
    }

    /// Copy with a memory of its own.
    pub(super) fn copy(&self) -> Result<Self, NetsError> {
        let (networks, free) = (self.networks.clone(), self.free.copy()?);
        Ok(Self { graph: graph(&networks, &free)?, networks, free })
    }

    pub(super) fn free(&self) -> &Buffer {
        &self.free
    }

    /// The numbers, to change; `refresh` comes after.
    pub(super) fn free_mut(&mut self) -> &mut Buffer {
        &mut self.free
    }

    /// Turns a gradient with respect to the plain weights into that with respect to the free
    /// numbers, f32.
    pub(super) fn pull_back(&self, gradient: &Tensor) -> Result<Tensor, NetsError> {
        let (leaf, plain) = &self.graph;
        tch::with_grad(|| {
            let along = plain.f_dot(&gradient.f_to_kind(plain.kind())?)?;
            Ok(Tensor::f_run_backward(&[&along], &[leaf], false, false)?.swap_remove(0))
        })
    }

    /// Makes the plain weights of the free numbers as they are now.
    pub(super) fn refresh(&mut self, plain: &Buffer) -> Result<(), NetsError> {
        self.graph = graph(&self.networks, &self.free)?;
        tch::no_grad(|| plain.tensor().shallow_clone().f_copy_(&self.graph.1))?;
        Ok(())
    }

    /// Each network's proven constant with its weights as they are stored.
    pub(super) fn certified(&self) -> Result<Vec<f64>, NetsError> {
        parts(&self.networks, self.free.tensor(), |network, own| network.certified(&own.f_to(Device::Cpu)?))
    }
}

/// The results of `each` for every network and its part of `free`, which holds all networks' numbers.
fn parts<T>(
    networks: &[LipschitzMlp],
    free: &Tensor,
    each: impl Fn(&LipschitzMlp, Tensor) -> Result<T, NetsError>,
) -> Result<Vec<T>, NetsError> {
    let mut start = 0;
    let parts = networks.iter().map(|network| {
        let own = free.f_narrow(0, start, network.len() as i64)?;
        start += network.len() as i64;
        each(network, own)
    });
    parts.collect()
}

/// The graph from a copy of the free numbers to the plain weights.
fn graph(networks: &[LipschitzMlp], free: &Buffer) -> Result<(Tensor, Tensor), NetsError> {
    tch::with_grad(|| {
        let leaf = free.tensor().f_detach_copy()?.set_requires_grad(true);
        let plain = Tensor::f_cat(&parts(networks, &leaf, |network, own| network.effective(&own)?.flat())?, 0)?;
        Ok((leaf, plain))
    })
}

/// A network of the constant that `config` states, with the sizes of `mlp`.
///
/// # Errors
/// [`NetsError`] for layers that see more than the layer before, for which agents have no passes,
/// and what [`LipschitzMlp::new`] refuses.
pub(super) fn constructed(config: LipschitzConfig, mlp: &Mlp) -> Result<LipschitzMlp, NetsError> {
    let LipschitzConfig { layers, alpha } = config;
    let (Some((last, hidden)), false) = (mlp.layers.split_last(), mlp.layer_norm) else {
        let problem = "takes a network without LayerNorm: put `layer_norm: false`";
        return Err(NetsError::bad_config("lipschitz", problem));
    };
    let hidden: Vec<usize> = hidden.iter().map(|layer| layer.outputs).collect();
    let network = LipschitzMlp::new(layers, mlp.inputs(), &hidden, last.outputs, mlp.activation, alpha)?;
    if network.mlp().dense {
        let problem = "has connections past layers, which only `feedback` policies take: take `sandwich` or `ldlt`";
        return Err(NetsError::bad_config("lipschitz.layers", problem));
    }
    Ok(network)
}
