//! Settings of the discriminator. Source unless another is named: arXiv 2006.16785 and its authors'
//! code.

use garde::Validate;
use liprl_nets::{LipschitzConfig, LrSchedule, NetworkConfig, Optimiser, WeightConstraint, lipschitz::Sides};
use liprl_numerics::{Activation, Init, widths_for};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::AgentError;

/// A perceptron with one output, the logit of "demonstrated", and how it learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct DiscriminatorConfig {
    /// Part of a transition that it sees. Default `state_action`.
    pub input: DiscriminatorInput,
    /// Units of each hidden layer. Default `[100, 100]`.
    #[garde(length(min = 1), inner(range(min = 1, max = 65536)), custom(widths_for(self.activation)))]
    pub hidden: Vec<usize>,
    /// Activation of the hidden layers. Default `{leaky_relu: 0.1}`.
    #[garde(dive)]
    pub activation: Activation,
    /// Initial weights. Default `{orthogonal: {output_gain: 0.01}}`.
    #[garde(dive)]
    pub init: Init,
    /// Adam's learning rate. Default `5e-4`.
    #[garde(range(min = 0.0, max = 1.0))]
    pub lr: f64,
    /// Largest global norm of its gradient. Default: none.
    #[garde(inner(range(min = 1e-9)))]
    pub clip_norm: Option<f64>,
    /// Divide the hidden layers' weights by their spectral norms. Default `true`.
    pub spectral_norm: bool,
    /// A Lipschitz constant of the logit by construction, in the inputs that it sees. Takes
    /// `spectral_norm: false`; `init` does not count. Default: none.
    #[garde(dive)]
    pub lipschitz: Option<LipschitzConfig>,
    /// Limit on the weight matrices, kept after each step. Takes `spectral_norm: false`. Default:
    /// none.
    #[garde(dive)]
    pub weight_constraint: Option<WeightConstraint>,
    /// Rule by which weights move. Default `adam`.
    #[garde(dive)]
    pub optimiser: Optimiser,
    /// Penalty on its gradient norm. `scale: 0` turns it off.
    #[garde(dive)]
    pub gradient_penalty: GradientPenalty,
    /// Loss of the classification. Default `cross_entropy`.
    #[garde(dive)]
    pub loss: ClassificationLoss,
    /// Labels of demonstrated transitions. Default `exact`, 1.
    #[garde(dive)]
    pub expert_labels: Labels,
    /// Labels of the policy's transitions. Default `exact`, 0.
    #[garde(dive)]
    pub policy_labels: Labels,
    /// Weight of the mean entropy of its outputs, which is maximised. Default `0.001`.
    #[garde(range(min = 0.0))]
    pub entropy: f64,
    /// States are standardised by running moments before they are clipped. Default `false`: clipped
    /// as they come.
    pub standardise: bool,
    /// States are clipped to ± this. Default `5`.
    #[garde(range(min = 0.1))]
    pub clip: f64,
    /// Transitions of each side in a gradient step. Default `64`.
    #[garde(range(min = 1, max = 1_048_576))]
    pub batch_size: usize,
    /// Passes over the demonstrations after each update of the policy. Default `1`.
    #[garde(range(min = 1))]
    pub passes: u64,
    /// Gradient steps of a pass, each on demonstrated transitions that the pass has not had.
    /// Default: one for each whole batch.
    #[garde(inner(range(min = 1)))]
    pub steps: Option<usize>,
    /// Draw the policy's transitions anew for every gradient step, rather than once a pass. Default
    /// `false`.
    pub fresh_rows: bool,
}

impl Default for DiscriminatorConfig {
    fn default() -> Self {
        Self {
            input: DiscriminatorInput::StateAction,
            hidden: vec![100, 100],
            activation: Activation::LeakyRelu(0.1),
            init: Init::Orthogonal { output_gain: 0.01 },
            lr: 5e-4,
            clip_norm: None,
            spectral_norm: true,
            lipschitz: None,
            weight_constraint: None,
            optimiser: Optimiser::Adam,
            gradient_penalty: GradientPenalty::default(),
            loss: ClassificationLoss::CrossEntropy,
            expert_labels: Labels::Exact,
            policy_labels: Labels::Exact,
            entropy: 1e-3,
            standardise: false,
            clip: 5.0,
            batch_size: 64,
            passes: 1,
            steps: None,
            fresh_rows: false,
        }
    }
}

impl DiscriminatorConfig {
    /// The network and its optimiser.
    pub fn network(&self) -> NetworkConfig {
        NetworkConfig {
            hidden: self.hidden.clone(),
            activation: self.activation,
            layer_norm: false,
            init: if self.lipschitz.is_some() { Init::Uniform } else { self.init },
            lr: self.lr,
            lr_schedule: LrSchedule::Constant,
            clip_norm: self.clip_norm,
            lipschitz: self.lipschitz,
            weight_constraint: self.weight_constraint,
            optimiser: self.optimiser,
        }
    }

