//! SAC's settings. Sources: [H] Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and
//! Applications" (arXiv 1812.05905), table 1; [C] its authors' code (softlearning).

use garde::Validate;
use liprl_nets::LrSchedule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CriticHead, CriticsKind, OffPolicyConfig};

/// Soft actor–critic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct SacConfig {
    /// Settings that TD3 has too.
    #[serde(flatten)]
    #[garde(dive(&KIND))]
    pub shared: OffPolicyConfig,
    /// Environment steps of uniformly random actions before the first update. Default `1000` [C].
    pub learning_starts: u64,
    /// Gradient updates between target updates. Default `1` [H].
    #[garde(range(min = 1))]
    pub target_update_every: u64,
    /// Weight of the entropy. Default `{kind: auto}` [H].
    #[garde(dive)]
    pub temperature: Temperature,
}

impl Default for SacConfig {
    fn default() -> Self {
        Self {
            shared: OffPolicyConfig::default(),
            learning_starts: 1000,
            target_update_every: 1,
            temperature: Temperature::default(),
        }
    }
}

const KIND: CriticsKind = CriticsKind { head: CriticHead::Scalar, stochastic_policy: true };

/// The entropy's weight α.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum Temperature {
    /// Tuned so that the policy's entropy meets a target ([H] section 5).
    Auto {
        /// First α. Default `1` [C].
        #[serde(default = "one")]
        #[garde(range(min = 1e-9))]
        initial: f64,
        /// Wanted entropy, in nats. Default: minus the number of action dimensions [H].
        #[serde(default)]
        target_entropy: Option<f64>,
        /// Adam's learning rate on log α. Default `3e-4` [H].
        #[serde(default = "default_lr")]
        #[garde(range(min = 0.0, max = 1.0))]
        lr: f64,
        /// Schedule of that learning rate over updates. Default `constant`.
        #[serde(default)]
        #[garde(dive)]
        lr_schedule: LrSchedule,
    },
    /// Kept as it is.
    Fixed {
        /// α.
        #[garde(range(min = 0.0))]
        alpha: f64,
    },
}

impl Default for Temperature {
    fn default() -> Self {
        Self::Auto { initial: 1.0, target_entropy: None, lr: default_lr(), lr_schedule: LrSchedule::Constant }
    }
}

fn one() -> f64 {
    1.0
}

fn default_lr() -> f64 {
    3e-4
}
