//! Settings of off-policy GAIL. Source unless another is named: Blondé, Strasser & Kalousis 2020
//! (arXiv 2006.16785) and its authors' code.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{discriminator_config::DiscriminatorConfig, reference::Reference, reward::RewardConfig};
use crate::{
    AgentError, TaskContext,
    actor_critic::{OffPolicyConfig, SacConfig, Td3Config},
    cloning::CloningConfig,
    demos::DemonstrationsConfig,
    shaping::{ForwardModelConfig, ShapingConfig},
};

/// Off-policy GAIL: an actor–critic learns from replay. Its learned, Lipschitz-regularised rewards
/// come from a discriminator between its own transitions and demonstrated ones, at the moment of
/// sampling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct GailConfig {
    /// File to imitate: a Minari or D4RL HDF5 file, or a Minari dataset's folder. Needed unless the
    /// reward is `environment` or `constant`.
    pub demonstrations: Option<DemonstrationsConfig>,
    /// Number of its episodes that are used, the first ones. Default: all.
    #[garde(inner(range(min = 1)))]
    pub episodes: Option<usize>,
    /// Every n-th step of each episode is used, from a random first one. With `absorbing` on, so is
    /// the step that ended it. Default `20`; 1 uses all.
    #[garde(range(min = 1))]
    pub keep_every: usize,
    /// The learner that imitates. Default `{kind: td3}` with TD3's defaults.
    #[garde(dive)]
    pub policy: PolicyConfig,
    /// Classifier of demonstrated transitions against the policy's.
    #[garde(dive)]
    pub discriminator: DiscriminatorConfig,
    /// Reward, from the discriminator's output or another source. Default `{kind: minimax}`.
    #[garde(dive)]
    pub reward: RewardConfig,
    /// Change of the reward before the policy learns from it. Default: none.
    #[garde(dive)]
    pub shaping: Option<ShapingConfig>,
    /// Forward model, learnt beside the rest, for the diagnostics that need one
    /// (`lipschitz/model_jacobian`, `lipschitz/gamma2c`, …). Default: none.
    #[garde(dive)]
    pub monitor: Option<ForwardModelConfig>,
    /// Treatment of episodes that the task ended. Default: `value` if the task can end an episode,
    /// else `off`.
    pub absorbing: Option<Absorbing>,
    /// Behaviour cloning of the demonstrations before the first step. Default: none.
    #[garde(dive)]
    pub warm_start: Option<CloningConfig>,
    /// Reference-implementation quirks, which change numbers: `true` for all of them, or one by
    /// one. Default `false`.
    pub reference: Reference,
}

impl Default for GailConfig {
    fn default() -> Self {
        Self {
            demonstrations: None,
            episodes: None,
            keep_every: 20,
            policy: PolicyConfig::Td3(Td3Config::default()),
            discriminator: DiscriminatorConfig::default(),
            reward: RewardConfig::default(),
            shaping: None,
            monitor: None,
            absorbing: None,
            warm_start: None,
            reference: Reference::default(),
        }
    }
}

impl GailConfig {
    /// Treatment of terminations.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] if it does not fit the task or the discount.
    pub(super) fn absorbing(&self, gamma: f64, context: &TaskContext) -> Result<Absorbing, AgentError> {
        let all = self.reference == Reference::All(true);
        let chosen = self.absorbing.unwrap_or(match (context.can_terminate, all) {
            (false, _) => Absorbing::Off,
            (true, true) => Absorbing::Reference,
            (true, false) => Absorbing::Value,
        });
        let bad = |problem: &str| AgentError::BadConfig { setting: "agent.absorbing".into(), problem: problem.into() };
        if chosen != Absorbing::Off && !context.can_terminate {
            return Err(bad(
                "this task never ends an episode, so there is no absorbing state; leave it out or write `off`",
            ));
        }
        if chosen == Absorbing::Value && gamma >= 1.0 {
            return Err(bad("with agent.policy.gamma 1 the absorbing state's value r/(1 − gamma) is infinite; \
                 lower gamma or write `off`"));
        }
        Ok(chosen)
    }
}

/// The actor–critic under the learned reward. Its own settings hold the discount, the batch and the
/// schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PolicyConfig {
    /// TD3, or DDPG by its switches.
    Td3(#[garde(dive)] Td3Config),
    /// Soft actor–critic.
    Sac(#[garde(dive)] SacConfig),
}

impl GailConfig {
    /// Settings of the policy's learning that SAC and TD3 share, and the steps of random actions.
    pub fn policy_settings(&self) -> (OffPolicyConfig, u64) {
        let (mut shared, learning_starts) = match &self.policy {
            PolicyConfig::Td3(config) => (config.shared.clone(), config.learning_starts),
            PolicyConfig::Sac(config) => (config.shared.clone(), config.learning_starts),
        };
        if self.reference.quirks().scalar_moments
            && let Some(normalise) = &mut shared.normalise_observations
        {
            normalise.scalar = true;
        }
        (shared, learning_starts)
    }
}

/// Treatment of an episode that the task ended, whose reward would otherwise stop. An imitator
/// rewarded at each step would learn to survive, one punished at each step to end the episode,
/// whatever the demonstrations do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Absorbing {
    /// The next state is worth nothing.
    Off,
    /// The next state is the absorbing one (Kostrikov et al. 2019), which leads to itself for ever.
    /// It is worth r(absorbing)/(1 − γ), in closed form from the current reward. The discriminator
    /// sees one absorbing transition for each ended episode, on both sides.
    Value,
    /// A copy of the last transition is stored, rewarded as the absorbing one and worth that reward
    /// alone (the authors' code).
    Reference,
}
