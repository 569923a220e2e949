//! The forward model f̂(s, a) ≈ s' of arXiv 2006.16785, and g_f(s, a) = ‖∇_(s,a) Σⱼ f̂ⱼ(s, a)‖₂,
//! the norm of the gradient of its summed outputs. It is at most √outputs times the Jacobian's
//! spectral norm, and not a norm of the Jacobian itself.
//!
//! States are standardised by moments of the states learnt from and clipped before they enter. The
//! target is the raw next state. The gradient is with respect to raw states: it goes through the
//! standardisation, and a clipped coordinate contributes nothing.
//!
//! If episodes go on in absorbing states, f̂ sees and predicts them as the reference does. States
//! and actions carry one more number, 1 in the absorbing state and else 0, which is not
//! standardised. The absorbing state's own numbers and its action's are 0.
//!
//! Differs from the authors' code in:
//!
//! 1. moments are per coordinate and of the batches learnt from (there shared with the agent, and
//!    one mean and deviation for all coordinates);
//! 2. the learning rate is its own (there the actor's).

use garde::Validate;
use liprl_control::certify::{Certifiable, Input, Network, OutputMap, Takes};
use liprl_nets::{
    lipschitz::{self, JacobianNorms},
    optim::OptimiserConfig,
    regression::Regression,
    slice_of,
};
use liprl_numerics::{Activation, Init, Mlp, NormaliserOptions, RunningNormaliser, StateIo, widths_for};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rows::Steps;
use crate::{AgentError, Flags, Setup};

/// Variances of state coordinates below this count as this, as in the authors' code.
const VARIANCE_FLOOR: f64 = 1e-2;

/// Gain of the last layer's orthogonal first weight; the others have their activation's.
const OUTPUT_GAIN: f64 = 0.01;

/// The forward model's network and the Adam that fits it. Sources: arXiv 2006.16785's authors'
/// code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ForwardModelConfig {
    /// Units of each hidden layer. Default `[100, 100]`.
    #[garde(length(min = 1), inner(range(min = 1, max = 65536)), custom(widths_for(self.activation)))]
    pub hidden: Vec<usize>,
    /// Activation of the hidden layers. Default `{leaky_relu: 0.1}`.
    #[garde(dive)]
    pub activation: Activation,
    /// Adam's learning rate. Default `2.5e-4` (the actor's there).
    #[garde(range(min = 0.0, max = 1.0))]
    pub lr: f64,
    /// Standardised states are clipped to ± this. Default `5`.
    #[garde(range(min = 0.1))]
    pub clip: f64,
}

impl Default for ForwardModelConfig {
    fn default() -> Self {
        Self { hidden: vec![100, 100], activation: Activation::LeakyRelu(0.1), lr: 2.5e-4, clip: 5.0 }
    }
}

/// The model.
#[derive(Debug)]
pub struct ForwardModel {
    obs_dim: usize,
    act_dim: usize,
    /// True if absorbing states are seen and predicted.
    absorbing: bool,
    clip: f32,
    normaliser: RunningNormaliser,
    regression: Regression,
}

impl ForwardModel {
    /// A model that has learnt nothing yet, its first weights from the run's streams.
    pub fn new(config: &ForwardModelConfig, setup: &Setup, absorbing: bool) -> Result<Self, AgentError> {
        let Setup { obs_dim, act_dim, device, .. } = *setup;
        let extra = usize::from(absorbing);
        let mlp = Mlp::new(
            obs_dim + act_dim + 2 * extra,
            &config.hidden,
            obs_dim + extra,
            config.activation,
            false,
            Init::Orthogonal { output_gain: OUTPUT_GAIN },
        );
        let optimiser = OptimiserConfig::adam(config.lr);
        let mut init = setup.streams.rng("forward model/init");
        let options = NormaliserOptions { clip: config.clip, variance_floor: VARIANCE_FLOOR };
        Ok(Self {
            obs_dim,
            act_dim,
            absorbing,
            clip: config.clip as f32,
            normaliser: RunningNormaliser::new(obs_dim, options),
            regression: Regression::new("the forward model's loss", mlp, optimiser, device, &mut init)?,
        })
    }

