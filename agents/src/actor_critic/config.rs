//! The settings that SAC and TD3 share. Sources: [H] Haarnoja et al. 2018 (arXiv 1812.05905), table 1;
//! [F] Fujimoto et al. 2018 (arXiv 1802.09477), section 6.1; [C] TD3's authors' code.

use garde::Validate;
use liprl_nets::NetworkConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CriticHead, ReturnsConfig,
    value::{CriticSpectralNorm, ValueRegulariser, check_regulariser, check_spectral_norm},
};
use crate::{replay::PriorityConfig, shaping::ShapingConfig};

/// Settings of replay, of when to learn, and of the critics and the policy, whatever their losses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default)]
#[garde(allow_unvalidated)]
#[garde(context(CriticsKind))]
pub struct OffPolicyConfig {
    /// Discount per environment step. Default `0.99` [H], [F].
    #[garde(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
    /// Steps of reward summed before bootstrapping. Default `1` [H], [F].
    #[garde(range(min = 1, max = 1000))]
    pub n_step: usize,
    /// Transitions per gradient update. Default `256` [H], [C].
    #[garde(range(min = 1, max = 1_048_576))]
    pub batch_size: usize,
    /// Transitions kept; the oldest go first. Default `1e6` [H], [C].
    #[garde(range(min = 1))]
    pub buffer_size: usize,
    /// Environment steps between rounds of updates. Default `1` [H], [F].
    #[garde(range(min = 1))]
    pub update_every: u64,
    /// Gradient updates in a round. Default `1` [H], [F].
    #[garde(range(min = 1))]
    pub updates: u64,
    /// Share of the networks that moves into the targets at each target update. Default `0.005` [H],
    /// [F].
    #[garde(range(min = 0.0, max = 1.0))]
    pub tau: f64,
    /// Loss of each scalar critic. Default `squared` [H], [F].
    pub critic_loss: CriticLoss,
    /// The policy's network.
    #[garde(dive(&()))]
    pub actor: NetworkConfig,
    /// The network of each critic.
    #[garde(dive(&()), custom(check_critic(self)))]
    pub critic: NetworkConfig,
    /// Standardise observations by running moments. Default: none.
    #[garde(dive(&()))]
    pub normalise_observations: Option<NormaliseConfig>,
    /// Normalise what scalar critics learn by its running moments, with Pop-Art or without. Default:
    /// none.
    #[garde(dive(&()), custom(has_scalar_critics))]
    pub normalise_returns: Option<ReturnsConfig>,
    /// Spectral normalisation of every layer of the critics. Default: none.
    #[garde(dive(&()), custom(check_spectral_norm(self)))]
    pub critic_spectral_norm: Option<CriticSpectralNorm>,
    /// A regularising term in the critics' loss, beside spectral normalisation or without it. Default
    /// `{kind: none}`.
    #[garde(dive(&()), custom(check_regulariser(self)))]
    pub value_regulariser: ValueRegulariser,
    /// Prioritised replay. Default: none, sampling is uniform.
    #[garde(dive(&()))]
    pub priorities: Option<PriorityConfig>,
    /// Change of the environment's reward before the policy learns from it; with `gail` that is
    /// `agent.shaping`. Default: none.
    #[garde(dive(&()))]
    pub shaping: Option<ShapingConfig>,
}

impl Default for OffPolicyConfig {
    fn default() -> Self {
        Self {
            gamma: 0.99,
            n_step: 1,
            batch_size: 256,
            buffer_size: 1_000_000,
            update_every: 1,
            updates: 1,
            tau: 0.005,
            critic_loss: CriticLoss::Squared,
            actor: NetworkConfig::default(),
            critic: NetworkConfig::default(),
            normalise_observations: None,
            normalise_returns: None,
            critic_spectral_norm: None,
            value_regulariser: ValueRegulariser::default(),
            priorities: None,
            shaping: None,
        }
    }
}

/// The critics and the policy that shared settings are checked against.
#[derive(Clone, Copy, Debug)]
pub struct CriticsKind {
    /// Output of each critic.
    pub head: CriticHead,
    /// True of a policy that samples its actions.
    pub stochastic_policy: bool,
}

impl CriticsKind {
    /// The problem of a setting that takes scalar critics beside others.
    pub(super) fn distribution(self) -> Option<String> {
        let name = self.head.name();
        let scalar = matches!(self.head, CriticHead::Scalar);
        (!scalar).then(|| format!("for scalar critics, and `critic_head` is {name}: leave one of the two out"))
    }
}

fn has_scalar_critics(returns: &Option<ReturnsConfig>, kind: &CriticsKind) -> garde::Result {
    match kind.distribution().filter(|_| returns.is_some()) {
        Some(problem) => Err(garde::Error::new(problem)),
        None => Ok(()),
    }
}

/// Refuses settings that would undo a constant of the critics.
fn check_critic(config: &OffPolicyConfig) -> impl FnOnce(&NetworkConfig, &CriticsKind) -> garde::Result {
    move |critic, _| {
        if critic.lipschitz.is_none() && critic.weight_constraint.is_none() {
            return Ok(());
        }
        let problem = if config.critic_spectral_norm.is_some() {
            "has a constant that `critic_spectral_norm` changes: leave `lipschitz` and `weight_constraint` out, or that"
        } else if matches!(config.normalise_returns, Some(ReturnsConfig { pop_art: true, .. })) {
            "has a constant that Pop-Art changes with its last layer: put `pop_art: false` in `normalise_returns`"
        } else {
            return Ok(());
        };
        Err(garde::Error::new(problem))
    }
}

/// The critic's loss on the temporal-difference error δ = Q − y.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CriticLoss {
    /// ½ δ² (Haarnoja et al. 2018, eq. 5).
    #[default]
    Squared,
    /// ½ δ² where |δ| ≤ 1, |δ| − ½ beyond.
    Huber,
}

/// Adaptive parameter noise (Plappert et al. 2018): each episode is acted by a copy of the actor
/// whose weights are perturbed, with a scale kept where it moves the actions by `delta`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ParameterNoise {
    /// Wanted root-mean-square distance between perturbed and plain actions, in `[-1, 1]` units.
    /// Default `0.2`.
    #[garde(range(min = 1e-9))]
    pub delta: f64,
    /// First standard deviation of the weights' perturbation. Default `0.2`.
    #[garde(range(min = 1e-9))]
    pub initial_std: f64,
    /// Factor by which the standard deviation grows or shrinks at each adaptation. Default `1.01`
    /// (Plappert et al., section 3).
    #[garde(range(min = 1.0))]
    pub factor: f64,
    /// Gradient updates between adaptations, each measured on that update's batch. Default `50`
    /// (OpenAI baselines' DDPG).
    #[garde(range(min = 1))]
    pub adapt_every: u64,
}

impl Default for ParameterNoise {
    fn default() -> Self {
        Self { delta: 0.2, initial_std: 0.2, factor: 1.01, adapt_every: 50 }
    }
}

/// Standardisation of observations by running moments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct NormaliseConfig {
    /// Standardised observations are clipped to ± this. Default `5`.
    #[garde(range(min = 0.1))]
    pub clip: f64,
    /// Variances below this count as this. Default `1e-8`.
    #[garde(range(min = 1e-12))]
    pub variance_floor: f64,
    /// One mean and one deviation for all coordinates, as in the authors' code of arXiv 2006.16785.
    /// Default `false`.
    #[garde(skip)]
    pub scalar: bool,
}

impl Default for NormaliseConfig {
    fn default() -> Self {
        Self { clip: 5.0, variance_floor: 1e-8, scalar: false }
    }
}
