//! Every kind of agent a config can name.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use std::path::{Path, PathBuf};

use crate::{
    Agent, AgentError, Setup, TaskContext,
    actor_critic::{Learner, OffPolicy, Sac, SacConfig, Td3, Td3Config},
    demos::DemonstrationsConfig,
    feedback::{ExpertConfig, Feedback, FeedbackConfig},
    gail::{GailConfig, LearnedReward, PolicyConfig},
    mbpo::{Mbpo, MbpoConfig},
};

/// The `agent:` part of a config: `kind` and that kind's own keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AgentConfig {
    /// Soft actor–critic.
    Sac(#[garde(dive)] SacConfig),
    /// TD3, or DDPG by its switches.
    Td3(#[garde(dive)] Td3Config),
    /// Off-policy GAIL: imitation with a learned, Lipschitz-regularised reward.
    Gail(#[garde(dive)] Box<GailConfig>),
    /// Model-based policy optimisation: SAC on short rollouts in a learned model.
    Mbpo(#[garde(dive)] Box<MbpoConfig>),
    /// A policy fitted to demonstrations under a Lipschitz constraint.
    Feedback(#[garde(dive)] Box<FeedbackConfig>),
}

impl AgentConfig {
    /// The demonstrations it needs, for the caller to read: actions are scaled where the environment is known.
    pub fn demonstrations(&self) -> Option<&DemonstrationsConfig> {
        match self {
            Self::Gail(config) => config.demonstrations.as_ref(),
            Self::Feedback(config) => config.demonstrations.as_ref(),
            Self::Sac(_) | Self::Td3(_) | Self::Mbpo(_) => None,
        }
    }

    /// The demonstrations that it names, to be replaced.
    pub fn demonstrations_mut(&mut self) -> Option<&mut DemonstrationsConfig> {
        match self {
            Self::Gail(config) => config.demonstrations.as_mut(),
            Self::Feedback(config) => config.demonstrations.as_mut(),
            Self::Sac(_) | Self::Td3(_) | Self::Mbpo(_) => None,
        }
    }

    /// The files and folders that it names, by their settings. A dataset's id is not a path.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let (demonstrations, expert) = match self {
            Self::Gail(config) => (config.demonstrations.as_mut(), None),
            Self::Feedback(config) => (config.demonstrations.as_mut(), config.expert.as_mut()),
            Self::Sac(_) | Self::Td3(_) | Self::Mbpo(_) => (None, None),
        };
        let demonstrations = demonstrations.and_then(|named| Some(("agent.demonstrations", named.file_mut()?)));
        let expert = match expert {
            Some(ExpertConfig::Run { path }) => Some(("agent.expert.path", path)),
            _ => None,
        };
        demonstrations.into_iter().chain(expert).collect()
    }

    /// The trained run it asks, for the caller to read as well: run folders are the caller's.
    pub fn expert(&self) -> Option<&Path> {
        match self {
            Self::Feedback(config) => match &config.expert {
                Some(ExpertConfig::Run { path }) => Some(path),
                _ => None,
            },
            _ => None,
        }
    }

    /// The learner this config describes.
    pub fn build(&self, setup: &Setup, context: &TaskContext) -> Result<Box<dyn Agent>, AgentError> {
        Ok(match self {
            Self::Gail(config) => {
                let (shared, learning_starts) = config.policy_settings();
                let learner: Box<dyn Learner> = match &config.policy {
                    PolicyConfig::Td3(config) => Box::new(Td3::new(config, setup)?),
                    PolicyConfig::Sac(config) => Box::new(Sac::new(config, setup)?),
                };
                let rewards = Box::new(LearnedReward::new(config, shared.gamma, context, setup)?);
                Box::new(OffPolicy::with_rewards(rewards, learner, &shared, learning_starts, setup)?)
            }
            Self::Mbpo(config) => Box::new(Mbpo::new(config, setup, context)?),
            Self::Feedback(config) => Box::new(Feedback::new(config, setup, context)?),
            Self::Sac(config) => {
                let sac = Box::new(Sac::new(config, setup)?);
                Box::new(OffPolicy::new(sac, &config.shared, config.learning_starts, setup)?)
            }
            Self::Td3(config) => {
                let td3 = Box::new(Td3::new(config, setup)?);
                Box::new(OffPolicy::new(td3, &config.shared, config.learning_starts, setup)?)
            }
        })
    }
}