    /// Takes the steps' states into the moments, then one Adam step on the mean squared error,
    /// which is returned.
    pub fn learn(&mut self, steps: &Steps<'_>) -> Result<f64, AgentError> {
        let rows = steps.flags.len();
        let obs = slice_of(steps.obs)?;
        let seen = obs.chunks_exact(self.obs_dim).zip(steps.flags);
        let seen = seen.filter(|(_, flags)| !flags.contains(Flags::OBS_ABSORBING)).flat_map(|(obs, _)| obs);
        self.normaliser.update(&seen.copied().collect::<Vec<f32>>());
        let next = slice_of(steps.next_obs)?;
        let mut target = Vec::with_capacity(rows * (self.obs_dim + 1));
        for (next, flags) in next.chunks_exact(self.obs_dim).zip(steps.flags) {
            self.extend(next, flags.contains(Flags::NEXT_ABSORBING), &mut target);
        }
        let (x, _) = self.inputs(steps)?;
        Ok(self.regression.update(&x, &matrix(&target, rows)?)?)
    }

    /// g_f at the steps' (s, a), `R`.
    pub fn gradient_norms(&mut self, steps: &Steps<'_>) -> Result<Vec<f32>, AgentError> {
        let (x, inputs) = self.inputs(steps)?;
        let mut gradient = self.regression.input_gradient(&x, |_, slopes| slopes.fill(1.0))?;
        let (scale, width) = (self.scale(), self.regression.net().mlps()[0].inputs());
        let rows = gradient.chunks_exact_mut(width).zip(inputs.chunks_exact(width));
        Ok(rows
            .map(|(gradient, inputs)| {
                for ((g, x), scale) in gradient.iter_mut().zip(inputs).zip(&scale) {
                    *g *= if x.abs() < self.clip { *scale } else { 0.0 };
                }
                gradient.iter().map(|g| g * g).sum::<f32>().sqrt()
            })
            .collect())
    }

    /// Norms of ∂f̂/∂(s, a) at the steps' (s, a), with respect to raw s. Indicators of absorbing
    /// states, predicted or seen, do not count.
    pub fn jacobian_norms(&mut self, steps: &Steps<'_>) -> Result<JacobianNorms, AgentError> {
        let (x, inputs) = self.inputs(steps)?;
        let net = self.regression.net();
        let (o, a) = (self.obs_dim as i64, self.act_dim as i64);
        let predict = |x: &Tensor| {
            let x = x.f_to(net.params().tensor().device())?;
            Ok(net.forward(0, net.params().tensor(), &x).f_narrow(1, 0, o)?)
        };
        let (scale, width) = (self.scale(), net.mlps()[0].inputs());
        let mut slopes = vec![1.0f32; inputs.len()];
        for (slopes, inputs) in slopes.chunks_exact_mut(width).zip(inputs.chunks_exact(width)) {
            for ((slope, x), scale) in slopes.iter_mut().zip(inputs).zip(&scale) {
                *slope = if x.abs() < self.clip { *scale } else { 0.0 };
            }
        }
        let jacobian = lipschitz::jacobian(predict, &x)?.f_to(tch::Device::Cpu)?;
        let jacobian = jacobian * matrix(&slopes, steps.flags.len())?.f_unsqueeze(1)?;
        let start = o + i64::from(self.absorbing);
        Ok(JacobianNorms::of(&Tensor::f_cat(&[jacobian.f_narrow(2, 0, o)?, jacobian.f_narrow(2, start, a)?], 2)?)?)
    }

    /// The rows that enter the network, `[R, I]`: as a tensor and as numbers.
    fn inputs(&self, steps: &Steps<'_>) -> Result<(Tensor, Vec<f32>), AgentError> {
        let rows = steps.flags.len();
        let (obs, action) = (slice_of(steps.obs)?, slice_of(steps.action)?);
        let mut all = Vec::with_capacity(rows * self.regression.net().mlps()[0].inputs());
        let pairs = obs.chunks_exact(self.obs_dim).zip(action.chunks_exact(self.act_dim));
        for ((obs, action), flags) in pairs.zip(steps.flags) {
            let (absorbing, start) = (flags.contains(Flags::OBS_ABSORBING), all.len());
            self.extend(obs, absorbing, &mut all);
            self.normaliser.apply(&mut all[start..start + self.obs_dim]);
            self.extend(action, absorbing, &mut all);
        }
        Ok((matrix(&all, rows)?, all))
    }

