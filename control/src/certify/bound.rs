//! Norms, and bounds that are proven.

use serde::{Deserialize, Serialize};

/// Safety factor of proven numbers, for f64's rounding on the way to them.
pub(super) const MARGIN: f64 = 1.0 + 1e-9;

/// Safety factor of observed norms, for f64's rounding on the way to them.
pub(super) const SAFE: f64 = 1.0 - 1e-9;

/// Norm of lengths, before and after the network alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Euclidean; of a Jacobian, its largest singular value.
    L2,
    /// Largest coordinate; of a Jacobian, its largest row sum of absolute values.
    Linf,
}

impl Norm {
    /// Name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Linf => "linf",
        }
    }
}

/// End of the search for a smaller bound. The bound found by then is valid either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The gap to the largest norm observed is within the tolerance.
    Finished,
    /// The rest of the gap lies where nothing can be cut further in f64. More time changes
    /// nothing.
    Indivisible,
    /// The limit of leaves was reached ([`LocalOptions::leaves`](super::LocalOptions::leaves)).
    /// More time changes nothing.
    LeafLimit,
    /// The time limit was reached. More time may give a smaller bound.
    TimeLimit,
}

/// A proven upper bound, and the end of the search for a smaller one. It is valid either way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The Lipschitz constant is at most this.
    pub upper: f64,
    /// Lower bound (observed): the largest Jacobian norm that the search met; 0 if it met none.
    pub lower: f64,
    /// End of the search.
    pub ended: Ended,
}

impl Bound {
    /// True if no limit cut the search short.
    pub fn finished(&self) -> bool {
        self.ended == Ended::Finished
    }
}
