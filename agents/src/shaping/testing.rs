//! Steps of random numbers for the tests of the shapings.

use liprl_numerics::testing::numbers;
use tch::Tensor;

use super::rows::{ShapedRows, Shaping, Steps};
use crate::{AgentError, Flags, Metrics};

/// Steps with their memory, and the gradient norms of the reward.
pub(super) struct Sample {
    pub(super) obs: Tensor,
    pub(super) action: Tensor,
    pub(super) next_obs: Tensor,
    pub(super) flags: Vec<Flags>,
    pub(super) t: Vec<u32>,
    pub(super) mask: Option<Vec<f32>>,
    pub(super) reward_gradient: Option<Vec<f32>>,
}

impl Sample {
    /// Standard normal observations, actions squashed, no flags, no mask, a reward without a
    /// gradient.
    pub(super) fn new(rows: usize, obs_dim: usize, act_dim: usize) -> Self {
        tch::set_num_threads(1);
        let normal = |name: &str, width: usize| {
            Tensor::from_slice(&numbers(rows * width, name)).view([rows as i64, width as i64])
        };
        Self {
            obs: normal("steps' observations", obs_dim),
            action: normal("steps' actions", act_dim).tanh(),
            next_obs: normal("steps' next observations", obs_dim),
            flags: vec![Flags::NONE; rows],
            t: Vec::new(),
            mask: None,
            reward_gradient: None,
        }
    }

    pub(super) fn steps(&self) -> Steps<'_> {
        Steps { obs: &self.obs, action: &self.action, next_obs: &self.next_obs, flags: &self.flags, t: &self.t }
    }

    /// Shapes `reward` in place; returns the metrics by name.
    pub(super) fn shape(
        &self,
        shaping: &mut dyn Shaping,
        window: usize,
        reward: &mut [f32],
    ) -> Vec<(std::borrow::Cow<'static, str>, f64)> {
        let mut metrics = Metrics::default();
        self.try_shape(shaping, window, reward, &mut metrics).unwrap();
        metrics.drain()
    }

    pub(super) fn try_shape(
        &self,
        shaping: &mut dyn Shaping,
        window: usize,
        reward: &mut [f32],
        metrics: &mut Metrics,
    ) -> Result<(), AgentError> {
        let mut reward_gradient = |_| {
            let problem = "the environment's reward has no gradient".to_owned();
            self.reward_gradient.clone().ok_or(AgentError::BadConfig { setting: "shaping".into(), problem })
        };
        let mask = self.mask.as_deref();
        let mut rows = ShapedRows { steps: self.steps(), window, mask, gradient_norms: &mut reward_gradient };
        shaping.shape(&mut rows, reward, metrics)
    }
}