    /// Appends a state or an action, with its mark if there are absorbing states.
    fn extend(&self, numbers: &[f32], absorbing: bool, all: &mut Vec<f32>) {
        match (self.absorbing, absorbing) {
            (false, _) => all.extend_from_slice(numbers),
            (true, false) => {
                all.extend_from_slice(numbers);
                all.push(0.0);
            }
            (true, true) => {
                all.resize(all.len() + numbers.len(), 0.0);
                all.push(1.0);
            }
        }
    }

    /// ∂(standardised)/∂(state) of each coordinate that is not clipped.
    fn scale(&self) -> Vec<f32> {
        match self.normaliser.count() {
            0 => vec![1.0; self.obs_dim],
            _ => self.normaliser.variance().map(|v| v.max(VARIANCE_FLOOR).sqrt().recip() as f32).collect(),
        }
    }

    /// The model for certificates: from a raw state and an action to the next state, with the marks
    /// of ordinary states.
    pub fn certifiable(&self) -> Result<Certifiable, AgentError> {
        let net = self.regression.net();
        let mark = self.absorbing.then_some(Input::Held(0.0));
        let mut inputs = Input::standardised(&self.normaliser);
        inputs.extend(mark);
        inputs.extend(vec![Input::RAW; self.act_dim]);
        inputs.extend(mark);
        let head = OutputMap::Linear(vec![1.0; self.obs_dim]);
        let network = Network::new("model", &net.mlps()[0], &net.params().to_vec()?, &inputs, head);
        Ok(Certifiable { name: "model".into(), takes: Takes::StateAction, network })
    }

    /// Everything that changes.
    pub fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.normaliser.state(&mut io.scope("normaliser"))?;
        Ok(self.regression.state(io)?)
    }
}

fn matrix(numbers: &[f32], rows: usize) -> Result<Tensor, AgentError> {
    Ok(Tensor::f_from_slice(numbers)?.f_view([rows as i64, -1])?)
}

#[cfg(test)]
mod tests {
    use liprl_nets::{
        Autograd,
        autograd::{gradient, leaf},
        testing::assert_gradient,
    };
    use liprl_numerics::{State, Streams};
    use tch::{Device, Kind};

    use super::*;
    use crate::shaping::testing::Sample;

    impl ForwardModel {
        /// f̂ at the steps' (s, a), `[R, O]` row-major, or `[R, O + 1]` with absorbing states.
        fn predict(&mut self, steps: &Steps<'_>) -> Result<Vec<f32>, AgentError> {
            let (x, _) = self.inputs(steps)?;
            Ok(self.regression.predict(&x)?)
        }
    }

    fn model(absorbing: bool, lr: f64) -> ForwardModel {
        let config = ForwardModelConfig { lr, ..ForwardModelConfig::default() };
        let setup = Setup { obs_dim: 4, act_dim: 2, streams: Streams::new(3), device: Device::Cpu, threads: 1 };
        ForwardModel::new(&config, &setup, absorbing).unwrap()
    }

    #[test]
    fn jacobian_norms_agree_with_the_sum_gradient_by_hand() {
        for absorbing in [false, true] {
            let mut model = model(absorbing, 1e-2);
            let sample = linear(64);
            (0..20).for_each(|_| {
                model.learn(&sample.steps()).unwrap();
            });
            let norms = model.jacobian_norms(&sample.steps()).unwrap();
            for (spectral, frobenius) in norms.spectral.iter().zip(&norms.frobenius) {
                assert!(*spectral > 0.0 && spectral <= &(frobenius * (1.0 + 1e-9)));
            }
            if !absorbing {
                let by_hand = model.gradient_norms(&sample.steps()).unwrap();
                let sum: Vec<f32> = norms.sum.iter().map(|&x| x as f32).collect();
                assert_gradient(&by_hand, &Tensor::from_slice(&sum));
            }
        }
    }

