//! What can go wrong with a control problem.

use liprl_numerics::{NumericsError, linalg::NotConverged};
use thiserror::Error;

/// A control problem that has no solution, or was stated wrongly.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ControlError {
    /// No feedback that the Riccati equation gives makes the loop stable.
    #[error(
        "the Riccati equation has no stabilising solution: {problem}; every mode on or outside the unit circle must be reached by an input (B) and seen by the cost (Q)"
    )]
    NotStabilisable {
        /// What was found instead.
        problem: String,
    },
    /// A closed loop that must be stable and is not.
    #[error("the loop is not stable: its spectral radius is {radius}, it must be below 1; {what} does not exist")]
    NotStable {
        /// The largest |eigenvalue|.
        radius: f64,
        /// What was to be computed.
        what: &'static str,
    },
    /// Matrices that do not fit each other, or numbers out of range.
    #[error("{name}: {problem}")]
    BadInput {
        /// Which matrix or number.
        name: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A decomposition or an iteration that did not come to an end.
    #[error("{what} did not converge")]
    NotConverged {
        /// Which.
        what: &'static str,
    },
    /// A policy file or a setting that does not fit.
    #[error(transparent)]
    Numerics(#[from] NumericsError),
}

impl From<NotConverged> for ControlError {
    fn from(NotConverged { what }: NotConverged) -> Self {
        Self::NotConverged { what }
    }
}

impl ControlError {
    /// Of a number or matrix of this name.
    pub(super) fn bad(name: &'static str, problem: impl Into<String>) -> Self {
        Self::BadInput { name, problem: problem.into() }
    }
}
