//! PURPLE, the pessimistic reward preconditioning of arXiv 2006.16785 (the authors' `gail_mod_f`).
//! At large gradient norms of the forward model the value's Lipschitz constant would grow along the
//! trajectory, so the reward is made smaller there.
//!
//! p = max(0, g_f(s, a) − τ)², κ = max(floor, exp(−p/σ)), r̃ = κ r, with g_f of `forward` and σ of
//! `kappa`.
//!
//! Differs from the authors' code in: a κ for each row; `per_call` gives theirs, one for each
//! window or batch.

use garde::Validate;
use liprl_numerics::StateIo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    forward::{ForwardModel, ForwardModelConfig},
    kappa::{Kappa, KappaOptions, penalty},
    rows::{ShapedRows, Shaping, Steps},
};
use crate::{AgentError, Metrics, Setup};

/// κ r with κ from the gradient of a learnt forward model (PURPLE). Sources: arXiv 2006.16785's authors'
/// code and run configs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct PurpleConfig {
    /// τ: norms of the forward model's gradient up to this cost nothing. Default `7` (runs used 5
    /// to 10; the code's default is 9).
    #[garde(range(min = 0.0))]
    pub target: f64,
    /// κ is never smaller. Default `0.7`.
    #[garde(range(min = 0.0, max = 1.0))]
    pub floor: f64,
    /// Calls whose mean penalties are merged again into the running moments with each call; 1
    /// counts each call once. Default `10`.
    #[garde(range(min = 1, max = 1_000_000))]
    pub history: usize,
    /// The penalties' running deviation is never smaller. Default `0.1`.
    #[garde(range(min = 1e-9))]
    pub std_floor: f64,
    /// One κ for all rows of a window (of the batch, if windows have one row), as the reference
    /// does, rather than one for each row. Default `false`.
    pub per_call: bool,
    /// The forward model.
    #[garde(dive)]
    pub forward_model: ForwardModelConfig,
}

impl Default for PurpleConfig {
    fn default() -> Self {
        Self {
            target: 7.0,
            floor: 0.7,
            history: 10,
            std_floor: 0.1,
            per_call: false,
            forward_model: ForwardModelConfig::default(),
        }
    }
}

/// The shaping.
#[derive(Debug)]
pub struct Purple {
    target: f64,
    model: ForwardModel,
    kappa: Kappa,
}

impl Purple {
    /// The shaping with a model that has learnt nothing yet; `absorbing` as `ForwardModel::new`
    /// takes it.
    pub fn new(config: &PurpleConfig, setup: &Setup, absorbing: bool) -> Result<Self, AgentError> {
        let PurpleConfig { floor, history, std_floor, per_call, .. } = *config;
        Ok(Self {
            target: config.target,
            model: ForwardModel::new(&config.forward_model, setup, absorbing)?,
            kappa: Kappa::new(KappaOptions { floor, history, std_floor, per_call }),
        })
    }
}

impl Shaping for Purple {
    fn shape(
        &mut self,
        rows: &mut ShapedRows<'_>,
        reward: &mut [f32],
        metrics: &mut Metrics,
    ) -> Result<(), AgentError> {
        let norms = self.model.gradient_norms(&rows.steps)?;
        let penalties: Vec<f32> = norms.iter().map(|&norm| penalty(norm, self.target)).collect();
        self.kappa.apply(&penalties, rows, reward, metrics);
        Ok(())
    }

    fn shape_absorbing(&mut self, rows: &mut ShapedRows<'_>, reward: f32) -> Result<f32, AgentError> {
        let norm = self.model.gradient_norms(&rows.steps)?[0];
        Ok(self.kappa.held(penalty(norm, self.target), reward))
    }

