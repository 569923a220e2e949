//! What can keep a certificate from being given.

use liprl_numerics::linalg::NotConverged;
use thiserror::Error;

/// Why there is no bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertifyError {
    /// A layer or an output that no method here covers.
    #[error("{network}: {problem}")]
    Unsupported {
        /// Which network.
        network: String,
        /// What it has, and what could be done instead.
        problem: String,
    },
    /// A weight, bias or moment that is NaN or infinite.
    #[error("{network}: {what} is not finite; there is no bound on such a network")]
    NotFinite {
        /// Which network.
        network: String,
        /// Which of its numbers.
        what: String,
    },
    /// A box that is none, or none of this network's.
    #[error("region: {problem}")]
    BadRegion {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Sizes that contradict each other.
    #[error("{network}: {problem}")]
    BadShape {
        /// Which network.
        network: String,
        /// Which sizes.
        problem: String,
    },
    /// A decomposition that did not converge, so that nothing is proven.
    #[error("{what} did not converge; no bound is given")]
    NotConverged {
        /// What was computed.
        what: &'static str,
    },
}

impl From<NotConverged> for CertifyError {
    fn from(NotConverged { what }: NotConverged) -> Self {
        Self::NotConverged { what }
    }
}
