//! SAC's settings. Sources: [H] Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and
//! Applications" (arXiv 1812.05905), table 1; [C] its authors' code (softlearning).

use garde::Validate;
use liprl_nets::{LrSchedule, NetworkConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CriticHead, ReturnsConfig,
    config::{CriticLoss, NormaliseConfig},
    value::{Beside, CriticSpectralNorm, ValueRegulariser, check_regulariser, check_spectral_norm},
};
use crate::replay::PriorityConfig;

/// Soft actor–critic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct SacConfig {
    /// Discount per environment step. Default `0.99` [H].
    #[garde(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
    /// Steps of reward summed before bootstrapping. Default `1` [H].
    #[garde(range(min = 1, max = 1000))]
    pub n_step: usize,
    /// Transitions per gradient update. Default `256` [H].
    #[garde(range(min = 1, max = 1_048_576))]
    pub batch_size: usize,
    /// Transitions kept; the oldest go first. Default `1e6` [H].
    #[garde(range(min = 1))]
    pub buffer_size: usize,
    /// Environment steps of uniformly random actions before the first update. Default `1000` [C].
    pub learning_starts: u64,
    /// Environment steps between rounds of updates. Default `1` [H].
    #[garde(range(min = 1))]
    pub update_every: u64,
    /// Gradient updates in a round. Default `1` [H].
    #[garde(range(min = 1))]
    pub updates: u64,
    /// Share of the critics that moves into the target critics at each target update. Default
    /// `0.005` [H].
    #[garde(range(min = 0.0, max = 1.0))]
    pub tau: f64,
    /// Gradient updates between target updates. Default `1` [H].
    #[garde(range(min = 1))]
    pub target_update_every: u64,
    /// Loss of each critic. Default `squared` [H].
    pub critic_loss: CriticLoss,
    /// The policy's network.
    #[garde(dive)]
    pub actor: NetworkConfig,
    /// The network of each of the two critics.
    #[garde(dive)]
    pub critic: NetworkConfig,
    /// Weight of the entropy. Default `{kind: auto}` [H].
    #[garde(dive)]
    pub temperature: Temperature,
    /// Standardise observations by running moments. Default: none.
    #[garde(dive)]
    pub normalise_observations: Option<NormaliseConfig>,
    /// Normalise what the critics learn by its running moments, with Pop-Art or without. Default:
    /// none.
    #[garde(dive)]
    pub normalise_returns: Option<ReturnsConfig>,
    /// Spectral normalisation of every layer of the critics. Default: none.
    #[garde(dive, custom(check_spectral_norm(self.beside())))]
    pub critic_spectral_norm: Option<CriticSpectralNorm>,
    /// A regularising term in the critics' loss, beside spectral normalisation or without it.
    /// Default `{kind: none}`.
    #[garde(dive, custom(check_regulariser(self.beside())))]
    pub value_regulariser: ValueRegulariser,
    /// Prioritised replay. Default: none, sampling is uniform.
    #[garde(dive)]
    pub priorities: Option<PriorityConfig>,
}

impl Default for SacConfig {
    fn default() -> Self {
        Self {
            gamma: 0.99,
            n_step: 1,
            batch_size: 256,
            buffer_size: 1_000_000,
            learning_starts: 1000,
            update_every: 1,
            updates: 1,
            tau: 0.005,
            target_update_every: 1,
            critic_loss: CriticLoss::Squared,
            actor: NetworkConfig::default(),
            critic: NetworkConfig::default(),
            temperature: Temperature::default(),
            normalise_observations: None,
            normalise_returns: None,
            critic_spectral_norm: None,
            value_regulariser: ValueRegulariser::None,
            priorities: None,
        }
    }
}

impl SacConfig {
    /// Settings that the critics' regularisers are checked against.
    fn beside(&self) -> Beside<'_> {
        Beside {
            critic: &self.critic,
            head: CriticHead::Scalar,
            returns: self.normalise_returns,
            normalise: self.normalise_observations,
            stochastic_policy: true,
        }
    }
}

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
