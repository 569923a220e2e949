//! Errors of certificates.

use liprl_numerics::linalg::NotConverged;
use thiserror::Error;

/// Reasons for which there is not a bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertifyError {
    /// A layer or an output that the methods here do not cover.
    #[error("{network}: {problem}")]
    Unsupported {
        /// The network's name.
        network: String,
        /// The unsupported part, and the alternative.
        problem: String,
    },
    /// A weight, bias or moment that is NaN or infinite.
    #[error("{network}: {what} is not finite; a bound needs finite numbers")]
    NotFinite {
        /// The network's name.
        network: String,
        /// The weight, bias or moment.
        what: String,
    },
    /// A box that is empty, unbounded or of another dimension than the network's inputs.
    #[error("region: {problem}")]
    BadRegion {
        /// The fault and the remedy.
        problem: String,
    },
    /// Sizes that contradict each other.
    #[error("{network}: {problem}")]
    BadShape {
        /// The network's name.
        network: String,
        /// The sizes.
        problem: String,
    },
    /// A decomposition that did not converge, so that there is not a proof.
    #[error("{what} did not converge; no bound is given")]
    NotConverged {
        /// The decomposition.
        what: &'static str,
    },
}

impl From<NotConverged> for CertifyError {
    fn from(NotConverged { what }: NotConverged) -> Self {
        Self::NotConverged { what }
    }
}
