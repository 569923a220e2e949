//! The settings of the value regularisers; those of each term are in its own file. Sources: [M]
//! Miyato et al. 2018 (arXiv 1802.05957); [Z] Zheng et al. 2023, "Is Model Ensemble Necessary?"
//! (arXiv 2302.01244).

use garde::Validate;
use liprl_nets::NetworkConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{penalty::ValuePenaltyConfig, robust::RobustConfig, term::ValueTerm};
use crate::{
    actor_critic::{CriticsKind, OffPolicyConfig, ReturnsConfig},
    kinds::{Choice, Settings, part},
};

/// A limit on the spectral norm of every layer of every critic.
/// Either Ŵ = β W / σ(W) [M], [Z], or a projection.
///
/// With L linear layers each critic's constant with respect to (s, a) is β^L times its activations'
/// (1 for ReLU). β = 1 is useless for returns of hundreds: such a critic moves by at most 1 for each
/// unit of its input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct CriticSpectralNorm {
    /// β, the spectral norm of each layer, or the most it may have, above 0. Default `5`, which is
    /// ours: [Z] names none. For a constant c of the whole critic take c^(1/L).
    #[garde(custom(positive))]
    pub scale: f64,
    /// Rounds of power iteration after each gradient step, from where the last ended. Default `1`
    /// [M]. σ lags behind weights that move, so that norms are up to some percent above β; more
    /// rounds come closer.
    #[garde(range(min = 1, max = 1000))]
    pub iterations: usize,
    /// Form of the limit: every layer has norm β, or at most β. Default `normalise` [Z].
    pub form: SpectralForm,
}

impl Default for CriticSpectralNorm {
    fn default() -> Self {
        Self { scale: 5.0, iterations: 1, form: SpectralForm::Normalise }
    }
}

/// Form of the limit on a layer's norm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpectralForm {
    /// Ŵ = β W / σ(W): every layer has norm β, from the first update on.
    #[default]
    Normalise,
    /// W ← W min(1, β / σ(W)) after each gradient step (Gouk et al. 2021, arXiv 1804.04368).
    /// Layers of a smaller norm are left alone.
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

/// A term added to the critics' loss: `kind` and that kind's own keys.
pub type ValueRegulariser = Choice<dyn ValueRegulariserKind>;

/// Settings of a kind of term. Settings that are a [`ValueTerm`] themselves have it.
pub trait ValueRegulariserKind: Settings {
    /// The term; `None` of `none`.
    fn term(&self) -> Option<Box<dyn ValueTerm>>;
}

impl<T: ValueTerm + Settings + Clone + 'static> ValueRegulariserKind for T {
    fn term(&self) -> Option<Box<dyn ValueTerm>> {
        Some(Box::new(self.clone()))
    }
}

/// No term.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct NoTerm {}

impl ValueRegulariserKind for NoTerm {
    fn term(&self) -> Option<Box<dyn ValueTerm>> {
        None
    }
}

part!(ValueRegulariserKind, "ValueRegulariser", "value regulariser", "A term added to the critics' loss.", {
    "none": NoTerm,
    "robust": RobustConfig,
    "gradient_penalty": ValuePenaltyConfig,
});

impl Default for ValueRegulariser {
    fn default() -> Self {
        Self::new("none", Box::new(NoTerm {}))
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

/// Refuses spectral normalisation if β^L would say nothing or something would undo it.
pub(crate) fn check_spectral_norm(
    config: &OffPolicyConfig,
) -> impl FnOnce(&Option<CriticSpectralNorm>, &CriticsKind) -> garde::Result {
    move |norm, kind| {
        let problem = kind.distribution().or_else(|| match config {
            OffPolicyConfig { critic: NetworkConfig { layer_norm: true, .. }, .. } => Some(
                "without a bound where LayerNorm stretches rows that hardly vary several hundred times: put `critic.layer_norm: false`"
                    .to_owned(),
            ),
            OffPolicyConfig { normalise_returns: Some(ReturnsConfig { pop_art: true, .. }), .. } => Some(
                "at odds with Pop-Art, which rescales the layer that β holds: put `pop_art: false` in `normalise_returns`, or leave that out"
                    .to_owned(),
            ),
            _ => None,
        });
        match (norm, problem) {
            (Some(_), Some(problem)) => Err(garde::Error::new(problem)),
            _ => Ok(()),
        }
    }
}

/// Refuses terms that have no meaning for the critics or the policy beside them.
pub(crate) fn check_regulariser(
    config: &OffPolicyConfig,
) -> impl FnOnce(&ValueRegulariser, &CriticsKind) -> garde::Result {
    move |regulariser, kind| {
        let Some(term) = regulariser.term() else { return Ok(()) };
        let raw = term.settings().units == StateUnits::Raw && config.normalise_observations.is_some();
        let raw =
            raw.then_some("in raw units, which `normalise_observations` keeps from the critics: take `units: std`");
        let problem =
            kind.distribution().or_else(|| raw.or_else(|| term.problem(kind.stochastic_policy)).map(str::to_owned));
        problem.map_or(Ok(()), |problem| Err(garde::Error::new(problem)))
    }
}
