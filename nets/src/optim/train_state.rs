//! Networks with the optimiser that trains them: parameters, moments and gradients are flat
//! buffers, and a step of Adam on plain weights is one pass over them.
//!
//! With a constant by construction (`construction`) the plain weights are made of free numbers
//! after each step, which goes down the gradient pulled back to those. A limit on weight matrices
//! (`constraint`) comes after the step.

use liprl_numerics::{Mlp, StateIo, StreamRng, kernels, kernels::AdamStep};
use tch::{Device, Tensor};

use super::{
    OptimiserConfig, Target,
    adam::{BETA1, BETA2},
    constraint::Constraint,
    construction::{Construction, constructed},
    flat::{rescale_outputs, weights},
    muon::Muon,
    step::Part,
};
use crate::{
    Autograd, Buffer, Gradient, LrSchedule, NetsError, Optimiser, Team, Weights, layers::LipschitzMlp, slice_of,
};

/// One or more networks whose parameters lie one after the other in one buffer, with their
/// optimiser.
#[derive(Debug)]
pub struct TrainState {
    mlps: Vec<Mlp>,
    /// The plain weights.
    params: Buffer,
    m: Buffer,
    v: Buffer,
    steps: u64,
    config: OptimiserConfig,
    construction: Option<Construction>,
    constraint: Option<Constraint>,
    muon: Option<Muon>,
}

impl TrainState {
    /// The networks with first weights from `rng`.
    ///
    /// # Errors
    /// [`NetsError`] for a construction or a constraint that the networks cannot have.
    pub fn new(
        mlps: Vec<Mlp>,
        config: OptimiserConfig,
        device: Device,
        rng: &mut StreamRng,
    ) -> Result<Self, NetsError> {
        if let Some(lipschitz) = config.lipschitz {
            let networks = mlps.iter().map(|mlp| constructed(lipschitz, mlp)).collect::<Result<_, _>>()?;
            return Self::constructed(networks, config, device, rng);
        }
        let len = mlps.iter().map(Mlp::len).sum();
        let zeros = || Buffer::zeros_on(&[len], device);
        let mut first = vec![0.0; len];
        let mut rest = &mut first[..];
        for mlp in &mlps {
            let (mine, others) = rest.split_at_mut(mlp.len());
            mlp.initialise(mine, rng);
            rest = others;
        }
        let mut params = zeros()?;
        params.fill_from(&first)?;
        let muon = match config.rule {
            Optimiser::Adam => None,
            Optimiser::Muon(muon) => Some(Muon::new(muon, &mlps, device)?),
        };
        let constraint =
            config.constraint.map(|constraint| Constraint::new(constraint, &mlps, &mut params, rng)).transpose()?;
        Ok(Self { m: zeros()?, v: zeros()?, params, mlps, steps: 0, config, construction: None, constraint, muon })
    }

    /// The plain networks of these, whose free numbers start from `rng`.
    ///
    /// # Errors
    /// [`NetsError`] for a constraint or an optimiser that free numbers cannot have.
    pub fn constructed(
        networks: Vec<LipschitzMlp>,
        config: OptimiserConfig,
        device: Device,
        rng: &mut StreamRng,
    ) -> Result<Self, NetsError> {
        if config.constraint.is_some() || config.rule != Optimiser::Adam {
            let problem = "go with plain weights, not with a constant by construction: leave them out";
            return Err(NetsError::bad_config("weight_constraint and optimiser", problem));
        }
        let mlps: Vec<Mlp> = networks.iter().map(|network| network.mlp().clone()).collect();
        let mut construction = Construction::new(networks, device, rng)?;
        let params = Buffer::zeros_on(&[mlps.iter().map(Mlp::len).sum()], device)?;
        construction.refresh(&params)?;
        let zeros = || Buffer::zeros_on(&[construction.free().tensor().numel()], device);
        let (m, v) = (zeros()?, zeros()?);
        let construction = Some(construction);
        Ok(Self { m, v, params, mlps, steps: 0, config, construction, constraint: None, muon: None })
    }

