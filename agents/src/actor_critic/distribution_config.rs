//! Settings of a critic's outputs. Sources: [B] Bellemare et al. 2017, "A Distributional
//! Perspective on Reinforcement Learning" (arXiv 1707.06887); [D] Dabney et al. 2018,
//! "Distributional Reinforcement Learning with Quantile Regression" (arXiv 1710.10044); [L] the
//! authors' code of arXiv 2006.16785.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The outputs of a critic's network. The actor raises their expectation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum CriticHead {
    /// The value itself.
    #[default]
    Scalar,
    /// Probabilities of returns that are evenly spaced: C51 [B].
    Categorical(#[garde(dive)] CategoricalConfig),
    /// Quantiles of the return: QR [D].
    Quantile(#[garde(dive)] QuantileConfig),
}

/// A distribution over fixed returns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct CategoricalConfig {
    /// Number of returns. Default `51` [B].
    #[serde(default = "fifty_one")]
    #[garde(range(min = 2, max = 65536))]
    pub atoms: usize,
    /// The smallest return, in units of reward; targets below count as this. −10 for clipped
    /// rewards in [B], −100 in [L].
    pub v_min: f64,
    /// The largest return, in units of reward; targets above count as this. 10 for clipped rewards
    /// in [B], 100 in [L].
    #[garde(custom(above(self.v_min)))]
    pub v_max: f64,
    /// Clamps probabilities to `[clamp, 1 − clamp]`, without normalising them again. Default: none.
    /// Those of the target are clamped, and in the loss's value those of the critic. `0.01` in [L].
    #[serde(default)]
    #[garde(inner(range(min = 1e-9, max = 0.5)))]
    pub clamp: Option<f64>,
}

/// A distribution by its quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct QuantileConfig {
    /// Number of quantiles. Default `200` [D].
    #[garde(range(min = 1, max = 65536))]
    pub quantiles: usize,
    /// Errors up to this, in units of reward, count by their square, larger ones by their size.
    /// Default `1` [D].
    #[garde(range(min = 1e-9))]
    pub kappa: f64,
    /// Pairs rewards and quantiles of the target as [L] does. Default `false`.
    /// The reward of row (b N + j) mod B meets quantile j of row b: for comparisons with its results only.
    pub reference_tiling: bool,
}

impl Default for QuantileConfig {
    fn default() -> Self {
        Self { quantiles: 200, kappa: 1.0, reference_tiling: false }
    }
}

fn fifty_one() -> usize {
    51
}

fn above(v_min: f64) -> impl FnOnce(&f64, &()) -> garde::Result {
    move |v_max, _| {
        let wide = (v_max - v_min).is_finite() && *v_max > v_min;
        if wide {
            Ok(())
        } else {
            Err(garde::Error::new(format!("{v_max}, expected more than `v_min`, which is {v_min}")))
        }
    }
}

impl CriticHead {
    /// Outputs of each critic's network.
    pub fn outputs(self) -> usize {
        match self {
            Self::Scalar => 1,
            Self::Categorical(config) => config.atoms,
            Self::Quantile(config) => config.quantiles,
        }
    }

    /// The name in a config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Categorical(_) => "categorical",
            Self::Quantile(_) => "quantile",
        }
    }
}
