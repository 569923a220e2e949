//! Errors of agents; each message names the place and the remedy.

use garde::Validate;
use liprl_control::ControlError;
use liprl_nets::NetsError;
use liprl_numerics::NumericsError;
use thiserror::Error;

/// An agent that could not be built, restored or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AgentError {
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
    /// A checkpoint that does not fit this agent.
    #[error("checkpoint: `{name}`: {problem}")]
    BadState {
        /// The entry.
        name: String,
        /// Missing, or another shape or type than expected.
        problem: String,
    },
    /// A setting that cannot work, found when building.
    #[error("{setting}: {problem}")]
    BadConfig {
        /// The key, as in the YAML.
        setting: String,
        /// The problem, and a value that would be right.
        problem: String,
    },
    /// The replay buffer was given or asked for something impossible.
    #[error("replay buffer: {problem}")]
    Replay {
        /// The problem, and the remedy.
        problem: String,
    },
    /// Demonstrations that cannot be read or do not fit.
    #[error("{path}: {problem}")]
    BadDemonstrations {
        /// The file.
        path: String,
        /// The problem, its place in the file, and the remedy.
        problem: String,
    },
    /// A control problem without a solution.
    #[error(transparent)]
    Control(ControlError),
    /// libtorch refused something.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<NumericsError> for AgentError {
    fn from(error: NumericsError) -> Self {
        match error {
            NumericsError::BadState { name, problem } => Self::BadState { name, problem },
            NumericsError::BadConfig { setting, problem } => Self::BadConfig { setting, problem },
        }
    }
}

impl From<NetsError> for AgentError {
    fn from(error: NetsError) -> Self {
        match error {
            NetsError::NonFinite { what, value, updates } => Self::NonFinite { what, value, updates },
            NetsError::Numerics(error) => error.into(),
            NetsError::Torch(error) => Self::Torch(error),
        }
    }
}

impl From<ControlError> for AgentError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Numerics(error) => error.into(),
            error => Self::Control(error),
        }
    }
}

/// Refuses settings out of range or at odds with one another, by name.
pub(crate) fn validated(config: &impl Validate<Context = ()>) -> Result<(), AgentError> {
    let Err(report) = config.validate() else { return Ok(()) };
    let Some((path, error)) = report.iter().next() else { return Ok(()) };
    Err(AgentError::BadConfig { setting: setting_path(path), problem: error.to_string() })
}

/// The dotted name of a setting as a config file writes it. garde counts the single field of an
/// enum's variant as index 0, and names the field of settings that SAC and TD3 share.
pub fn setting_path(path: &garde::Path) -> String {
    path.to_string().replace("[0]", "").replace("shared.", "")
}
