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
pub struct RunSummary {
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
    /// Most memory the run's process has held at a time (resident set), in bytes; the most of all
    /// resumptions. None where the system does not say, and in runs of older programs.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
    /// Numbers that the agent's optimisers move: weights and biases of policy, critics, rewards and
    /// models, without targets. None in runs of older programs.
    #[serde(default)]
    pub parameters: Option<u64>,
}

/// Most memory this process has held so far, in bytes: `VmHWM` of Linux's `/proc/self/status`.
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
        let text = r#"{"status":"failed","reason":"x","steps":5,"final_return":null,"best_return":1.5,"best_step":2,"seconds":1.0,"steps_per_second":5.0}"#;
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
