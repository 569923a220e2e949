//! The environment's reward with a shaping, for SAC and TD3.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/shaped_reward` | mean shaped reward over the rows of the last windows, with `shaping` |

use liprl_control::certify::Certifiable;
use liprl_numerics::{RunningNormaliser, StateIo};

use super::{Learner, ProbedPairs, Rewards};
use crate::{
    AgentError, Flags, Metrics, Replay, Setup, Transition, Visited, WindowBatch,
    replay::{WindowReturn, f32_slice_mut},
    shaping::{ShapedRows, Shaping, ShapingConfig, WindowRows},
};

/// The environment's reward with a shaping.
pub(crate) struct ShapedReward {
    shaping: Box<dyn Shaping>,
    rewards: Vec<f32>,
}

impl ShapedReward {
    /// The reward of a config, for an agent that discounts by `gamma`.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] for settings that do not fit the task or need another reward.
    pub(crate) fn new(config: &ShapingConfig, gamma: f64, setup: &Setup) -> Result<Self, AgentError> {
        Ok(Self { shaping: config.build_for_environment(setup, gamma)?, rewards: Vec::new() })
    }
}

impl Rewards for ShapedReward {
    fn begin(&mut self, _: &mut dyn Learner, _: Option<&mut RunningNormaliser>) -> Result<(), AgentError> {
        Ok(())
    }

    fn holds_moments(&self) -> bool {
        false
    }

    fn reads_t(&self) -> bool {
        self.shaping.reads_t()
    }

    fn observe(&mut self, transition: &Transition<'_>, replay: &mut Replay) -> Result<(), AgentError> {
        replay.push(transition, Flags::NONE)
    }

    fn relabel(&mut self, window: &mut WindowBatch, metrics: &mut Metrics) -> Result<(), AgentError> {
        self.rewards.clear();
        self.rewards.extend_from_slice(f32_slice_mut(&mut window.reward)?);
        let mask = Vec::<f32>::try_from(window.mask.f_flatten(0, -1)?)?;
        let steps = WindowRows::all(window)?;
        let mut no_gradient = || Err(ShapingConfig::no_gradient());
        let mut rows = ShapedRows {
            steps: steps.steps(),
            window: window.batch.n_step(),
            mask: Some(&mask),
            reward_gradient: &mut no_gradient,
        };
        self.shaping.shape(&mut rows, &mut self.rewards, metrics)?;
        let returns = window.returns(&self.rewards)?;
        let own = self.rewards.iter().zip(&mask).filter(|(_, own)| **own > 0.0).map(|(reward, _)| f64::from(*reward));
        metrics.add("train/shaped_reward", own.sum::<f64>() / f64::from(mask.iter().sum::<f32>()).max(1.0));
        let reward = f32_slice_mut(&mut window.batch.reward)?;
        for (reward, WindowReturn { sum, .. }) in reward.iter_mut().zip(returns) {
            *reward = sum as f32;
        }
        Ok(())
    }

    fn learn(&mut self, _: &Replay, window: &WindowBatch, metrics: &mut Metrics) -> Result<(), AgentError> {
        self.shaping.learn(&WindowRows::first(window)?.steps(), metrics)
    }

    fn expert_pairs(&self) -> Option<Visited> {
        None
    }

    fn diagnose(&mut self, _: &[ProbedPairs]) -> Result<Vec<(String, f64)>, AgentError> {
        Ok(Vec::new())
    }

    fn histograms(&mut self) -> Result<Vec<(String, Vec<f32>)>, AgentError> {
        Ok(Vec::new())
    }

    fn networks(&self) -> Result<Vec<Certifiable>, AgentError> {
        Ok(Vec::new())
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.shaping.state(&mut io.scope("shaping"))
    }
}
