//! Errors of saved states and of settings, which name the entry or the key.

use thiserror::Error;

/// A saved state or a setting that does not fit.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum NumericsError {
    /// A checkpoint that does not fit what reads it.
    #[error("checkpoint: `{name}`: {problem}")]
    BadState {
        /// The entry.
        name: String,
        /// Missing, or of another shape or type than expected.
        problem: String,
    },
    /// A setting that cannot work.
    #[error("{setting}: {problem}")]
    BadConfig {
        /// The key, as in the YAML.
        setting: String,
        /// The fault and the remedy.
        problem: String,
    },
}
