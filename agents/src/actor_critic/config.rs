//! The settings SAC and TD3 share: a network with its optimiser, schedules, losses, exploration.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AgentError, count,
    nets::{Activation, Init},
};

/// Refuses settings out of range or at odds with one another, by name.
pub(crate) fn validated(config: &impl Validate<Context = ()>) -> Result<(), AgentError> {
    let Err(report) = config.validate() else { return Ok(()) };
    let Some((path, error)) = report.iter().next() else { return Ok(()) };
    // garde counts the single field of an enum's variant as index 0.
    let setting = path.to_string().replace("[0]", "");
    Err(AgentError::BadConfig { setting, problem: error.to_string() })
}

/// A multilayer perceptron and the Adam that trains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NetworkConfig {
    /// Units of each hidden layer. Default `[256, 256]` (Haarnoja et al. 2018, table 1; Fujimoto's TD3 code).
    #[garde(length(min = 1), inner(range(min = 1, max = 65536)))]
    pub hidden: Vec<usize>,
    /// What follows each hidden layer. Default `relu`.
    #[garde(dive)]
    pub activation: Activation,
    /// LayerNorm (with learnt scale and shift) between each hidden layer and its activation. Default `false`.
    pub layer_norm: bool,
    /// How weights start. Default `uniform` (PyTorch's, which the SAC and TD3 ports use).
    #[garde(dive)]
    pub init: Init,
    /// Adam's learning rate. Default `3e-4` (Haarnoja et al. 2018, table 1).
    #[garde(range(min = 0.0, max = 1.0))]
    pub lr: f64,
    /// How the learning rate changes with updates. Default `constant`.
    #[garde(dive)]
    pub lr_schedule: LrSchedule,
    /// Largest global norm of the gradient; longer ones are scaled down to it. Default: none.
    #[garde(inner(range(min = 1e-9)))]
    pub clip_norm: Option<f64>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            hidden: vec![256, 256],
            activation: Activation::Relu,
            layer_norm: false,
            init: Init::Uniform,
            lr: 3e-4,
            lr_schedule: LrSchedule::Constant,
            clip_norm: None,
        }
    }
}

/// Learning rate as a function of the updates done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum LrSchedule {
    /// Always the same.
    #[default]
    Constant,
    /// Straight down to zero.
    Linear {
        /// Updates after which it is zero.
        #[serde(deserialize_with = "count::deserialize")]
        #[garde(range(min = 1))]
        updates: u64,
    },
}

impl LrSchedule {
    /// The factor on the initial learning rate after this many updates.
    pub fn factor(self, done: u64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Linear { updates } => (1.0 - done as f64 / updates as f64).max(0.0),
        }
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

/// Proportional prioritised replay (Schaul et al. 2016).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct PriorityConfig {
    /// Exponent on |δ|: 0 is uniform, 1 fully proportional. Default `0.6` (Schaul et al., section 4).
    #[garde(range(min = 0.0, max = 1.0))]
    pub alpha: f64,
    /// Exponent of the importance weights: 1 corrects the bias in full. Default `0.4` (Schaul et al., section 4).
    #[garde(range(min = 0.0, max = 1.0))]
    pub beta: f64,
}

impl Default for PriorityConfig {
    fn default() -> Self {
        Self { alpha: 0.6, beta: 0.4 }
    }
}

/// Noise added to a deterministic policy's actions, in `[-1, 1]` units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ActionNoise {
    /// The policy as it is.
    None,
    /// Independent normal draws.
    Gaussian {
        /// Standard deviation. 0.1 in Fujimoto et al. 2018, section 6.1.
        #[garde(range(min = 0.0))]
        std: f64,
    },
    /// Ornstein–Uhlenbeck: x ← x − θ x dt + σ √dt N(0, 1), restarted at 0 with each episode.
    OrnsteinUhlenbeck {
        /// Pull towards zero. Default `0.15` (Lillicrap et al. 2016, section 7).
        #[serde(default = "ou_theta")]
        #[garde(range(min = 0.0))]
        theta: f64,
        /// Diffusion. Default `0.2` (Lillicrap et al. 2016, section 7).
        #[serde(default = "ou_sigma")]
        #[garde(range(min = 0.0))]
        sigma: f64,
        /// Time step, in the units of θ. Default `0.01` (OpenAI baselines' DDPG).
        #[serde(default = "ou_dt")]
        #[garde(range(min = 1e-9))]
        dt: f64,
    },
}

fn ou_theta() -> f64 {
    0.15
}

fn ou_sigma() -> f64 {
    0.2
}

fn ou_dt() -> f64 {
    0.01
}

/// Adaptive parameter noise (Plappert et al. 2018): each episode is acted by a copy of the actor whose weights are
/// perturbed, with a scale kept where it moves the actions by `delta`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ParameterNoise {
    /// Wanted root-mean-square distance between perturbed and plain actions, in `[-1, 1]` units. Default `0.2`.
    #[garde(range(min = 1e-9))]
    pub delta: f64,
    /// First standard deviation of the weights' perturbation. Default `0.2`.
    #[garde(range(min = 1e-9))]
    pub initial_std: f64,
    /// Factor by which the standard deviation grows or shrinks at each adaptation. Default `1.01` (Plappert et al., section 3).
    #[garde(range(min = 1.0))]
    pub factor: f64,
    /// Gradient updates between adaptations, each measured on that update's batch. Default `50` (OpenAI baselines' DDPG).
    #[serde(deserialize_with = "count::deserialize")]
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
    /// One mean and one deviation for all coordinates together, as the authors' code of arXiv 2006.16785 has it. Default `false`.
    #[garde(skip)]
    pub scalar: bool,
}

impl Default for NormaliseConfig {
    fn default() -> Self {
        Self { clip: 5.0, variance_floor: 1e-8, scalar: false }
    }
}
