//! The progress of a run, from its logs.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use liprl_logbook::{CONFIG_FILE, limits, open_file, read_text};
use serde_json::Value;

/// The latest numbers in a run's metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RunProgress {
    /// Environment steps at the last logging event.
    pub step: u64,
    /// Environment steps per second since the last logging event; `None` if steps with random
    /// actions are among them, which are faster than those that learn.
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
        let random = random_steps(run);
        let mut progress = Self::default();
        let mut evaluated = false;
        // The newest event with a rate, until the one before it is found.
        let mut newest: Option<(u64, f64)> = None;
        let mut rated = false;
        for event in text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let number = |name: &str| event.get(name).and_then(Value::as_f64);
            let step = event["step"].as_u64().unwrap_or(0);
            progress.step = progress.step.max(step);
            if let Some(rate) = number("perf/steps_per_s").filter(|_| !rated) {
                match newest {
                    None => newest = Some((step, rate)),
                    Some((_, rate)) => {
                        progress.rate = (step >= random).then_some(rate);
                        rated = true;
                    }
                }
            }
            if let Some(value) = number("eval/return_mean") {
                progress.last_return = Some(value);
                evaluated = true;
            }
            progress.last_return = progress.last_return.or(number("train/return_mean"));
            if rated && evaluated {
                break;
            }
        }
        if let Some((step, rate)) = newest.filter(|_| !rated) {
            // The event before it is that at the start, or beyond the part of the log that was read.
            progress.rate = (random == 0 || (length > END && step > random)).then_some(rate);
        }
        progress
    }
}

/// Steps with random actions before a run learns, by its config.
fn random_steps(run: &Path) -> u64 {
    let text = read_text(run.join(CONFIG_FILE), limits::CONFIG).unwrap_or_default();
    let config: Value = serde_saphyr::from_str(&text).unwrap_or_default();
    let agent = &config["agent"];
    let own = agent["learning_starts"].as_u64();
    own.or_else(|| agent["policy"]["learning_starts"].as_u64()).unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_steps_that_learn() {
        let run = tempfile::tempdir().unwrap();
        let log = |steps: &[(u64, u32)]| {
            let line = |(step, rate): &(u64, u32)| format!("{{\"step\":{step},\"perf/steps_per_s\":{rate}}}\n");
            fs_err::write(run.path().join("metrics.jsonl"), steps.iter().map(line).collect::<String>()).unwrap();
            RunProgress::read(run.path()).rate
        };
        let (random, learning) = ((100, 9000), (300, 50));
        assert_eq!(log(&[random]), Some(9000.0), "without a config no step is random");
        for agent in ["{kind: sac, learning_starts: 150}", "{kind: gail, policy: {learning_starts: 150}}"] {
            fs_err::write(run.path().join("config.yaml"), format!("agent: {agent}\n")).unwrap();
            assert_eq!(log(&[random]), None);
            assert_eq!(log(&[random, (200, 4000)]), None, "half of these steps are random");
            assert_eq!(log(&[random, (200, 4000), learning]), Some(50.0));
        }
    }
}