    /// Copy that has taken no step yet and learns at the constant rate `lr`, without clipping.
    pub fn copy(&self, lr: f64) -> Result<Self, NetsError> {
        let config = OptimiserConfig { lr, schedule: LrSchedule::Constant, clip_norm: None, ..self.config };
        let zeros = || Buffer::zeros_on(&[self.m.tensor().numel()], self.m.tensor().device());
        let muon = match config.rule {
            Optimiser::Adam => None,
            Optimiser::Muon(muon) => Some(Muon::new(muon, &self.mlps, self.params.tensor().device())?),
        };
        Ok(Self {
            mlps: self.mlps.clone(),
            params: self.params.copy()?,
            m: zeros()?,
            v: zeros()?,
            steps: 0,
            config,
            construction: self.construction.as_ref().map(Construction::copy).transpose()?,
            constraint: self.constraint.as_ref().map(Constraint::copy).transpose()?,
            muon,
        })
    }

    /// The networks, in the order of their parameters.
    pub fn mlps(&self) -> &[Mlp] {
        &self.mlps
    }

    /// All parameters.
    pub fn params(&self) -> &Buffer {
        &self.params
    }

    /// The networks, and all parameters to change.
    pub fn parts_mut(&mut self) -> (&[Mlp], &mut Buffer) {
        (&self.mlps, &mut self.params)
    }

    /// The numbers that are learned: the parameters, or the free numbers behind them.
    pub fn learned(&self) -> &Buffer {
        self.construction.as_ref().map_or(&self.params, Construction::free)
    }

    /// Takes these numbers, as another state of these settings has `learned`.
    pub fn set_learned(&mut self, numbers: &[f32]) -> Result<(), NetsError> {
        let Some(construction) = &mut self.construction else { return self.set_params(numbers) };
        let expected = construction.free().tensor().numel();
        if numbers.len() != expected {
            let problem = format!("has {} free numbers, expected {expected}", numbers.len());
            return Err(NetsError::bad_state("params", problem));
        }
        construction.free_mut().fill_from(numbers)?;
        construction.refresh(&self.params)
    }

    /// Each network's constant by construction, proven of its weights as they are stored, in the
    /// network's own units; `None` without a construction.
    pub fn certified(&self) -> Result<Option<Vec<f64>>, NetsError> {
        self.construction.as_ref().map(Construction::certified).transpose()
    }

    /// Takes these parameters (a policy learnt elsewhere, a starting point), brought within the
    /// constraint on weights if there is one.
    ///
    /// # Errors
    /// Another number of them, and networks with a constant by construction, whose free numbers
    /// cannot be found.
    pub fn set_params(&mut self, numbers: &[f32]) -> Result<(), NetsError> {
        if self.construction.is_some() {
            let problem =
                "makes weights of free numbers and takes no others: leave it out, or take `weight_constraint`";
            return Err(NetsError::bad_config("lipschitz", problem));
        }
        if numbers.len() != self.params.tensor().numel() {
            let problem = format!("has {} numbers, expected {}", numbers.len(), self.params.tensor().numel());
            return Err(NetsError::bad_state("params", problem));
        }
        self.params.fill_from(numbers)?;
        self.constraint.as_mut().map_or(Ok(()), |constraint| constraint.enter(&mut self.params))
    }

    /// Views of each network's parameters for hand-written passes.
    pub fn weights(&self) -> Vec<Weights> {
        weights(&self.mlps, &self.params)
    }

    /// Allocates a gradient.
    pub fn gradient(&self) -> Result<Gradient, NetsError> {
        Gradient::new(&self.mlps.iter().collect::<Vec<_>>())
    }

    /// Changes the last layers so that every output o becomes `factor` o + `shift`.
    ///
    /// # Errors
    /// Networks with a constant, which this would change.
    pub fn rescale_outputs(&mut self, factor: f64, shift: f64) -> Result<(), NetsError> {
        if self.construction.is_some() || self.constraint.is_some() {
            let problem = "rescales a layer whose constant is kept: put `pop_art: false`, or leave `lipschitz` and `weight_constraint` out";
            return Err(NetsError::bad_config("normalise_returns.pop_art", problem));
        }
        rescale_outputs(&self.mlps, &mut self.params, factor, shift)
    }

    /// A target that starts as a copy.
    pub fn target(&self) -> Result<Target, NetsError> {
        let mut params = Buffer::zeros_on(&[self.params.tensor().numel()], self.params.tensor().device())?;
        params.fill_from(&self.params.to_vec()?)?;
        Ok(Target { params })
    }

