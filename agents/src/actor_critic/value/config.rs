//! The settings of the value regularisers. Sources: [M] Miyato et al. 2018 (arXiv 1802.05957); [Z] Zheng et al. 2023, "Is Model Ensemble
//! Necessary?" (arXiv 2302.01244); [G] Goodfellow et al. 2015 (arXiv 1412.6572); [P] Madry et al. 2018 (arXiv 1706.06083); [K] Karras et
//! al. 2020 (arXiv 1912.04958).

use garde::Validate;
use liprl_nets::{NetworkConfig, lipschitz::Sides};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::actor_critic::{CriticHead, NormaliseConfig, ReturnsConfig};

/// A limit on the spectral norm of every layer of every critic: Ŵ = β W / σ(W) [M], [Z], or a projection.
///
/// With L linear layers each critic's constant with respect to (s, a) is β^L times its activations' (1 for ReLU). β = 1 is useless for
/// returns of hundreds: such a critic moves by at most 1 for each unit of its input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct CriticSpectralNorm {
    /// β, the spectral norm of each layer, or the most it may have, above 0. Default `5`, which is ours: [Z] names none. For a constant c of the whole critic take
    /// c^(1/L).
    #[garde(custom(positive))]
    pub scale: f64,
    /// Rounds of power iteration after each gradient step, from where the last ended. Default `1` [M]. σ lags behind weights that move, so
    /// that norms are up to some percent above β; more rounds come closer.
    #[garde(range(min = 1, max = 1000))]
    pub iterations: usize,
    /// Whether every layer has norm β, or none more. Default `normalise` [Z].
    pub form: SpectralForm,
}

impl Default for CriticSpectralNorm {
    fn default() -> Self {
        Self { scale: 5.0, iterations: 1, form: SpectralForm::Normalise }
    }
}

/// What is done to layers in the name of β.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpectralForm {
    /// Ŵ = β W / σ(W): every layer has norm β, from the first update on.
    #[default]
    Normalise,
    /// W ← W min(1, β / σ(W)) after each gradient step: layers that are not steep are left alone (Gouk et al. 2021, arXiv 1804.04368).
    Project,
}

fn positive(scale: &f64, (): &()) -> garde::Result {
    match scale.is_finite() && *scale > 0.0 {
        true => Ok(()),
        false => {
            Err(garde::Error::new(format!("{scale}, expected more than 0: β is the norm every layer is scaled to")))
        }
    }
}

/// A term that the critics' loss takes besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum ValueRegulariser {
    /// Nothing.
    #[default]
    None,
    /// Robust regularisation [Z]: λ mean max (Q(s', π(s')) − Q(s, a))² over ‖s' − s‖∞ ≤ ε.
    Robust(#[garde(dive)] RobustConfig),
    /// A gradient penalty: λ mean φ(‖∇ₛ Q(s, a)‖₂ − k).
    GradientPenalty(#[garde(dive)] ValuePenaltyConfig),
}

/// Robust regularisation: the value of the policy at any state near a replayed one is to be near that of the replayed pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct RobustConfig {
    /// λ, the weight of the term beside the critics' loss; both are means over the batch. 0 measures the term and changes nothing. Default
    /// `0.1`, which is ours: [Z] names none.
    #[garde(range(min = 0.0, max = 1e9))]
    pub lambda: f64,
    /// ε, how far each coordinate of the state may be moved, in `units`. 0 leaves (Q(s, π(s)) − Q(s, a))². Default `0.03`, which is ours.
    #[garde(range(min = 0.0, max = 1e9))]
    pub epsilon: f64,
    /// What ε is measured in. Default `std`.
    pub units: StateUnits,
    /// Who moves the state. Default `fgsm` [Z].
    #[garde(dive)]
    pub adversary: Adversary,
    /// π(s') in the term: the policy's mean, or a sample whose noise is the same at s and s'. Default `mean`.
    pub action: PolicyAction,
    /// Each critic's own adversary moves the state for it [Z], or the first critic's for both. Default `each`.
    pub against: Against,
    /// Whether Q(s, a) is a constant of the term, so that only Q(s', π(s')) is pulled. Default `false`: the formula of [Z] has both.
    pub detach: bool,
    /// Rows of each batch the term looks at, evenly spread; more than the batch has are all of it. Default `64`. The rows of a batch are
    /// drawn alike, so the mean over some of them has the same expectation as that over all; its spread grows with 1/√rows, its cost
    /// falls with the rows.
    #[garde(range(min = 1))]
    pub rows: usize,
    /// Critic updates from one with the term to the next. The term then counts `every` times, so that the mean of the gradients is the
    /// same (as in [K], section 4.1). Default `1`.
    #[garde(range(min = 1))]
    pub every: u64,
}

impl Default for RobustConfig {
    fn default() -> Self {
        Self {
            lambda: 0.1,
            epsilon: 0.03,
            units: StateUnits::Std,
            adversary: Adversary::Fgsm,
            action: PolicyAction::Mean,
            against: Against::Each,
            detach: false,
            rows: 64,
            every: 1,
        }
    }
}

/// A unit of distance between states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateUnits {
    /// Each coordinate's standard deviation over the rows the term has looked at so far.
    #[default]
    Std,
    /// The environment's own.
    Raw,
}

