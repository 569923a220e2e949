//! Results of a search's points: read from run folders, and told to the search.

use std::collections::HashMap;
use std::fmt;
use std::io;

use liprl_analysis::report::Score;
use liprl_logbook::{METRICS_FILE, SweepRun, ToldResult, read_series};

use super::config::Goal;
use super::prune::Watch;
use crate::sweep::file::ReportConfig;
use crate::sweep::folder::{RunState, SweepFolder};

/// The number that a search makes as good as it can: a run's score.
pub(super) struct Objective {
    metric: String,
    score: Score,
    from: u64,
}

impl Objective {
    pub(super) fn new(report: &ReportConfig) -> Self {
        Self { metric: report.metric.clone(), score: report.score.into(), from: report.from }
    }

    /// Score of a run as far as it came; `None` if it logged nothing.
    fn of(&self, folder: &SweepFolder, run: &SweepRun) -> Option<f64> {
        let series = read_series(folder.run_folder(run).join(METRICS_FILE), &self.metric).ok()?;
        let counted =
            series.steps.iter().zip(series.values).filter(|(step, value)| **step >= self.from && value.is_finite());
        self.score.of(&counted.map(|(_, value)| value).collect::<Vec<f64>>())
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.score.name(), self.metric)?;
        if self.from > 0 { write!(f, " from step {}", self.from) } else { Ok(()) }
    }
}

/// The result of one point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PointResult {
    /// Mean score of its runs; `None` if one failed or logged nothing.
    pub value: Option<f64>,
    /// `done`, `pruned` or `failed`.
    pub state: &'static str,
}

/// Results of the points of these names; `None` if a run is not over. A run that was pruned is over
/// for now, but not if it may go on and `last` is true.
pub(super) fn read(
    folder: &SweepFolder,
    names: &[&str],
    seeds: &[u64],
    objective: &Objective,
    last: bool,
) -> io::Result<Option<Vec<PointResult>>> {
    let runs: HashMap<(&str, u64), &SweepRun> =
        folder.runs().map(|run| ((run.variant.as_str(), run.seed), run)).collect();
    let mut watch = Watch::new(folder);
    if last {
        watch.refresh(folder);
    }
    let mut results = Vec::new();
    for name in names {
        let (mut state, mut sum) = ("done", Some(0.0));
        for seed in seeds {
            let Some(run) = runs.get(&(*name, *seed)) else { return Ok(None) };
            match folder.state(run)? {
                RunState::Done => {}
                RunState::Pruned(pruned) if last && watch.promotes(run, &pruned) => return Ok(None),
                RunState::Pruned(_) if state == "done" => state = "pruned",
                RunState::Pruned(_) => {}
                RunState::Failed(_) => state = "failed",
                _ => return Ok(None),
            }
            sum = sum.zip(objective.of(folder, run)).map(|(sum, score)| sum + score);
        }
        let value = sum.map(|sum| sum / seeds.len() as f64).filter(|value| value.is_finite() && state != "failed");
        results.push(PointResult { value, state: if value.is_none() { "failed" } else { state } });
    }
    Ok(Some(results))
}

/// Adds results that are new or that have changed. They count from this batch on.
pub(super) fn tell(told: &mut Vec<ToldResult>, results: &[PointResult], batch: usize) {
    for (point, result) in results.iter().enumerate() {
        let before = told.iter().rev().find(|told| told.point == point);
        if before.is_none_or(|before| before.value != result.value || before.state != result.state) {
            told.push(ToldResult { batch, point, value: result.value, state: result.state.to_owned() });
        }
    }
}

/// Results of the first points as a batch knows them, of which more is better; −∞ for unknown ones
/// and for those that failed.
pub(super) fn known(told: &[ToldResult], points: usize, batch: usize, goal: Goal) -> Vec<f64> {
    let mut known = vec![f64::NEG_INFINITY; points];
    for one in told.iter().filter(|told| told.batch <= batch) {
        if let Some(slot) = known.get_mut(one.point) {
            *slot = one.value.map_or(f64::NEG_INFINITY, |value| goal.sign() * value);
        }
    }
    known
}

/// The best point whose runs are all done.
pub(super) fn best(results: &[PointResult], goal: Goal) -> Option<usize> {
    let done = results.iter().enumerate().filter(|(_, result)| result.state == "done");
    let rated = done.filter_map(|(point, result)| Some((point, goal.sign() * result.value?)));
    // Of equal ones the first.
    rated.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(point, _)| point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(value: Option<f64>, state: &'static str) -> PointResult {
        PointResult { value, state }
    }

    #[test]
    fn a_batch_knows_what_was_told_before_it_and_changed_results_count_later() {
        let mut told = Vec::new();
        tell(&mut told, &[result(Some(1.0), "done"), result(Some(2.0), "pruned"), result(None, "failed")], 1);
        let none = f64::NEG_INFINITY;
        assert_eq!(known(&told, 4, 0, Goal::Maximise), [none; 4]);
        assert_eq!(known(&told, 4, 1, Goal::Maximise), [1.0, 2.0, none, none]);
        // A pruned run went on and one that failed was retried; the first one is not told again.
        let later = [result(Some(1.0), "done"), result(Some(5.0), "done"), result(Some(3.0), "done")];
        tell(&mut told, &later, 2);
        assert_eq!(told.len(), 5);
        assert_eq!(known(&told, 3, 1, Goal::Minimise), [-1.0, -2.0, none]);
        assert_eq!(known(&told, 3, 2, Goal::Minimise), [-1.0, -5.0, -3.0]);
        assert_eq!(known(&told, 1, 2, Goal::Maximise), [1.0]);
    }

    #[test]
    fn the_best_point_is_the_first_of_the_best_ones_that_are_done() {
        let results = [
            result(Some(9.0), "pruned"),
            result(None, "failed"),
            result(Some(2.0), "done"),
            result(Some(4.0), "done"),
            result(Some(4.0), "done"),
        ];
        assert_eq!(best(&results, Goal::Maximise), Some(3));
        assert_eq!(best(&results, Goal::Minimise), Some(2));
        assert_eq!(best(&results[..2], Goal::Maximise), None);
    }
}
