//! `summary.json`: how a run stands, rewritten whenever that changes.

use serde::{Deserialize, Serialize};

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    /// A process is at work, or was killed without a chance to say so.
    Running,
    /// All steps were taken.
    Done,
    /// It cannot go on.
    Failed {
        /// Why, in words for the user.
        reason: String,
    },
    /// A signal ended it after a checkpoint; it can be resumed.
    Stopped,
}

/// What `summary.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How the run stands.
    #[serde(flatten)]
    pub status: Status,
    /// Environment steps taken.
    pub steps: u64,
    /// Mean return of the last evaluation.
    pub final_return: Option<f64>,
    /// Highest mean return of any evaluation.
    pub best_return: Option<f64>,
    /// The step of that evaluation.
    pub best_step: Option<u64>,
    /// Wall-clock seconds of work, over all resumptions.
    pub seconds: f64,
    /// Environment steps per second of that time.
    pub steps_per_second: f64,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            status: Status::Running,
            steps: 0,
            final_return: None,
            best_return: None,
            best_step: None,
            seconds: 0.0,
            steps_per_second: 0.0,
        }
    }
}
