//! Series of a run from its logs: parts before and after a restart joined, several values at one
//! step averaged.

use std::collections::BTreeMap;

use super::log::{Log, LogKind};
use crate::run::Warning;
use crate::stats;

/// Most damaged lines of a file that are named one by one.
const NAMED_LINES: usize = 5;

/// Points in order of steps, while parts of a run are added.
#[derive(Default)]
struct Parts {
    points: Vec<(u64, f64)>,
    /// Number of points that were dropped because a step went back.
    dropped: usize,
}

impl Parts {
    /// Drops what came at or after the step, as TensorBoard does at a restart. Returns the number.
    fn restart(&mut self, step: u64) -> usize {
        let kept = self.points.partition_point(|point| point.0 < step);
        let dropped = self.points.len() - kept;
        self.points.truncate(kept);
        dropped
    }

    fn add(&mut self, points: &[(u64, f64)]) {
        for &(step, value) in points {
            if self.points.last().is_some_and(|last| last.0 > step) {
                self.dropped += self.restart(step);
            }
            self.points.push((step, value));
        }
    }
}

/// Series of a run from its logs that have the metric, and what was skipped. A run with logs of
/// several formats is read once.
pub(super) fn joined(logs: &[&Log], metric: &str, step: &str, warnings: &mut Vec<Warning>) -> BTreeMap<u64, f64> {
    let kind = logs.iter().map(|log| log.kind).min().unwrap_or(LogKind::Events);
    let same: Vec<&Log> = logs.iter().copied().filter(|log| log.kind == kind).collect();
    let chosen = if kind == LogKind::Table { parts(same, metric, step, warnings) } else { same };
    let mut all = Parts::default();
    for log in &chosen {
        if let Some(step) = log.restart() {
            all.restart(u64::try_from(step).unwrap_or(0));
        }
        let found = log.points(metric, step);
        all.add(&found.points);
        let line = |line: &usize| Warning::Line { path: log.path.clone(), line: *line };
        warnings.extend(found.damaged.iter().take(NAMED_LINES).map(line));
        let mut note = |problem: String| warnings.push(Warning::Note { path: log.path.clone(), problem });
        if found.damaged.len() > NAMED_LINES {
            note(format!("{} more damaged lines are skipped", found.damaged.len() - NAMED_LINES));
        }
        if found.rounded {
            note(format!("`{step}` has steps that are not whole numbers, which are rounded down"));
        }
        let dropped = std::mem::take(&mut all.dropped);
        if dropped > 0 {
            note(format!(
                "`{step}` goes back, as after a restart: {dropped} earlier values from there on are left out"
            ));
        }
    }
    let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (step, value) in all.points {
        by_step.entry(step).or_default().push(value);
    }
    by_step.into_iter().map(|(step, values)| (step, stats::mean(&values))).collect()
}

/// Tables that are parts of one run, in order. Of tables of different things, those of evaluations
/// count; of tables that begin at one step, the first by name.
fn parts<'l>(tables: Vec<&'l Log>, metric: &str, step: &str, warnings: &mut Vec<Warning>) -> Vec<&'l Log> {
    let evaluates = |log: &Log| {
        let name = log.path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        name.contains("eval") || name.contains("test")
    };
    let any = tables.iter().any(|log| evaluates(log));
    let first = |log: &Log| log.points(metric, step).points.iter().map(|point| point.0).min().unwrap_or(u64::MAX);
    let mut by_start: BTreeMap<u64, &Log> = BTreeMap::new();
    for log in tables {
        let start = first(log);
        if evaluates(log) == any && !by_start.contains_key(&start) {
            by_start.insert(start, log);
        } else {
            let problem = format!(
                "left out: another table beside it has `{metric}` too; give each run a folder of its own, or each \
                 file its own --peer of one name"
            );
            warnings.push(Warning::Note { path: log.path.clone(), problem });
        }
    }
    by_start.into_values().collect()
}
