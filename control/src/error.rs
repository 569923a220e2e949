//! Errors of control problems.

use liprl_numerics::{NumericsError, linalg::NotConverged};
use thiserror::Error;

/// A control problem without a solution, or with faulty input.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ControlError {
    /// The Riccati equation gives no feedback that makes the loop stable.
    #[error(
        "the Riccati equation has no stabilising solution: {problem}; every mode on or outside the unit circle must be reached by an input (B) and seen by the cost (Q)"
    )]
    NotStabilisable {
        /// The result found instead.
        problem: String,
    },
    /// A closed loop that should be stable and is not.
    #[error("the loop is not stable: its spectral radius is {radius}, it must be below 1; {what} does not exist")]
    NotStable {
        /// The largest |eigenvalue|.
        radius: f64,
        /// The quantity that needs stability.
        what: &'static str,
    },
    /// Matrices that do not fit each other, or numbers out of range.
    #[error("{name}: {problem}")]
    BadInput {
        /// The matrix or number.
        name: &'static str,
        /// The fault and the remedy.
        problem: String,
    },
    /// A decomposition or an iteration that did not converge.
    #[error("{what} did not converge")]
    NotConverged {
        /// The decomposition or iteration.
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
    /// The error of a number or matrix of this name.
    pub(super) fn bad(name: &'static str, problem: impl Into<String>) -> Self {
        Self::BadInput { name, problem: problem.into() }
    }
}
