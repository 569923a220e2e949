//! The settings SAC and TD3 share: a network with its optimiser, schedules, losses, exploration.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
