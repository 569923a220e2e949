//! `summary.json`: the state of a run, rewritten at every change.

use serde::{Deserialize, Serialize};

/// State of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    /// A process is at work, or was killed; see [`crate::RunFolder::is_locked`].
    Running,
    /// All steps were taken.
    Done,
    /// An error ended the run.
    Failed {
        /// Reason, in words for the user.
        reason: String,
    },
    /// A signal ended the run after a checkpoint, from which it can resume.
    Stopped,
}

/// Content of `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// State of the run.
    #[serde(flatten)]
    pub status: Status,
    /// Environment steps taken.
    pub steps: u64,
    /// Mean return of the last evaluation.
    pub final_return: Option<f64>,
    /// Highest mean return of any evaluation.
    pub best_return: Option<f64>,
    /// Step of that evaluation.
    pub best_step: Option<u64>,
    /// Wall-clock seconds of work, over all resumptions.
    pub seconds: f64,
    /// Environment steps per second of that time.
    pub steps_per_second: f64,
    /// Peak memory of the run's process (resident set) over all resumptions, in bytes. `None` if
    /// the system does not tell it, and in runs of older programs.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
    /// Number of parameters that the agent's optimisers update: weights and biases of policy,
    /// critics, rewards and models, without targets. `None` in runs of older programs.
    #[serde(default)]
    pub parameters: Option<u64>,
}

/// Peak memory of this process so far, in bytes: `VmHWM` of `/proc/self/status` on Linux.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

impl Default for RunSummary {
    fn default() -> Self {
        Self {
            status: Status::Running,
            steps: 0,
            final_return: None,
            best_return: None,
            best_step: None,
            seconds: 0.0,
            steps_per_second: 0.0,
            peak_memory_bytes: None,
            parameters: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_without_memory_is_read() {
        let text = r#"{"status":"failed","reason":"x","steps":5,"final_return":null,"best_return":1.5,"best_step":2,
            "seconds":1.0,"steps_per_second":5.0}"#;
        let summary: RunSummary = serde_json::from_str(text).unwrap();
        assert_eq!((summary.status, summary.peak_memory_bytes), (Status::Failed { reason: "x".to_owned() }, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn peak_memory_grows_by_what_is_touched() {
        let before = peak_memory_bytes().unwrap();
        let block = vec![1_u8; 256 << 20];
        let after = peak_memory_bytes().unwrap();
        assert_eq!(block.iter().step_by(4096).map(|&byte| u64::from(byte)).sum::<u64>(), 65536);
        assert!(after >= before.max(256 << 20), "{before} {after}");
    }
}
