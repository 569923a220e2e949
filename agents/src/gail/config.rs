//! Settings of off-policy GAIL. Source unless another is named: Blondé, Strasser & Kalousis 2020 (arXiv 2006.16785) and its authors' code.

use std::path::PathBuf;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{discriminator_config::DiscriminatorConfig, reference::Reference, reward::RewardConfig};
use crate::{
    AgentError, TaskContext,
    actor_critic::{SacConfig, Schedule, Td3Config},
    cloning::CloningConfig,
    shaping::{ForwardModelConfig, ShapingConfig},
};

/// Off-policy generative adversarial imitation: an actor–critic learns from replay, on rewards that a discriminator between its own
/// transitions and demonstrated ones gives at the moment of sampling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct GailConfig {
    /// What is imitated: a Minari or D4RL HDF5 file, or a Minari dataset's folder. Needed unless the reward is `environment` or
    /// `constant`.
    pub demonstrations: Option<PathBuf>,
    /// Episodes used of it, the first ones. Default: all.
    #[garde(inner(range(min = 1)))]
    pub episodes: Option<usize>,
    /// Of each episode every n-th step is used, from a random first one. Default `20`; 1 uses all.
    #[garde(range(min = 1))]
    pub keep_every: usize,
    /// The learner that imitates. Default `{kind: td3}` with TD3's defaults.
    #[garde(dive)]
    pub policy: PolicyConfig,
    /// What tells demonstrated transitions from the policy's.
    #[garde(dive)]
    pub discriminator: DiscriminatorConfig,
    /// How its output becomes a reward. Default `{kind: minimax}`.
    #[garde(dive)]
    pub reward: RewardConfig,
    /// What is done to the reward before the policy learns from it. Default: nothing.
    #[garde(dive)]
    pub shaping: Option<ShapingConfig>,
    /// A forward model, learnt beside the rest, for the diagnostics that need one (`lipschitz/model_jacobian`, `lipschitz/gamma2c`, …). Default:
    /// none.
    #[garde(dive)]
    pub monitor: Option<ForwardModelConfig>,
    /// What becomes of an episode that the task ended. Default: `value` where the task can end an episode, else `off`.
    pub absorbing: Option<Absorbing>,
    /// Behaviour cloning of the demonstrations before the first step. Default: none.
    #[garde(dive)]
    pub warm_start: Option<CloningConfig>,
    /// Ways of the authors' code that change numbers: `true` for all of them, or one by one. Default `false`.
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
            reward: RewardConfig::Minimax,
            shaping: None,
            monitor: None,
            absorbing: None,
            warm_start: None,
            reference: Reference::default(),
        }
    }
}

impl GailConfig {
    /// What is done about terminations, and whether that goes with the task and the discount.
    pub(super) fn absorbing(&self, schedule: &Schedule, context: &TaskContext) -> Result<Absorbing, AgentError> {
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
        if chosen == Absorbing::Value && schedule.gamma >= 1.0 {
            return Err(bad(
                "with agent.policy.gamma 1 the absorbing state's value r/(1 − gamma) is infinite; lower gamma or write `off`",
            ));
        }
        Ok(chosen)
    }
}

/// The actor–critic under the learned reward; its own settings say how often it learns, from how much, discounted how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PolicyConfig {
    /// TD3, or DDPG by its switches.
    Td3(#[garde(dive)] Td3Config),
    /// Soft actor–critic.
    Sac(#[garde(dive)] SacConfig),
}

impl GailConfig {
    /// When the policy learns, and from how much.
    pub fn schedule(&self) -> Schedule {
        let mut schedule: Schedule = match &self.policy {
            PolicyConfig::Td3(config) => config.into(),
            PolicyConfig::Sac(config) => config.into(),
        };
        if self.reference.quirks().scalar_moments
            && let Some(normalise) = &mut schedule.normalise
        {
            normalise.scalar = true;
        }
        schedule
    }
}

/// What becomes of an episode that the task ended, whose reward would otherwise stop: an imitator rewarded at each step would learn to
/// survive, one punished at each step to end it, whatever the demonstrations do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Absorbing {
    /// The next state is worth nothing.
    Off,
    /// The next state is the absorbing one (Kostrikov et al. 2019), which leads to itself for ever: it is worth r(absorbing)/(1 − γ), in closed
    /// form from the reward of the moment. The discriminator sees one absorbing transition for each ended episode, on both sides.
    Value,
    /// As the authors' code: a copy of the last transition, rewarded as the absorbing one, is stored and is worth that reward alone.
    Reference,
}
