//! Reference-implementation quirks: behaviour of the authors' code (lionelblonde/liayn-pytorch)
//! that changes numbers and is not in the paper. Each is off by default; liprl then follows the
//! paper.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All quirks, or some by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Reference {
    /// All (`true`) or none (`false`).
    All(bool),
    /// The named ones.
    Some(Quirks),
}

impl Default for Reference {
    fn default() -> Self {
        Self::All(false)
    }
}

impl Reference {
    /// The quirks that are on.
    pub fn quirks(self) -> Quirks {
        match self {
            Self::All(on) => Quirks {
                scalar_moments: on,
                open_last_step: on,
                timeouts_terminate: on,
                drop_absorbing: on,
                penalise_indicators: on,
                action_units: on,
            },
            Self::Some(quirks) => quirks,
        }
    }
}

/// Reference-implementation quirks. Others are settings of their parts: the stored absorbing copy
/// is `absorbing: reference`, which `reference: true` turns on too. One κ a call is
/// `shaping.per_call`. The quantile critic's misplaced rewards are `reference_tiling` among its
/// settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Quirks {
    /// Observations are standardised by one mean and deviation for all coordinates together.
    pub scalar_moments: bool,
    /// A window of full length whose last step ended the episode bootstraps beyond it; shorter ones
    /// do not.
    pub open_last_step: bool,
    /// Time limits count as terminations.
    pub timeouts_terminate: bool,
    /// A demonstrated episode's absorbing transition is subject to `keep_every` like any other, so
    /// it is rarely seen.
    pub drop_absorbing: bool,
    /// The gradient penalty sees the absorbing state's indicators like any other coordinate.
    pub penalise_indicators: bool,
    /// Actions are in the environment's units, not in `[-1, 1]`: for the discriminator and its penalty,
    /// and TD3's target noise, exploration noise and parameter noise. It matters on tasks whose actions
    /// have another range, such as Humanoid's ± 0.4. The critics' inputs stay in `[-1, 1]`.
    pub action_units: bool,
}