    /// Network number `index` applied to `x`, by autograd over `params` (these networks', a
    /// target's, or a leaf of either's values).
    pub fn forward(&self, index: usize, params: &Tensor, x: &Tensor) -> Tensor {
        let start: usize = self.mlps[..index].iter().map(Mlp::len).sum();
        let mlp = &self.mlps[index];
        mlp.forward(&params.narrow(0, start as i64, mlp.len() as i64), x)
    }

    /// Takes one step on the CPU down the sum of `gradients` (each thread's), which is left in the
    /// first of them. With a target and τ, the target moves in the same pass. Returns the
    /// gradient's global norm before clipping.
    pub fn step(
        &mut self,
        team: &Team,
        gradients: &mut [&mut Gradient],
        target: Option<(&mut Target, f64)>,
    ) -> Result<f64, NetsError> {
        if !self.is_plain() {
            let Some((sum, others)) = gradients.split_first_mut() else { return Ok(0.0) };
            others.iter().for_each(|other| kernels::add(sum.slice_mut(), other.slice()));
            let norm = self.step_tensor(sum.tensor())?;
            if let Some((target, tau)) = target {
                target.follow(&self.params, tau)?;
            }
            return Ok(norm);
        }
        self.steps += 1;
        let share = self.params.slice().len().div_ceil(team.size()).next_multiple_of(16);
        let Some((sum, others)) = gradients.split_first_mut() else { return Ok(0.0) };
        let tau = target.as_ref().map_or(0.0, |(_, tau)| *tau as f32);
        let mut targets = target.map(|(target, _)| target.params.slice_mut().chunks_mut(share));
        let mut parts: Vec<Part<'_>> = (self.params.slice_mut().chunks_mut(share))
            .zip(self.m.slice_mut().chunks_mut(share))
            .zip(self.v.slice_mut().chunks_mut(share))
            .zip(sum.slice_mut().chunks_mut(share))
            .enumerate()
            .map(|(i, (((params, m), v), sum))| Part {
                others: others.iter().map(|other| &other.slice()[i * share..i * share + sum.len()]).collect(),
                target: targets.as_mut().and_then(Iterator::next),
                params,
                m,
                v,
                sum,
                squares: 0.0,
            })
            .collect();
        let norm = |parts: &[Part<'_>]| parts.iter().map(|part| part.squares).sum::<f64>().sqrt();
        if self.config.clip_norm.is_none() {
            let step = self.config.step(self.steps, 0.0);
            team.run(&mut parts, |part| {
                part.blocks().for_each(|block| {
                    part.gather(block.clone());
                    part.step(block, step, tau);
                });
                Ok::<_, NetsError>(())
            })?;
            Ok(norm(&parts))
        } else {
            team.run(&mut parts, |part| {
                part.blocks().for_each(|block| part.gather(block));
                Ok::<_, NetsError>(())
            })?;
            let norm = norm(&parts);
            let step = self.config.step(self.steps, norm);
            team.run(&mut parts, |part| {
                part.blocks().for_each(|block| part.step(block, step, tau));
                Ok::<_, NetsError>(())
            })?;
            Ok(norm)
        }
    }

    /// True of plain weights under Adam alone.
    fn is_plain(&self) -> bool {
        self.construction.is_none() && self.constraint.is_none() && self.muon.is_none()
    }

    /// Takes one step on any device, by tensor operations: `gradient [len]`. Returns its global
    /// norm before clipping; with a construction, that of the gradient in the free numbers.
    pub fn step_tensor(&mut self, gradient: &Tensor) -> Result<f64, NetsError> {
        self.steps += 1;
        if !self.is_plain() {
            return self.step_constrained(gradient);
        }
        let norm = gradient.f_norm()?.f_double_value(&[])?;
        let step = self.config.step(self.steps, norm);
        let each = [&self.params, &self.m, &self.v].map(|buffer| buffer.tensor().shallow_clone());
        adam_tensor(each, gradient, step)?;
        Ok(norm)
    }

    /// `step_tensor` for networks with a construction, a constraint or Muon.
    fn step_constrained(&mut self, gradient: &Tensor) -> Result<f64, NetsError> {
        let pulled = self.construction.as_ref().map(|construction| construction.pull_back(gradient)).transpose()?;
        let gradient = pulled.as_ref().unwrap_or(gradient).f_contiguous()?;
        let norm = match gradient.device() {
            Device::Cpu => kernels::sum_of_squares(slice_of(&gradient)?).sqrt(),
            _ => gradient.f_norm()?.f_double_value(&[])?,
        };
        let step = self.config.step(self.steps, norm);
        let bound = self.muon.as_ref().map(|muon| muon.bound(self.config.schedule.factor(self.steps - 1)));
        let Self { params, m, v, construction, muon, .. } = self;
        let learned = construction.as_mut().map_or(&mut *params, Construction::free_mut);
        let len = gradient.numel();
        match (muon, bound) {
            (Some(muon), Some(bound)) => {
                for range in muon.others(len) {
                    adam([&mut *learned, &mut *m, &mut *v], &gradient, range, step)?;
                }
                muon.step([learned.tensor(), m.tensor(), &gradient], step, bound)?;
            }
            _ => adam([learned, m, v], &gradient, 0..len, step)?,
        }
        if let Some(construction) = construction {
            construction.refresh(params)?;
        }
        if let Some(constraint) = &mut self.constraint {
            constraint.keep(params, self.steps, bound)?;
        }
        Ok(norm)
    }

    /// Everything that changes.
    pub fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), NetsError> {
        let learned = self.construction.as_mut().map_or(&mut self.params, Construction::free_mut);
        for (name, buffer) in [("params", learned), ("adam/m", &mut self.m), ("adam/v", &mut self.v)] {
            buffer.state(io, name)?;
        }
        io.value("adam/steps", &mut self.steps)?;
        if let Some(constraint) = &mut self.constraint {
            constraint.state(io)?;
        }
        match &mut self.construction {
            Some(construction) if io.loading() => construction.refresh(&self.params),
            _ => Ok(()),
        }
    }

