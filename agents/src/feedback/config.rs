//! Settings of feedback policies. The problem is that of Al Makdah, Krishnan & Pasqualetti 2022
//! (arXiv 2103.16629). Unless a source is named, the numbers are this project's: the paper's are not
//! published as code.

use garde::Validate;
use liprl_control::PolicyHead;
use liprl_nets::{NetworkConfig, layers::Layers};
use liprl_numerics::Activation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::expert_config::{ExpertConfig, QueriesConfig};
use crate::demos::DemonstrationsConfig;

/// A policy fitted to an expert's actions under a bound α on its Lipschitz constant. α is Euclidean and
/// in the environment's units, whatever standardisation and action scaling lie between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct FeedbackConfig {
    /// Demonstrations to imitate: a Minari or D4RL HDF5 file, or a Minari dataset's folder. Needed unless
    /// there is an expert.
    pub demonstrations: Option<DemonstrationsConfig>,
    /// The expert, for `expert_episodes` before training and `queries` while training.
    #[garde(dive)]
    pub expert: Option<ExpertConfig>,
    /// Episodes of the expert to collect before training, in place of `demonstrations`. Default: none.
    #[garde(inner(range(min = 1, max = 100_000)))]
    pub expert_episodes: Option<usize>,
    /// Mean square per step of Gaussian noise on the expert's actions in those episodes, in actions of
    /// [-1, 1]. The noise spreads the pairs out; they hold the actions before it. Default `0`.
    #[garde(range(min = 0.0, max = 100.0))]
    pub expert_noise: f64,
    /// Number of episodes used, from the first. Default: all.
    #[garde(inner(range(min = 1)))]
    pub episodes: Option<usize>,
    /// n: every n-th step of each episode is used, from the first. Default `1`.
    #[garde(range(min = 1))]
    pub keep_every: usize,
    /// Treatment of one observation with several actions, which no policy can fit. Default `refuse`.
    pub duplicates: Duplicates,
    /// Largest error that two demonstrated pairs may force on every α-Lipschitz policy, in the action's
    /// units; training is refused above it. Default: no limit. The error is logged as
    /// `lipschitz/forced_error`.
    #[garde(inner(range(min = 0.0)))]
    pub max_forced_error: Option<f64>,
    /// The policy network and its Adam: 64-64 tanh, learning rate `1e-3`. No LayerNorm, no swish.
    #[garde(dive)]
    pub network: NetworkConfig,
    /// Map from outputs to actions. Default `clamp`, which lets a linear policy be linear.
    pub output: PolicyHead,
    /// Standardisation of observations by the demonstrations' moments. Default `scalar`.
    pub normalise: Normalise,
    /// Rows per update, drawn with replacement. Default `256`.
    #[garde(range(min = 1, max = 1_048_576))]
    pub batch_size: usize,
    /// Gradient updates per environment step. Default `1`.
    #[garde(range(min = 1))]
    pub updates: usize,
    /// Constraint on the policy's Lipschitz constant. Default `{kind: by_construction, alpha: 1}`.
    #[garde(dive)]
    pub constraint: ConstraintConfig,
    /// Number of rows, drawn at random, for which the least error of any α-Lipschitz policy is computed,
    /// to compare with (`lipschitz/oracle`). Time grows as its square: some hundred rows take a second.
    /// Default: none.
    #[garde(inner(range(min = 2, max = 5000)))]
    pub oracle: Option<usize>,
    /// Queries to the expert while training. Default: none.
    #[garde(dive)]
    pub queries: Option<QueriesConfig>,
}

impl Default for FeedbackConfig {
    fn default() -> Self {
        Self {
            demonstrations: None,
            expert: None,
            expert_episodes: None,
            expert_noise: 0.0,
            episodes: None,
            keep_every: 1,
            duplicates: Duplicates::Refuse,
            max_forced_error: None,
            network: NetworkConfig {
                hidden: vec![64, 64],
                activation: Activation::Tanh,
                lr: 1e-3,
                ..NetworkConfig::default()
            },
            output: PolicyHead::Clamp,
            normalise: Normalise::Scalar,
            batch_size: 256,
            updates: 1,
            constraint: ConstraintConfig::ByConstruction { alpha: 1.0, layers: Layers::Sandwich },
            oracle: None,
            queries: None,
        }
    }
}

/// Treatment of one observation with several actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// An error that names the two rows furthest apart.
    #[default]
    Refuse,
    /// All rows are learned from; squared errors then lead to the mean.
    Average,
}

/// Standardisation of observations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// Not at all.
    None,
    /// By one mean and deviation for all coordinates: costs a constant by construction nothing.
    #[default]
    Scalar,
    /// Coordinate by coordinate. A constant by construction pays for the coordinate that moves least.
    Coordinate,
}

