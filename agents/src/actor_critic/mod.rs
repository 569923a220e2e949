//! The actor–critics every agent stands on: SAC, and TD3 with DDPG as its switches.
//!
//! `critic`, `actor` and `temperature` hold the equations, each as autograd and by hand; so do `categorical` and `quantile` for
//! critics that put out a distribution. `returns` normalises what scalar critics learn, `value` keeps them from being steep. `sac` and `td3` string them together into
//! a `Learner`, which learns from batches; `off_policy` makes an agent of one by adding the replay buffer.

pub mod actor;
pub mod batch;
pub mod categorical;
mod certify;
mod config;
pub mod critic;
mod diagnostics;
pub mod distribution;
mod explore;
mod head;
pub(crate) mod learner;
mod off_policy;
pub mod quantile;
pub mod returns;
mod rewards;
mod sac;
mod sac_config;
pub(crate) mod seeing;
mod td3;
mod td3_config;
pub mod temperature;
#[cfg(test)]
pub(crate) mod testing;
pub mod value;

pub(crate) use certify::critics_to_certify;
pub use config::{CriticLoss, NormaliseConfig, ParameterNoise};
pub use diagnostics::Place;
pub use head::{CategoricalConfig, CriticHead, QuantileConfig};
pub use learner::Learner;
pub use off_policy::{OffPolicy, Schedule};
pub use returns::ReturnsConfig;
pub use rewards::Rewards;
pub use sac::Sac;
pub use sac_config::{SacConfig, Temperature};
pub use td3::Td3;
pub use td3_config::{Backup, DelayCounts, TargetUpdates, Td3Config};
pub(crate) use value::local::bound as value_bound;
pub use value::{CriticSpectralNorm, SpectralForm, ValueRegulariser};
