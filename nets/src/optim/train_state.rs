//! Networks with the Adam that trains them: parameters, moments and gradients are flat buffers, and
//! one step is one pass over them.

use liprl_numerics::{Mlp, StateIo, StreamRng};
use tch::{Device, Tensor};

use super::{
    OptimiserConfig, Target,
    adam::{BETA1, BETA2},
    flat::{rescale_outputs, weights},
    step::Part,
};
use crate::{Autograd, Buffer, Gradient, NetsError, Team, Weights};

/// One or more networks whose parameters lie one after the other in one buffer, with their
/// optimiser.
#[derive(Debug)]
pub struct TrainState {
    mlps: Vec<Mlp>,
    params: Buffer,
    m: Buffer,
    v: Buffer,
    steps: u64,
    config: OptimiserConfig,
}

impl TrainState {
    /// The networks with first weights from `rng`.
    pub fn new(
        mlps: Vec<Mlp>,
        config: OptimiserConfig,
        device: Device,
        rng: &mut StreamRng,
    ) -> Result<Self, NetsError> {
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
        Ok(Self { m: zeros()?, v: zeros()?, params, mlps, steps: 0, config })
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

    /// Takes these parameters (a policy learnt elsewhere, a starting point).
    pub fn set_params(&mut self, numbers: &[f32]) -> Result<(), NetsError> {
        if numbers.len() != self.params.tensor().numel() {
            let problem = format!("has {} numbers, expected {}", numbers.len(), self.params.tensor().numel());
            return Err(NetsError::bad_state("params", problem));
        }
        self.params.fill_from(numbers)
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
    pub fn rescale_outputs(&mut self, factor: f64, shift: f64) -> Result<(), NetsError> {
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

    /// Takes one step on any device, by tensor operations: `gradient [len]`. Returns its global
    /// norm before clipping.
    pub fn step_tensor(&mut self, gradient: &Tensor) -> Result<f64, NetsError> {
        self.steps += 1;
        let norm = gradient.f_norm()?.f_double_value(&[])?;
        let step = self.config.step(self.steps, norm);
        let gradient = gradient * f64::from(step.scale);
        tch::no_grad(|| {
            let _ = self.m.tensor().shallow_clone().f_lerp_(&gradient, 1.0 - BETA1)?;
            let mut v = self.v.tensor().shallow_clone();
            let _ = v.f_mul_scalar_(BETA2)?.f_add_(&(gradient.square() * (1.0 - BETA2)))?;
            let denominator = v.f_sqrt()? * f64::from(step.root) + f64::from(step.eps);
            let change = self.m.tensor().f_div(&denominator)? * f64::from(step.rate);
            let _ = self.params.tensor().shallow_clone().f_sub_(&change)?;
            Ok(norm)
        })
    }

    /// Everything that changes.
    pub fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), NetsError> {
        for (name, buffer) in [("params", &mut self.params), ("adam/m", &mut self.m), ("adam/v", &mut self.v)] {
            buffer.state(io, name)?;
        }
        Ok(io.value("adam/steps", &mut self.steps)?)
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

#[cfg(test)]
mod tests {
    use liprl_numerics::{Activation, Init, Streams, testing::numbers};
    use tch::{
        Kind,
        nn::{self, OptimizerConfig},
    };

    use super::*;
    use crate::{LrSchedule, testing::assert_gradient};

    /// 4609 parameters: three blocks, the last one ragged.
    fn network(config: OptimiserConfig) -> TrainState {
        let mlp = Mlp::new(4, &[768], 1, Activation::Tanh, false, Init::Uniform);
        TrainState::new(vec![mlp], config, Device::Cpu, &mut Streams::new(4).rng("optim")).unwrap()
    }

    fn plain(lr: f64) -> OptimiserConfig {
        OptimiserConfig { lr, schedule: LrSchedule::Constant, clip_norm: None }
    }

    /// The gradient of Σ c (x − 1)² at `x`, split over two members.
    fn gradients(network: &TrainState, x: &[f32], c: &[f32]) -> [Gradient; 2] {
        [0.25, 0.75].map(|share| {
            let mut gradient = network.gradient().unwrap();
            let each = gradient.slice_mut().iter_mut().zip(x).zip(c);
            each.for_each(|((g, x), c)| *g = share * 2.0 * c * (x - 1.0));
            gradient
        })
    }

    #[test]
    fn fifty_steps_equal_libtorch_s_adam() {
        for threads in [1, 3] {
            let team = Team::new(threads).unwrap();
            let mut network = network(plain(1e-2));
            let c = numbers(network.params().slice().len(), "curvatures");
            let store = nn::VarStore::new(Device::Cpu);
            let x = store.root().var_copy("x", network.params().tensor());
            let mut adam = nn::Adam::default().build(&store, 1e-2).unwrap();
            for _ in 0..50 {
                adam.backward_step(&((&x - 1.0).square() * Tensor::from_slice(&c)).sum(Kind::Float));
                let now = network.params().slice().to_vec();
                let [mut first, mut second] = gradients(&network, &now, &c);
                network.step(&team, &mut [&mut first, &mut second], None).unwrap();
            }
            assert_gradient(network.params().slice(), &x.detach());
        }
    }

    #[test]
    fn slices_and_tensors_take_the_same_steps() {
        let config = OptimiserConfig { lr: 1e-2, schedule: LrSchedule::Linear { updates: 8 }, clip_norm: Some(3.0) };
        let (mut by_hand, mut by_tensor) = (network(config), network(config));
        let team = Team::new(2).unwrap();
        let (mut target, mut other) = (by_hand.target().unwrap(), by_hand.target().unwrap());
        for step in 0..10 {
            let g = numbers(by_hand.params().slice().len(), &format!("gradient {step}"));
            let before = by_hand.params().slice().to_vec();
            let mut gradient = by_hand.gradient().unwrap();
            gradient.slice_mut().copy_from_slice(&g);
            let norm = by_hand.step(&team, &mut [&mut gradient], Some((&mut target, 0.1))).unwrap();
            let expected = g.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            assert!((norm / expected - 1.0).abs() < 1e-6);
            assert!((by_tensor.step_tensor(&Tensor::from_slice(&g)).unwrap() / expected - 1.0).abs() < 1e-6);
            other.follow(by_tensor.params(), 0.1).unwrap();
            // The schedule reaches zero after eight steps.
            assert_eq!(by_hand.params().slice() == before, step >= 8);
        }
        assert_gradient(by_hand.params().slice(), by_tensor.params().tensor());
        assert_gradient(target.params.slice(), other.params.tensor());
        assert_gradient(by_hand.m.slice(), by_tensor.m.tensor());
    }

    #[test]
    fn polyak_moves_by_tau() {
        let network = network(plain(1e-3));
        let mut target = network.target().unwrap();
        target.params.slice_mut().fill(1.0);
        target.follow(network.params(), 0.25).unwrap();
        for (target, p) in target.params.slice().iter().zip(network.params().slice()) {
            assert!((target - (0.75 + 0.25 * p)).abs() < 1e-6);
        }
    }
}
