//! The environment's reward with a shaping, for SAC and TD3.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/shaped_reward` | mean shaped reward over the rows of the last windows, with `shaping` |

use liprl_numerics::StateIo;

use super::Rewards;
use crate::{
    AgentError, Metrics, Replay, Setup, WindowBatch,
    replay::f32_slice_mut,
    shaping::{ShapedRows, Shaping, ShapingConfig, WindowRows, no_gradient},
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
    fn reads_t(&self) -> bool {
        self.shaping.reads_t()
    }

    fn relabel(&mut self, window: &mut WindowBatch, metrics: &mut Metrics) -> Result<(), AgentError> {
        self.rewards.clear();
        self.rewards.extend_from_slice(f32_slice_mut(&mut window.reward)?);
        let mask = Vec::<f32>::try_from(window.mask.f_flatten(0, -1)?)?;
        let steps = WindowRows::all(window)?;
        let mut no_gradient = |_| Err(no_gradient());
        let mut rows = ShapedRows {
            steps: steps.steps(),
            window: window.batch.n_step(),
            mask: Some(&mask),
            gradient_norms: &mut no_gradient,
        };
        self.shaping.shape(&mut rows, &mut self.rewards, metrics)?;
        let own = self.rewards.iter().zip(&mask).filter(|(_, own)| **own > 0.0).map(|(reward, _)| f64::from(*reward));
        metrics.add("train/shaped_reward", own.sum::<f64>() / f64::from(mask.iter().sum::<f32>()).max(1.0));
        window.reward_by(&self.rewards)
    }

    fn learn(&mut self, _: &Replay, window: &WindowBatch, metrics: &mut Metrics) -> Result<(), AgentError> {
        self.shaping.learn(&WindowRows::first(window)?.steps(), metrics)
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.shaping.state(&mut io.scope("shaping"))
    }
}
