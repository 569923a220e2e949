//! The actor–critics every agent stands on: SAC, and TD3 with DDPG as its switches.

mod config;
mod sac_config;
mod td3_config;

pub use config::{ActionNoise, CriticLoss, LrSchedule, NetworkConfig, NormaliseConfig, ParameterNoise, PriorityConfig};
pub use sac_config::{SacConfig, Temperature};
pub use td3_config::{Backup, Td3Config};
