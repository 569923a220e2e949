//! Every kind of agent a config can name.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Agent, AgentError, Streams,
    actor_critic::{OffPolicy, Sac, SacConfig, Td3, Td3Config},
};

/// The `agent:` part of a config: `kind` and that kind's own keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AgentConfig {
    /// Soft actor–critic.
    Sac(#[garde(dive)] SacConfig),
    /// TD3, or DDPG by its switches.
    Td3(#[garde(dive)] Td3Config),
}

/// What an agent is built for and on.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Numbers in an observation.
    pub obs_dim: usize,
    /// Numbers in an action.
    pub act_dim: usize,
    /// The run's random streams.
    pub streams: Streams,
    /// Where the networks live.
    pub device: tch::Device,
    /// Threads that share the work of one update on a CPU, at least 1.
    pub threads: usize,
}

impl AgentConfig {
    /// The learner this config describes.
    pub fn build(&self, setup: &Setup) -> Result<Box<dyn Agent>, AgentError> {
        Ok(match self {
            Self::Sac(config) => Box::new(OffPolicy::new(Box::new(Sac::new(config, setup)?), config.into(), setup)?),
            Self::Td3(config) => Box::new(OffPolicy::new(Box::new(Td3::new(config, setup)?), config.into(), setup)?),
        })
    }
}
