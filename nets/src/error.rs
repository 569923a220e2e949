//! Errors of networks and their optimisers.

use liprl_numerics::NumericsError;
use thiserror::Error;

/// A network that cannot be built, restored or trained on.
#[derive(Debug, Error)]
pub enum NetsError {
    /// A loss, observation, action or weight became NaN or infinite.
    #[error(
        "{what} is not finite ({value}) after {updates} updates; lower the learning rate or clip gradients, and go on from the last good checkpoint"
    )]
    NonFinite {
        /// The quantity.
        what: String,
        /// Its value.
        value: f64,
        /// Gradient updates done so far.
        updates: u64,
    },
    /// A saved state or a setting that does not fit.
    #[error(transparent)]
    Numerics(#[from] NumericsError),
    /// A refusal by libtorch.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

impl NetsError {
    /// The error of a setting, `setting` being its key as in the YAML.
    pub fn bad_config(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        NumericsError::BadConfig { setting: setting.into(), problem: problem.into() }.into()
    }

    /// The error of a checkpoint's entry.
    pub fn bad_state(name: impl Into<String>, problem: impl Into<String>) -> Self {
        NumericsError::BadState { name: name.into(), problem: problem.into() }.into()
    }
}