/// The constraint on the policy's Lipschitz constant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum ConstraintConfig {
    /// Nothing: behaviour cloning.
    None,
    /// A multiplier for each demonstrated pair (the paper's Lagrangian). The constraint holds
    /// approximately at the points that are drawn; nothing is proven.
    PrimalDual {
        /// The Lipschitz constant, action per observation.
        #[garde(range(min = 1e-9))]
        alpha: f64,
        /// Step of the multipliers: λ ← max(0, λ + `dual_lr` · g). Default `0.05`.
        #[serde(default = "dual_lr")]
        #[garde(range(min = 0.0))]
        dual_lr: f64,
        /// Largest multiplier. Default `100`.
        #[serde(default = "max_dual")]
        #[garde(range(min = 0.0))]
        max_dual: f64,
        /// The quantity that is constrained. Default `jacobian`.
        #[serde(default)]
        form: Form,
        /// Nearest neighbours a row is connected to. Default `5` (the authors' 2020 code).
        #[serde(default = "neighbours")]
        #[garde(range(min = 1, max = 100))]
        neighbours: usize,
    },
    /// c · mean max(0, ‖J‖ − α)² over the batch and as many points between neighbours. Ends a little
    /// above α; nothing is proven.
    Penalty {
        /// The Lipschitz constant, action per observation.
        #[garde(range(min = 1e-9))]
        alpha: f64,
        /// c. Default `10`.
        #[serde(default = "penalty_scale")]
        #[garde(range(min = 0.0))]
        scale: f64,
        /// Nearest neighbours of a row. Default `5`.
        #[serde(default = "neighbours")]
        #[garde(range(min = 1, max = 100))]
        neighbours: usize,
    },
    /// A parameterisation that cannot exceed α.
    ByConstruction {
        /// The Lipschitz constant, action per observation.
        #[garde(range(min = 1e-9))]
        alpha: f64,
        /// The parameterisation. Default `sandwich`.
        #[serde(default)]
        layers: Layers,
    },
    /// The authors' 2020 discretisation: values at some vertices, constrained along a nearest-neighbour
    /// graph. It is solved exactly here and read out by a Lipschitz extension. Pairs without an edge may
    /// have a larger slope, so the constant of the result can exceed α; it is computed.
    Graph {
        /// The Lipschitz constant along edges, action per observation.
        #[garde(range(min = 1e-9))]
        alpha: f64,
        /// Number of vertices, rows drawn at random; other rows count for their nearest one. Default
        /// `1000` (theirs: 5000).
        #[serde(default = "vertices")]
        #[garde(range(min = 2, max = 20000))]
        vertices: usize,
        /// Neighbours of a vertex. Default `5` (theirs).
        #[serde(default = "neighbours")]
        #[garde(range(min = 1, max = 100))]
        neighbours: usize,
    },
    /// The least-squares optimum over all α-Lipschitz functions at some rows, extended to all of space.
    Kirszbraun {
        /// The Lipschitz constant, action per observation.
        #[garde(range(min = 1e-9))]
        alpha: f64,
        /// Most rows, drawn at random if there are more. Default `500`.
        #[serde(default = "rows")]
        #[garde(range(min = 2, max = 5000))]
        rows: usize,
    },
}

/// The quantity that a primal–dual constraint bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// ‖J‖₂ ≤ α at the batch and at as many points between neighbours; a point between two takes the mean
    /// of their multipliers.
    #[default]
    Jacobian,
    /// ‖π(xᵢ) − π(xⱼ)‖ / ‖xᵢ − xⱼ‖ ≤ α along edges between neighbours, a multiplier each (closest to the
    /// authors, who do not divide).
    Slope,
}

impl ConstraintConfig {
    /// The configured α.
    pub fn alpha(&self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::PrimalDual { alpha, .. }
            | Self::Penalty { alpha, .. }
            | Self::ByConstruction { alpha, .. }
            | Self::Graph { alpha, .. }
            | Self::Kirszbraun { alpha, .. } => Some(*alpha),
        }
    }

    /// Its name in a config.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PrimalDual { .. } => "primal_dual",
            Self::Penalty { .. } => "penalty",
            Self::ByConstruction { .. } => "by_construction",
            Self::Graph { .. } => "graph",
            Self::Kirszbraun { .. } => "kirszbraun",
        }
    }
}

fn dual_lr() -> f64 {
    0.05
}
fn max_dual() -> f64 {
    100.0
}
fn penalty_scale() -> f64 {
    10.0
}
fn neighbours() -> usize {
    5
}
fn vertices() -> usize {
    1000
}
fn rows() -> usize {
    500
}
