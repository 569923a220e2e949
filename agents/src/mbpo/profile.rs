//! The choice between the authors' code and its later ports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reference implementation of MBPO to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The authors' code.
    #[default]
    Authors,
    /// The later ports to PyTorch. The temperature is fixed at 0.2, unless `policy.temperature` gives
    /// more than `{kind: auto}`, for instance a `target_entropy`. Log-variance bounds are fixed. There
    /// is no bootstrap, no limit on held-out rows, and no fit at the first step of an epoch. Members
    /// keep their last epoch rather than their best. First steps are by the untrained policy, and
    /// batches before the first fit have their real rows alone. The ports' mistakes are not copied:
    /// time limits do not count as terminations.
    Ports,
}
