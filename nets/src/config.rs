//! Settings of a network and of the Adam that trains it.

use garde::Validate;
use liprl_numerics::{Activation, Init};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A multilayer perceptron and the Adam that trains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NetworkConfig {
    /// Units of each hidden layer. Default `[256, 256]` (Haarnoja et al. 2018, table 1; Fujimoto's
    /// TD3 code).
    #[garde(length(min = 1), inner(range(min = 1, max = 65536)))]
    pub hidden: Vec<usize>,
    /// Activation after each hidden layer. Default `relu`.
    #[garde(dive)]
    pub activation: Activation,
    /// LayerNorm (with learnt scale and shift) between each hidden layer and its activation.
    /// Default `false`.
    pub layer_norm: bool,
    /// Initialisation of weights. Default `uniform` (PyTorch's, which the SAC and TD3 ports use).
    #[garde(dive)]
    pub init: Init,
    /// Adam's learning rate. Default `3e-4` (Haarnoja et al. 2018, table 1).
    #[garde(range(min = 0.0, max = 1.0))]
    pub lr: f64,
    /// Schedule of the learning rate over updates. Default `constant`.
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