    /// Every parameter by name (`<network>/<layer>/weight`, …), for histograms.
    pub fn named(&self) -> Result<Vec<(String, Vec<f32>)>, NetsError> {
        let (params, mut offset, mut all) = (self.params.to_vec()?, 0, Vec::new());
        for (index, mlp) in self.mlps.iter().enumerate() {
            for (name, start, shape) in mlp.named() {
                let start = offset + start;
                let len: usize = shape.iter().product();
                all.push((format!("{index}/{name}"), params[start..start + len].to_vec()));
            }
            offset += mlp.len();
        }
        Ok(all)
    }
}

/// Moves a range of flat buffers (numbers, first and second moments) by Adam, on any device.
fn adam(
    [params, m, v]: [&mut Buffer; 3],
    gradient: &Tensor,
    range: std::ops::Range<usize>,
    step: AdamStep,
) -> Result<(), NetsError> {
    if gradient.device() == Device::Cpu {
        let [params, m, v] = [params, m, v].map(|buffer| &mut buffer.slice_mut()[range.clone()]);
        kernels::adam(params, m, v, &slice_of(gradient)?[range], step);
        return Ok(());
    }
    let part = |tensor: &Tensor| tensor.f_narrow(0, range.start as i64, range.len() as i64);
    let (params, m, v) = (part(params.tensor())?, part(m.tensor())?, part(v.tensor())?);
    adam_tensor([params, m, v], &part(gradient)?, step)
}

/// One step of Adam by tensor operations.
fn adam_tensor([mut params, mut m, mut v]: [Tensor; 3], gradient: &Tensor, step: AdamStep) -> Result<(), NetsError> {
    let gradient = gradient * f64::from(step.scale);
    tch::no_grad(|| {
        let _ = m.f_lerp_(&gradient, 1.0 - BETA1)?;
        let _ = v.f_mul_scalar_(BETA2)?.f_add_(&(gradient.square() * (1.0 - BETA2)))?;
        let denominator = v.f_sqrt()? * f64::from(step.root) + f64::from(step.eps);
        let change = m.f_div(&denominator)? * f64::from(step.rate);
        let _ = params.f_sub_(&change)?;
        Ok(())
    })
}

#[cfg(test)]
mod constrained_tests;
#[cfg(test)]
mod tests;
