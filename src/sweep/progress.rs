//! The progress of a run, from its logs.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use liprl_logbook::{limits, open_file};
use serde_json::Value;

/// The latest numbers in a run's metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RunProgress {
    /// Environment steps at the last logging event.
    pub step: u64,
    /// Environment steps per second.
    pub rate: Option<f64>,
    /// The last return: that of the last evaluation, or of training before the first one.
    pub last_return: Option<f64>,
}

impl RunProgress {
    /// Reads the end of a run's metrics.
    pub(super) fn read(run: &Path) -> Self {
        /// Some hundred logging events.
        const END: u64 = 256 * 1024;
        let path = run.join("metrics.jsonl");
        let length = std::fs::metadata(&path).map_or(0, |file| file.len());
        let text = tail(&path, length.saturating_sub(END), END).unwrap_or_default();
        let mut progress = Self::default();
        let mut evaluated = false;
        for event in text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let number = |name: &str| event.get(name).and_then(Value::as_f64);
            progress.step = progress.step.max(event["step"].as_u64().unwrap_or(0));
            progress.rate = progress.rate.or(number("perf/steps_per_s"));
            if let Some(value) = number("eval/return_mean") {
                progress.last_return = Some(value);
                evaluated = true;
            }
            progress.last_return = progress.last_return.or(number("train/return_mean"));
            if progress.rate.is_some() && evaluated {
                break;
            }
        }
        progress
    }
}

/// Reads the end of a file from a byte on, and at most `most` bytes; invalid UTF-8 is replaced.
pub(super) fn tail(path: &Path, from: u64, most: u64) -> io::Result<String> {
    let mut file = open_file(path, limits::LOG)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(most))))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
