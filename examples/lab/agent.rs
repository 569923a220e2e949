//! An agent of your own: SAC under a reward that is computed when transitions are replayed.

use garde::Validate;
use liprl::agents::{
    Agent, AgentError, AgentKind, Metrics, Setup, TaskContext, WindowBatch,
    actor_critic::{OffPolicy, Rewards, Sac, SacConfig},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// SAC with a bonus for moving: r + β ‖s' − s‖₂.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restless {
    /// β, reward per unit of distance.
    #[garde(range(min = 0.0))]
    bonus: f64,
    /// The learner's settings.
    #[serde(default)]
    #[garde(dive)]
    policy: SacConfig,
}

impl AgentKind for Restless {
    fn build(&self, setup: &Setup, _: &TaskContext) -> Result<Box<dyn Agent>, AgentError> {
        let (sac, shared) = (Box::new(Sac::new(&self.policy, setup)?), &self.policy.shared);
        let rewards = Box::new(Moved { bonus: self.bonus });
        Ok(Box::new(OffPolicy::with_rewards(rewards, sac, shared, self.policy.learning_starts, setup)?))
    }
}

struct Moved {
    bonus: f64,
}

impl Rewards for Moved {
    fn relabel(&mut self, window: &mut WindowBatch, metrics: &mut Metrics) -> Result<(), AgentError> {
        let moved = (&window.next_obs - &window.obs).square().sum_dim_intlist([2].as_slice(), false, None).sqrt();
        metrics.add("train/moved", moved.mean(None).double_value(&[]));
        window.reward_by(&Vec::try_from((&window.reward + moved * self.bonus).flatten(0, -1))?)
    }
}