    #[test]
    fn the_certified_network_is_the_model() {
        for absorbing in [false, true] {
            let mut model = model(absorbing, 1e-3);
            let sample = linear(64);
            (0..20).for_each(|_| {
                model.learn(&sample.steps()).unwrap();
            });
            let network = model.certifiable().unwrap().network.unwrap();
            let predicted = model.predict(&sample.steps()).unwrap();
            let norms = model.jacobian_norms(&sample.steps()).unwrap();
            let numbers = |tensor: &Tensor| Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
            let (obs, action, width) = (numbers(&sample.obs), numbers(&sample.action), predicted.len() / 64);
            let mut compared = 0;
            for row in 0..64 {
                let x = obs[row * 4..][..4].iter().chain(&action[row * 2..][..2]);
                let x: Vec<f64> = x.map(|&x| f64::from(x)).collect();
                for (own, theirs) in network.forward(&x).iter().zip(&predicted[row * width..][..4]) {
                    assert!((own - f64::from(*theirs)).abs() < 1e-4 * own.abs().max(1.0), "{own} {theirs}");
                }
                if let Some(jacobian) = network.jacobian(&x) {
                    let norm = jacobian.singular_values().unwrap()[0];
                    assert!((norm - norms.spectral[row]).abs() < 1e-4 * norm, "{norm} {}", norms.spectral[row]);
                    compared += 1;
                }
            }
            assert!(compared > 60, "{compared}");
        }
    }

    /// s' = s M + a N with fixed M, N, on states of unequal spread, one coordinate far from zero.
    fn linear(rows: usize) -> Sample {
        let mut sample = Sample::new(rows, 4, 2);
        sample.obs =
            sample.obs * Tensor::from_slice(&[1.0f32, 3.0, 0.5, 0.2]) + Tensor::from_slice(&[0.0f32, 2.0, 0.0, 8.0]);
        let m =
            Tensor::from_slice(&[0.9f32, 0.1, 0.0, 0.0, -0.1, 0.8, 0.0, 0.0, 0.0, 0.2, 1.0, 0.0, 0.1, 0.0, 0.0, 0.7]);
        let n = Tensor::from_slice(&[0.5f32, 0.0, -0.3, 0.0, 0.0, 0.4, 0.0, 0.2]);
        sample.next_obs = (sample.obs.matmul(&m.view([4, 4])) + sample.action.matmul(&n.view([2, 4]))).contiguous();
        sample
    }

    /// f̂ by tensor operations from raw states, actions and the marks `[R, 2]` of both: the
    /// specification of `gradient_norms`.
    fn specification(model: &ForwardModel, obs: &Tensor, action: &Tensor, marks: &Tensor) -> Tensor {
        let numbers = |numbers: Vec<f64>| Tensor::from_slice(&numbers).to_kind(obs.kind());
        let mean = numbers(model.normaliser.mean().to_vec());
        let std = numbers(model.normaliser.variance().map(|v| v.max(VARIANCE_FLOOR).sqrt()).collect());
        let clip = f64::from(model.clip);
        let seen = ((obs - mean) / std).clamp(-clip, clip);
        let x = if model.absorbing {
            Tensor::cat(&[&seen, &marks.narrow(1, 0, 1), action, &marks.narrow(1, 1, 1)], 1)
        } else {
            Tensor::cat(&[&seen, action], 1)
        };
        let net = model.regression.net();
        net.mlps()[0].forward(&net.params().tensor().to_kind(obs.kind()), &x)
    }

    #[test]
    fn gradient_norms_equal_autograd_through_the_standardisation_and_its_clip() {
        let sample = linear(640);
        for absorbing in [false, true] {
            let mut model = model(absorbing, 1e-3);
            for _ in 0..20 {
                model.learn(&sample.steps()).unwrap();
            }
            // Some coordinates beyond the clip.
            let wide = Sample { obs: &sample.obs * 3.0, ..linear(640) };
            let by_hand = model.gradient_norms(&wide.steps()).unwrap();

            let parts = [&wide.obs, &wide.action, &Tensor::zeros([640, 2], (Kind::Float, Device::Cpu))].map(leaf);
            let used = if absorbing { 3 } else { 2 };
            let gradients: Vec<Tensor> = (parts[..used].iter())
                .map(|part| gradient(&specification(&model, &parts[0], &parts[1], &parts[2]).sum(None), part).unwrap())
                .collect();
            let clipped = gradients[0].eq(0.0).sum(Kind::Int64).int64_value(&[]);
            assert!(clipped > 10 && clipped < 2000, "{clipped}");
            assert_gradient(&by_hand, &Tensor::cat(&gradients, 1).norm_scalaropt_dim(2.0, [1], false));
        }
    }

