//! Parts of a checkpoint that more than the training loop reads, and the format of their layout.

use std::error::Error;
use std::path::PathBuf;

use liprl_logbook::{Checkpoint, LogbookError};
use liprl_numerics::State;
use serde::de::DeserializeOwned;

/// The name of a checkpoint's part for the agent's state.
pub const AGENT: &str = "agent.safetensors";
/// The name of a checkpoint's part for the policy, which `eval` and `record` also take as a file of
/// its own.
pub const POLICY: &str = "policy.safetensors";
/// The name of a checkpoint's part for the loop's counters, which also names the format.
pub(crate) const SESSION: &str = "session.json";
/// The layout of a checkpoint's parts, raised when earlier ones can no longer be read. Policy files
/// have a format of their own.
pub(crate) const FORMAT: u64 = 2;

/// A part of a checkpoint that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// A file cannot be read.
    #[error(transparent)]
    Files(#[from] LogbookError),
    /// The state in it is damaged or does not fit.
    #[error("{}: {error}", .path.display())]
    Content {
        /// The part's file.
        path: PathBuf,
        /// The problem.
        error: Box<dyn Error + Send + Sync>,
    },
    /// The agent's state is not one of the agent in the config.
    #[error("{}: {error}. The agent is that of the run's config.yaml: one of the two was changed", .path.display())]
    Agent {
        /// The part's file.
        path: PathBuf,
        /// The problem.
        error: Box<dyn Error + Send + Sync>,
    },
    /// Another version wrote it in another layout.
    #[error(
        "{}: checkpoint format {found} is from {} version of liprl; this version reads {FORMAT}. Start the run again, or resume with the version that wrote it.",
        .path.display(),
        if *found < FORMAT { "an earlier" } else { "a later" }
    )]
    Format {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The format found.
        found: u64,
    },
}

impl PartError {
    /// Makes the error of a part whose content cannot be used.
    pub(crate) fn of(checkpoint: &Checkpoint, part: &str, error: impl Error + Send + Sync + 'static) -> Self {
        Self::Content { path: checkpoint.path().join(part), error: Box::new(error) }
    }

    /// Makes the error of a state that the agent of the run's config cannot take.
    pub(crate) fn agent(checkpoint: &Checkpoint, error: impl Error + Send + Sync + 'static) -> Self {
        Self::Agent { path: checkpoint.path().join(AGENT), error: Box::new(error) }
    }
}

/// Reads the agent's state, if this version knows its layout.
pub fn agent_state(checkpoint: &Checkpoint) -> Result<State, PartError> {
    let session: serde_json::Value = json(checkpoint, SESSION)?;
    // The first format had no number.
    match session["format"].as_u64().unwrap_or(1) {
        FORMAT => state(checkpoint, AGENT),
        found => Err(PartError::Format { path: checkpoint.path().to_owned(), found }),
    }
}

/// Reads the state in one part.
pub(crate) fn state(checkpoint: &Checkpoint, part: &str) -> Result<State, PartError> {
    State::from_bytes(&checkpoint.get(part)?).map_err(|error| PartError::of(checkpoint, part, error))
}

/// Reads one part as JSON.
pub(crate) fn json<T: DeserializeOwned>(checkpoint: &Checkpoint, part: &str) -> Result<T, PartError> {
    serde_json::from_slice(&checkpoint.get(part)?).map_err(|error| PartError::of(checkpoint, part, error))
}
