//! Ways of the authors' code (lionelblonde/liayn-pytorch) that change numbers and are not in the paper. Each is off by default, where liprl does
//! what the paper describes.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All of them or one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Reference {
    /// All (`true`) or none (`false`).
    All(bool),
    /// Those named.
    Some(Quirks),
}

impl Default for Reference {
    fn default() -> Self {
        Self::All(false)
    }
}

impl Reference {
    /// What is on.
    pub fn quirks(self) -> Quirks {
        match self {
            Self::All(on) => Quirks {
                scalar_moments: on,
                open_last_step: on,
                timeouts_terminate: on,
                drop_absorbing: on,
                penalise_indicators: on,
            },
            Self::Some(quirks) => quirks,
        }
    }
}

/// Ways of the authors' code. The stored absorbing copy is `absorbing: reference`, one κ a call is `shaping.per_call`, the quantile
/// critic's misplaced rewards are `reference_tiling` among its settings; `reference: true` turns the first on too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Quirks {
    /// Observations are standardised by one mean and deviation for all coordinates together.
    pub scalar_moments: bool,
    /// A window of full length whose last step ended the episode bootstraps beyond it; shorter ones do not.
    pub open_last_step: bool,
    /// Time limits count as terminations.
    pub timeouts_terminate: bool,
    /// A demonstrated episode's absorbing transition is subject to `keep_every` like any other, and so nearly never seen.
    pub drop_absorbing: bool,
    /// The gradient penalty sees the absorbing state's indicators like any other coordinate.
    pub penalise_indicators: bool,
}