    #[test]
    fn gradient_norms_equal_finite_differences_in_f64() {
        let (sample, mut model) = (linear(64), model(false, 1e-3));
        for _ in 0..50 {
            model.learn(&sample.steps()).unwrap();
        }
        let by_hand = model.gradient_norms(&sample.steps()).unwrap();
        let (obs, action) = (sample.obs.to_kind(Kind::Double), sample.action.to_kind(Kind::Double));
        let marks = Tensor::zeros([64, 2], (Kind::Double, Device::Cpu));
        let sums = |obs: &Tensor, action: &Tensor| {
            Vec::<f64>::try_from(specification(&model, obs, action, &marks).sum_dim_intlist(1, false, Kind::Double))
                .unwrap()
        };
        let (h, mut squares) = (1e-7, vec![0.0; 64]);
        for column in 0..6 {
            let moved = |by: f64| {
                let (obs, action) = (obs.copy(), action.copy());
                let (of, at) = if column < 4 { (&obs, column) } else { (&action, column - 4) };
                let _ = of.narrow(1, at, 1).g_add_scalar_(by);
                sums(&obs, &action)
            };
            for ((square, up), down) in squares.iter_mut().zip(moved(h)).zip(moved(-h)) {
                *square += ((up - down) / (2.0 * h)).powi(2);
            }
        }
        for (norm, square) in by_hand.iter().zip(&squares) {
            assert!((f64::from(*norm) - square.sqrt()).abs() < 1e-4 * square.sqrt(), "{norm} {}", square.sqrt());
        }
    }

    #[test]
    fn it_learns_a_linear_system_and_its_gradient() {
        let (sample, mut model) = (linear(256), model(false, 1e-3));
        let first = model.learn(&sample.steps()).unwrap();
        let last = (0..4000).map(|_| model.learn(&sample.steps()).unwrap()).last().unwrap();
        assert!(first > 10.0 && last < 2e-3, "{first} {last}");
        let predicted = Tensor::from_slice(&model.predict(&sample.steps()).unwrap()).view([256, 4]);
        assert!((predicted - &sample.next_obs).abs().mean(None).double_value(&[]) < 0.05);
        // ∇ Σ s' = (row sums of M, of N) = (1, 0.7, 1.2, 0.8, 0.2, 0.6).
        let expected = [1.0f64, 0.7, 1.2, 0.8, 0.2, 0.6].iter().map(|x| x * x).sum::<f64>().sqrt();
        let norms = model.gradient_norms(&sample.steps()).unwrap();
        let mean = norms.iter().map(|x| f64::from(*x)).sum::<f64>() / 256.0;
        assert!((mean / expected - 1.0).abs() < 0.1, "{mean} {expected}");
    }

    #[test]
    fn absorbing_states_are_marked_and_do_not_enter_the_moments() {
        let mut sample = linear(3);
        sample.flags[1] = Flags::NEXT_ABSORBING | Flags::TERMINATED;
        sample.flags[2] = Flags::OBS_ABSORBING | Flags::NEXT_ABSORBING;
        let mut model = model(true, 1e-2);
        for _ in 0..2000 {
            model.learn(&sample.steps()).unwrap();
        }
        assert_eq!(model.normaliser.count(), 2 * 2000);
        let predicted = model.predict(&sample.steps()).unwrap();
        let rows: Vec<&[f32]> = predicted.chunks(5).collect();
        assert!(rows[0][4].abs() < 0.05 && rows[1][4] > 0.95 && rows[2][4] > 0.95, "{rows:?}");
        assert!(rows[1][..4].iter().chain(&rows[2][..4]).all(|x| x.abs() < 0.1), "{rows:?}");
        // The numbers of an absorbing row do not matter.
        let before = model.gradient_norms(&sample.steps()).unwrap();
        let _ = sample.obs.get(2).fill_(100.0);
        let _ = sample.action.get(2).fill_(1.0);
        assert_eq!(model.gradient_norms(&sample.steps()).unwrap(), before);
    }

    #[test]
    fn a_restored_model_goes_on_to_the_bit() {
        let (sample, mut saved, mut loaded) = (linear(64), model(true, 1e-3), model(true, 1e-3));
        for _ in 0..5 {
            saved.learn(&sample.steps()).unwrap();
        }
        let state = State::of(|io| saved.state(io)).unwrap();
        let state = State::from_bytes(&state.to_bytes().unwrap()).unwrap();
        loaded.state(&mut StateIo::load_from(&state)).unwrap();
        for model in [&mut saved, &mut loaded] {
            model.learn(&sample.steps()).unwrap();
        }
        assert_eq!(saved.gradient_norms(&sample.steps()).unwrap(), loaded.gradient_norms(&sample.steps()).unwrap());
    }
}