/// Who chooses the perturbed state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum Adversary {
    /// One step of ε along the sign of the term's gradient, through the policy too [G], [Z].
    #[default]
    Fgsm,
    /// Several such steps, each followed by a return into the box [P]: `{pgd: {steps: 5}}`.
    Pgd {
        /// Steps, at least 1.
        #[garde(range(min = 1, max = 1000))]
        steps: usize,
        /// Length of a step in the units of ε. Default: 2.5 ε / steps [P].
        #[serde(default)]
        #[garde(inner(range(min = 0.0)))]
        step_size: Option<f64>,
    },
    /// Nobody: s' is uniform in the box. The control that tells what the adversary adds.
    Uniform,
}

/// The policy's action at a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyAction {
    /// tanh μ(s).
    #[default]
    Mean,
    /// tanh(μ(s) + σ(s) ξ), ξ standard normal: for SAC.
    Sample,
}

/// Whose term the adversary raises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// Each critic's: one perturbation for each.
    #[default]
    Each,
    /// The first critic's: one perturbation for all, at about 7/8 of the cost. Critics that learn the same targets are steep in much
    /// the same directions; for the second the perturbation is then no maximum.
    First,
}

/// A penalty on the gradient of the value with respect to the state, at the replayed pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ValuePenaltyConfig {
    /// λ, the weight of the term beside the critics' loss; both are means over the batch. 0 measures the term and changes nothing. Default
    /// `0.1`.
    #[garde(range(min = 0.0, max = 1e9))]
    pub lambda: f64,
    /// k, the wanted norm of ∇ₛ Q, in the critics' outputs for each of `units`. Default `10`: like β it has to be of the size of the task's
    /// returns.
    #[garde(range(min = 0.0, max = 1e9))]
    pub target: f64,
    /// φ. Default `one`: a value may be flatter than k.
    pub sides: Sides,
    /// What distances between states are measured in. Default `std`.
    pub units: StateUnits,
    /// Rows of each batch the term looks at, as in `robust`. Default `64`.
    #[garde(range(min = 1))]
    pub rows: usize,
    /// Critic updates from one with the term to the next, as in `robust`. Default `1`.
    #[garde(range(min = 1))]
    pub every: u64,
}

impl Default for ValuePenaltyConfig {
    fn default() -> Self {
        Self { lambda: 0.1, target: 10.0, sides: Sides::One, units: StateUnits::Std, rows: 64, every: 1 }
    }
}

impl ValueRegulariser {
    /// λ, the units of distance, rows and `every`; nothing of `none`.
    pub(super) fn common(&self) -> Option<(f64, StateUnits, usize, u64)> {
        match *self {
            Self::None => None,
            Self::Robust(RobustConfig { lambda, units, rows, every, .. })
            | Self::GradientPenalty(ValuePenaltyConfig { lambda, units, rows, every, .. }) => {
                Some((lambda, units, rows, every))
            }
        }
    }
}

/// What beside the regularisers decides whether they make sense.
pub(crate) struct Beside<'a> {
    pub(crate) critic: &'a NetworkConfig,
    pub(crate) head: CriticHead,
    pub(crate) returns: Option<ReturnsConfig>,
    pub(crate) normalise: Option<NormaliseConfig>,
    pub(crate) stochastic_policy: bool,
}

/// Refuses spectral normalisation where β^L would say nothing or something would undo it.
pub(crate) fn check_spectral_norm(
    beside: Beside<'_>,
) -> impl FnOnce(&Option<CriticSpectralNorm>, &()) -> garde::Result {
    let problem = match beside {
        Beside { head: CriticHead::Categorical(_) | CriticHead::Quantile(_), .. } => Some(format!(
            "for scalar critics, and `critic_head` is {}: leave one of the two out",
            beside.head.name()
        )),
        Beside { critic: NetworkConfig { layer_norm: true, .. }, .. } => Some(
            "without a bound where LayerNorm stretches rows that hardly vary several hundred times: put `critic.layer_norm: false`"
                .to_owned(),
        ),
        Beside { returns: Some(ReturnsConfig { pop_art: true, .. }), .. } => Some(
            "at odds with Pop-Art, which rescales the layer that β holds: put `pop_art: false` in `normalise_returns`, or leave that out"
                .to_owned(),
        ),
        _ => None,
    };
    move |norm, ()| match (norm, problem) {
        (Some(_), Some(problem)) => Err(garde::Error::new(problem)),
        _ => Ok(()),
    }
}

/// Refuses terms that the critics or the policy beside them have no meaning for.
pub(crate) fn check_regulariser(beside: Beside<'_>) -> impl FnOnce(&ValueRegulariser, &()) -> garde::Result {
    move |regulariser, ()| {
        let Some((_, units, ..)) = regulariser.common() else { return Ok(()) };
        let problem = match (regulariser, beside.head) {
            (_, CriticHead::Categorical(_) | CriticHead::Quantile(_)) => {
                format!("for scalar critics, and `critic_head` is {}: leave one of the two out", beside.head.name())
            }
            _ if units == StateUnits::Raw && beside.normalise.is_some() => {
                "in raw units, which `normalise_observations` keeps from the critics: take `units: std`".to_owned()
            }
            (ValueRegulariser::Robust(RobustConfig { action: PolicyAction::Sample, .. }), _)
                if !beside.stochastic_policy =>
            {
                "for a policy to sample from, and td3's is deterministic: take `action: mean`".to_owned()
            }
            _ => return Ok(()),
        };
        Err(garde::Error::new(problem))
    }
}