    /// Rejects settings that do not fit each other.
    pub(super) fn check(&self) -> Result<(), AgentError> {
        let bad = |setting: &str, problem: &str| {
            Err(AgentError::BadConfig { setting: format!("agent.discriminator.{setting}"), problem: problem.into() })
        };
        for (name, labels) in [("expert_labels", self.expert_labels), ("policy_labels", self.policy_labels)] {
            if let Labels::Uniform { low, high } = labels
                && low > high
            {
                return bad(name, "`low` is above `high`; exchange them");
            }
            let unlabelled = matches!(self.loss, ClassificationLoss::PositiveUnlabelled { .. });
            if unlabelled && labels != Labels::Exact {
                return bad(name, "the positive–unlabelled loss has labels of its own; leave this out");
            }
        }
        let constant =
            [("lipschitz", self.lipschitz.is_some()), ("weight_constraint", self.weight_constraint.is_some())];
        if let Some((name, _)) = constant.into_iter().find(|(_, set)| *set).filter(|_| self.spectral_norm) {
            return bad(
                name,
                "is undone by spectral normalisation, which divides the weights anew: put `spectral_norm: false`",
            );
        }
        if let Err(report) = self.network().validate() {
            return bad("network", &report.to_string());
        }
        Ok(())
    }
}

/// Part of a transition that the discriminator sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiscriminatorInput {
    /// (s, a).
    #[default]
    StateAction,
    /// (s, s′): imitation of states alone.
    StateState,
}

/// λ · mean φ(‖∇D(x)‖₂ − k) over points x drawn as `kind` says (Gulrajani et al. 2017). D is the
/// logit, and the norm is over both of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct GradientPenalty {
    /// λ. Default `10`; 0 turns the penalty off.
    #[garde(range(min = 0.0))]
    pub scale: f64,
    /// k, the wanted Lipschitz constant. Default `1`.
    #[garde(range(min = 0.0))]
    pub target: f64,
    /// φ. Default `two`.
    pub sides: Sides,
    /// Points at which gradients are penalised. Default `wgan`.
    pub kind: PenaltyKind,
    /// Mixture of the two sides by `wgan`. Default `halves`.
    pub mixing: Mixing,
    /// Units of distances. Default `environment`.
    pub units: Units,
    /// Standard deviation of the noise of `dragan` and `nagard`, on every coordinate. Default `10`.
    #[garde(range(min = 0.0))]
    pub noise: f64,
}

impl Default for GradientPenalty {
    fn default() -> Self {
        Self {
            scale: 10.0,
            target: 1.0,
            sides: Sides::Two,
            kind: PenaltyKind::Wgan,
            mixing: Mixing::Halves,
            units: Units::Environment,
            noise: 10.0,
        }
    }
}

/// Points at which the penalty is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PenaltyKind {
    /// Between policy and demonstrations: ε · policy + (1 − ε) · demonstrated, ε uniform in [0, 1]
    /// (Gulrajani et al. 2017).
    #[default]
    Wgan,
    /// Around the demonstrations: demonstrated + noise (Kodali et al. 2017).
    Dragan,
    /// Around the policy's transitions: policy + noise.
    Nagard,
    /// At the policy's transitions themselves.
    Bare,
}

/// The units of states in which a gradient is penalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// The environment's own, also if states are standardised (the authors' code). k then limits
    /// the change of the logit with radians or metres.
    #[default]
    Environment,
    /// Those of the network's input: standard deviations with `standardise: true`, so that one k
    /// suits coordinates and tasks of every scale.
    Network,
}

/// Numbers that share one ε.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mixing {
    /// The state has one, the action or next state another: points of a rectangle, not of the
    /// segment.
    #[default]
    Halves,
    /// A whole row: points of the segment (DAC).
    Rows,
    /// Every coordinate has its own.
    Coordinates,
}

/// Loss of the classification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum ClassificationLoss {
    /// E_policy[ℓ(x, 0)] + E_expert[ℓ(x, 1)] with ℓ the logistic loss.
    #[default]
    CrossEntropy,
    /// The policy's transitions count as unlabelled, a share η of them as good as demonstrated (Xu
    /// & Denil 2019, eq. 7):
    /// η E_expert[ℓ(x, 1)] + max(−β, E_policy[ℓ(x, 0)] − η E_expert[ℓ(x, 0)]).
    PositiveUnlabelled {
        /// η. 0.5 in Xu & Denil; 0.25 in the authors' code.
        #[garde(range(min = 0.0, max = 1.0))]
        prior: f64,
        /// β ≥ 0: distance below zero that the second term may reach.
        #[garde(range(min = 0.0))]
        slack: f64,
    },
}

/// Labels other than 0 and 1. y is the exact label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum Labels {
    /// y.
    #[default]
    Exact,
    /// Drawn anew for each transition; 0.7 to 1.2 for demonstrated ones in the released
    /// configuration.
    Uniform {
        /// Least label.
        #[garde(range(min = -10.0, max = 10.0))]
        low: f64,
        /// Largest label, not below `low`.
        #[garde(range(min = -10.0, max = 10.0))]
        high: f64,
    },
    /// y (1 − α) + α / 2.
    Soft {
        /// α.
        #[garde(range(min = 0.0, max = 1.0))]
        alpha: f64,
    },
    /// 1 − y with this probability.
    Flip {
        /// That probability.
        #[garde(range(min = 0.0, max = 1.0))]
        probability: f64,
    },
}