    fn learn(&mut self, steps: &Steps<'_>, metrics: &mut Metrics) -> Result<(), AgentError> {
        metrics.add("train/forward_model_loss", self.model.learn(steps)?);
        Ok(())
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.kappa.state(io)?;
        self.model.state(&mut io.scope("forward_model"))
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{State, Streams};
    use tch::Device;

    use super::*;
    use crate::{Flags, shaping::testing::Sample};

    /// After enough learning that the gradients spread around `target`.
    fn learnt(config: &PurpleConfig, sample: &Sample) -> Purple {
        let setup = Setup { obs_dim: 4, act_dim: 2, streams: Streams::new(3), device: Device::Cpu, threads: 1 };
        let mut purple = Purple::new(config, &setup, false).unwrap();
        (0..200).for_each(|_| purple.learn(&sample.steps(), &mut Metrics::default()).unwrap());
        purple
    }

    fn config(per_call: bool) -> PurpleConfig {
        let forward_model = ForwardModelConfig { lr: 1e-3, ..ForwardModelConfig::default() };
        PurpleConfig { target: 0.2, per_call, forward_model, ..PurpleConfig::default() }
    }

    #[test]
    fn rewards_are_preconditioned_by_the_model_s_gradient() {
        let sample = Sample::new(60, 4, 2);
        for per_call in [false, true] {
            let mut purple = learnt(&config(per_call), &sample);
            let norms = purple.model.gradient_norms(&sample.steps()).unwrap();
            let mut reward = vec![2.0; 60];
            let metrics = sample.shape(&mut purple, 10, &mut reward);
            // The definition over windows of ten, the reference's running moments written out.
            let (mut recent, mut count, mut mean, mut std) = (Vec::new(), 1e-4, 0.0, 1.0f64);
            for (window, norms) in reward.chunks(10).zip(norms.chunks(10)) {
                let p: Vec<f64> = norms.iter().map(|norm| (f64::from(*norm) - 0.2).max(0.0).powi(2)).collect();
                let call = p.iter().sum::<f64>() / 10.0;
                recent.push(call);
                let n = recent.len() as f64;
                let m = recent.iter().sum::<f64>() / n;
                let v = recent.iter().map(|x| (x - m).powi(2)).sum::<f64>() / n;
                let delta: f64 = m - mean;
                let m2 = std.powi(2) * count + v * n + delta.powi(2) * count * n / (count + n);
                mean += delta * n / (count + n);
                count += n;
                std = (m2 / count).max(1e-2).sqrt();
                for (reward, p) in window.iter().zip(p) {
                    let kappa = (-(if per_call { call } else { p }) / std).exp().max(0.7);
                    assert!((f64::from(*reward) - 2.0 * kappa).abs() < 1e-5, "{reward} {kappa}");
                }
            }
            assert!(metrics[0].1 < 1.0 && metrics[1].1 >= 0.7, "{metrics:?}");
        }
    }

    /// The absorbing row's κ is that of its own penalty, with the σ of replayed rows, which it
    /// leaves unchanged.
    #[test]
    fn the_absorbing_reward_is_preconditioned_too_and_moves_nothing() {
        let mut sample = Sample::new(1, 4, 2);
        let mut purple = learnt(&config(false), &Sample::new(60, 4, 2));
        sample.flags[0] = Flags::OBS_ABSORBING | Flags::NEXT_ABSORBING;
        let (before, mut reward) = (purple.kappa.clone(), [2.0]);
        let mut none = |_| Ok(Vec::new());
        let mut rows = ShapedRows { steps: sample.steps(), window: 1, mask: None, gradient_norms: &mut none };
        let shaped = purple.shape_absorbing(&mut rows, 2.0).unwrap();
        assert_eq!(purple.kappa, before);
        let norm = purple.model.gradient_norms(&sample.steps()).unwrap()[0];
        // Nothing has been shaped: σ is its first value, 1.
        let kappa = (-(f64::from(norm) - 0.2).max(0.0).powi(2)).exp().max(0.7);
        assert!((f64::from(shaped) - 2.0 * kappa).abs() < 1e-6 && kappa < 1.0, "{shaped} {kappa}");
        sample.shape(&mut purple, 1, &mut reward);
        assert_ne!(purple.kappa, before);
    }

    #[test]
    fn a_gradient_below_the_target_leaves_the_reward_alone() {
        let sample = Sample::new(20, 4, 2);
        let mut purple = learnt(&PurpleConfig { target: 1e3, ..config(false) }, &sample);
        let mut reward = vec![0.3; 20];
        let metrics = sample.shape(&mut purple, 1, &mut reward);
        assert_eq!(reward, [0.3; 20]);
        assert_eq!(metrics.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [1.0, 1.0, 0.0]);
    }

    #[test]
    fn a_restored_shaping_goes_on_to_the_bit() {
        let sample = Sample::new(40, 4, 2);
        let mut saved = learnt(&config(false), &sample);
        sample.shape(&mut saved, 10, &mut [1.0; 40]);
        let state = State::of(|io| saved.state(io)).unwrap();
        let state = State::from_bytes(&state.to_bytes().unwrap()).unwrap();
        let setup = Setup { obs_dim: 4, act_dim: 2, streams: Streams::new(9), device: Device::Cpu, threads: 1 };
        let mut loaded = Purple::new(&config(false), &setup, false).unwrap();
        loaded.state(&mut StateIo::load_from(&state)).unwrap();
        let [first, second] = [&mut saved, &mut loaded].map(|purple| {
            let (mut reward, mut metrics) = ([1.0; 40], Metrics::default());
            purple.learn(&sample.steps(), &mut metrics).unwrap();
            sample.try_shape(purple, 10, &mut reward, &mut metrics).unwrap();
            (reward, metrics.drain())
        });
        assert_eq!(first, second);
    }
}
