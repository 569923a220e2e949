//! The actor–critics every agent stands on: SAC, and TD3 with DDPG as its switches.
//!
//! Start with `sac/equations.rs` and `td3/equations.rs`: each is its paper's update by autograd.
//! The CPU form stands beside it (`rows.rs`), on one thread's share of a batch (`shares`) and with
//! the networks' passes over it (`actor`, `critics`).
//!
//! `critics` is everything between a target and a step: networks and targets, distributions of
//! returns (`distribution`), normalised returns (`returns`), and limits on the gradient norm
//! (`value`). `off_policy` makes an agent of a `Learner` by adding the replay buffer.

mod actor;
mod batch;
mod categorical;
mod certify;
mod config;
mod critics;
mod diagnostics;
mod distribution;
mod distribution_config;
mod explore;
mod learner;
pub(crate) mod memory;
pub(crate) mod observations;
mod off_policy;
mod outputs;
mod q_bias;
mod quantile;
mod returns;
mod rewards;
mod sac;
mod sac_config;
mod shaped_reward;
mod shares;
mod td3;
mod td3_config;
mod temperature;
#[cfg(test)]
pub(crate) mod testing;
mod value;
mod value_gradient;

use liprl_nets::NetworkConfig;
use liprl_numerics::Mlp;

pub use batch::{DeviceBatch, Rows};
pub use config::{CriticLoss, CriticsKind, NormaliseConfig, OffPolicyConfig, ParameterNoise};
pub use critics::Critics;
pub use diagnostics::ProbedPairs;
pub use distribution_config::{CategoricalConfig, CriticHead, QuantileConfig};
pub use learner::Learner;
pub use off_policy::OffPolicy;
pub(crate) use q_bias::q_bias;
pub use returns::ReturnsConfig;
pub use rewards::Rewards;
pub use sac::Sac;
pub use sac_config::{SacConfig, Temperature};
pub use td3::Td3;
pub use td3_config::{Backup, DelayCounts, TargetUpdates, Td3Config};
pub use value::{
    Adversary, Against, CriticSpectralNorm, Networks, NoTerm, Per, PolicyAction, RobustConfig, SpectralForm,
    StateUnits, TermBatch, TermDraws, TermRows, TermSettings, TermShare, TermSizes, TermState, TermSums,
    ValuePenaltyConfig, ValueRegulariser, ValueRegulariserKind, ValueTerm,
};
pub(crate) use value_gradient::bound as value_bound;

/// The network that `config` describes.
fn mlp(config: &NetworkConfig, inputs: usize, outputs: usize) -> Mlp {
    Mlp::new(inputs, &config.hidden, outputs, config.activation, config.layer_norm, config.init)
}
