//! Settings of a network and of the optimiser that trains it.

use garde::Validate;
use liprl_numerics::{Activation, Init, widths_for};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::{Layers, LipschitzMlp};

/// A multilayer perceptron and the optimiser that trains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NetworkConfig {
    /// Units of each hidden layer. Default `[256, 256]` (Haarnoja et al. 2018, table 1; Fujimoto's
    /// TD3 code).
    #[garde(length(min = 1), inner(range(min = 1, max = 65536)), custom(widths_for(self.activation)))]
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
    /// A Lipschitz constant by construction: free numbers are learned, and the plain weights that
    /// they stand for act. Default: none.
    #[garde(dive, custom(check_lipschitz(self)))]
    pub lipschitz: Option<LipschitzConfig>,
    /// Limit on the weight matrices, kept after each step. Default: none.
    #[garde(dive, custom(check_constraint(self)))]
    pub weight_constraint: Option<WeightConstraint>,
    /// Rule by which weights move. Default `adam`.
    #[garde(dive)]
    pub optimiser: Optimiser,
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
            lipschitz: None,
            weight_constraint: None,
            optimiser: Optimiser::Adam,
        }
    }
}

/// A Lipschitz constant by construction, between the network's inputs and all of its outputs, in
/// the Euclidean norm. It holds after every step, whatever is learned (docs/lipschitz.md).
///
/// For a policy of SAC the outputs are means and log-deviations together, behind the observation
/// normaliser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct LipschitzConfig {
    /// Construction of the layers. Default `sandwich` (Wang & Manchester 2023).
    #[serde(default)]
    pub layers: Layers,
    /// The constant α. Required.
    #[garde(range(min = 1e-9, max = 1e9))]
    pub alpha: f64,
}

/// Limit on every weight matrix W of a network of K layers, kept after each step. With ‖W‖₂ ≤
/// α^(1/K) everywhere the product of norms proves the constant α, in the Euclidean norm, as
/// activations have slopes in [0, 1]. arXiv 2507.13338 scales W by √(inputs / outputs) instead.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum WeightConstraint {
    /// W ← W min(1, α^(1/K) / σ), σ by 16 rounds of power iteration, which go on from the last
    /// step's singular vectors. σ may be a little less than ‖W‖₂: no proof by itself, certificates
    /// use exact norms.
    SpectralNormalise {
        /// α.
        #[garde(range(min = 1e-9, max = 1e9))]
        alpha: f64,
    },
    /// An odd polynomial of W that brings singular values back below α^(1/K) after a step of bounded
    /// length (arXiv 2507.13338, "soft cap"). Takes `optimiser: {muon: {}}`, whose steps are that.
    SoftCap {
        /// α.
        #[garde(range(min = 1e-9, max = 1e9))]
        alpha: f64,
    },
    /// Singular values above α^(1/K) become α^(1/K), exactly.
    SvdClip {
        /// α.
        #[garde(range(min = 1e-9, max = 1e9))]
        alpha: f64,
        /// Steps between clips; the constant holds after a clip. Default `1`.
        #[serde(default = "one")]
        #[garde(range(min = 1))]
        every: u64,
    },
    /// W ← W − λ σ u vᵀ, (σ, u, v) the leading singular value with its vectors, by 16 rounds of power
    /// iteration. Proves no constant.
    Decay {
        /// λ, a step. 0.1 in arXiv 2507.13338.
        #[garde(range(min = 0.0, max = 1.0))]
        rate: f64,
    },
}

fn one() -> u64 {
    1
}

impl WeightConstraint {
    /// The constant that it keeps, if it keeps one.
    pub fn alpha(self) -> Option<f64> {
        match self {
            Self::SpectralNormalise { alpha } | Self::SoftCap { alpha } | Self::SvdClip { alpha, .. } => Some(alpha),
            Self::Decay { .. } => None,
        }
    }
}

/// Rule by which weights move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum Optimiser {
    /// Adam (Kingma & Ba 2015) on every number.
    #[default]
    Adam,
    /// Muon on weight matrices: momentum m ← β m + (1 − β) g, W ← (1 − ηλ) W − η √(outputs / inputs)
    /// msign(m), msign(UΣVᵀ) = UVᵀ by six quintics (arXiv 2507.13338). Adam moves the rest, at `lr`.
    Muon(#[garde(dive)] MuonConfig),
}

/// Settings of Muon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct MuonConfig {
    /// η at the start, the spectral norm of a square matrix's step; follows `lr_schedule`. Default
    /// `0.01`.
    #[garde(range(min = 0.0, max = 1.0))]
    pub lr: f64,
    /// β. Default `0.95`.
    #[garde(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// λ. With it ‖W‖₂ never exceeds the larger of its first value and √(outputs / inputs) / λ.
    /// Default `0`.
    #[garde(range(min = 0.0, max = 1.0))]
    pub weight_decay: f64,
}

impl Default for MuonConfig {
    fn default() -> Self {
        Self { lr: 0.01, momentum: 0.95, weight_decay: 0.0 }
    }
}

/// Refuses a construction that the network beside it cannot have.
fn check_lipschitz(config: &NetworkConfig) -> impl FnOnce(&Option<LipschitzConfig>, &()) -> garde::Result {
    move |lipschitz, ()| {
        let Some(LipschitzConfig { layers, alpha }) = lipschitz else { return Ok(()) };
        let problem = if config.layer_norm {
            "at odds with LayerNorm, whose constant is some hundred times its scale: put `layer_norm: false`".to_owned()
        } else if config.init != Init::Uniform {
            "has an initialisation of its own: leave `init` out".to_owned()
        } else if config.weight_constraint.is_some() {
            "keeps its constant without `weight_constraint`: leave one of the two out".to_owned()
        } else if config.optimiser != Optimiser::Adam {
            "learns free numbers by Adam: put `optimiser: adam`, or a `weight_constraint` in its place".to_owned()
        } else {
            match LipschitzMlp::new(*layers, 1, &config.hidden, 1, config.activation, *alpha) {
                Ok(network) if network.mlp().dense => {
                    "has connections past layers, which only `feedback` policies take: take `sandwich` or `ldlt`".into()
                }
                Ok(_) => return Ok(()),
                Err(error) => error.to_string(),
            }
        };
        Err(garde::Error::new(problem))
    }
}

/// Refuses a limit on weights that says nothing about the network, or cannot be kept.
fn check_constraint(config: &NetworkConfig) -> impl FnOnce(&Option<WeightConstraint>, &()) -> garde::Result {
    move |constraint, ()| {
        let Some(constraint) = constraint else { return Ok(()) };
        let limited = constraint.alpha().is_some();
        let problem = if config.layer_norm && limited {
            "without a constant where LayerNorm stretches rows that hardly vary: put `layer_norm: false`"
        } else if limited && config.activation == Activation::Swish {
            "without its constant, as swish has slopes up to 1.1: take relu, leaky_relu or tanh"
        } else if matches!(constraint, WeightConstraint::SoftCap { .. }) && config.optimiser == Optimiser::Adam {
            "sound for steps of bounded length only, and Adam's are not: put `optimiser: {muon: {}}`, or take `svd_clip`"
        } else {
            return Ok(());
        };
        Err(garde::Error::new(problem))
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
