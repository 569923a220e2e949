//! Rank correlation of two metrics: over runs, and over the time of each run.
//!
//! Over runs, each finished run is one pair: its score by either metric (last, best or mean). To ask
//! if the first foretells the second, its mean over the first half of the steps is paired with the
//! last value of the second. Over time, each run has a correlation of its own, of the second
//! metric's values with the newest of the first at or before their steps; their mean over runs is
//! the estimate. Intervals draw runs as wholes, so that values near in time do not count as
//! independent.

use std::collections::BTreeMap;

use super::experiment::Experiment;
use super::options::{ReportOptions, Score};
use super::run_record::{RunRecord, RunState};
use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::error::AnalysisError;
use crate::rank::{kendall, spearman};
use crate::run::logged_names;
use crate::stats;

/// Most pairs of one run; of longer ones evenly spread pairs count.
const MOST_PAIRS: usize = 300;
/// Resamples of a correlation.
const RESAMPLES: usize = 5000;

/// Rank correlation of two metrics.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) x: String,
    pub(super) y: String,
    /// Kinds of correlation that have one, in words.
    pub(super) rows: Vec<RelationRow>,
    /// Variant, and its pairs of scores, one for each finished run.
    pub(super) runs: Vec<(String, Vec<(f64, f64)>)>,
    /// Variant, and the pairs of all its runs over time.
    pub(super) time: Vec<(String, Vec<(f64, f64)>)>,
}

/// One kind of correlation.
#[derive(Clone, Debug)]
pub(super) struct RelationRow {
    pub(super) over: String,
    /// Spearman's ρ; `None` for fewer than three pairs, or equal values.
    pub(super) spearman: Option<ConfidenceInterval>,
    /// Kendall's τ-b.
    pub(super) kendall: Option<ConfidenceInterval>,
    /// Number of runs.
    pub(super) runs: usize,
}

impl Relation {
    /// The correlations in a sentence.
    pub(super) fn sentence(&self) -> String {
        let part = |row: &RelationRow| {
            let found = row.spearman?;
            let (value, low, high) = (found.value, found.low, found.high);
            Some(format!("{} {value:+.2} [{low:+.2}, {high:+.2}] ({} runs)", row.over, row.runs))
        };
        let parts: Vec<String> = self.rows.iter().filter_map(part).collect();
        if parts.is_empty() {
            return format!("{} and {}: too few finished runs for a rank correlation.", self.x, self.y);
        }
        format!("Rank correlation of {} with {}: {}.", self.x, self.y, parts.join("; "))
    }
}

/// Correlation of each pair of metrics asked for.
pub(super) fn relations(experiment: &Experiment, options: &ReportOptions) -> Result<Vec<Relation>, AnalysisError> {
    options.relate.iter().map(|(x, y)| relation(experiment, x, y, &options.bootstrap)).collect()
}

fn relation(experiment: &Experiment, x: &str, y: &str, bootstrap: &Bootstrap) -> Result<Relation, AnalysisError> {
    for metric in [x, y] {
        if experiment.runs.iter().all(|run| !run.series.contains_key(metric)) {
            let folders = || experiment.runs.iter().map(|run| run.folder.as_path()).filter(|folder| folder.exists());
            let known = logged_names(folders())?.into_iter().collect();
            let paths = folders().take(1).map(Into::into).collect();
            return Err(AnalysisError::NoSuchMetric { metric: metric.to_owned(), paths, known });
        }
    }
    let bootstrap = Bootstrap { resamples: bootstrap.resamples.min(RESAMPLES), ..*bootstrap };
    let done: Vec<&RunRecord> = experiment.runs.iter().filter(|run| run.state == RunState::Done).collect();
    let values = |run: &RunRecord, metric: &str| -> Vec<(u64, f64)> { run.scored(metric, experiment.window).collect() };
    let numbers = |series: &[(u64, f64)]| series.iter().map(|(_, value)| *value).collect::<Vec<f64>>();
    let (mut by_run, mut ahead, mut over_time) = (Vec::new(), Vec::new(), Vec::new());
    let (mut runs, mut time) = (BTreeMap::<String, Vec<_>>::new(), BTreeMap::<String, Vec<_>>::new());
    for run in done {
        let (of_x, of_y) = (values(run, x), values(run, y));
        let score = |series: &[(u64, f64)]| experiment.score.of(&numbers(series));
        if let (Some(a), Some(b)) = (score(&of_x), score(&of_y)) {
            by_run.push((a, b));
            runs.entry(run.variant.clone()).or_default().push((a, b));
        }
        let half = of_x.last().map_or(0, |(step, _)| step / 2);
        let early: Vec<f64> = of_x.iter().filter(|(step, _)| *step <= half).map(|(_, value)| *value).collect();
        if let (false, Some(last)) = (early.is_empty(), Score::Last.of(&numbers(&of_y))) {
            ahead.push((stats::mean(&early), last));
        }
        let pairs = in_time(&of_x, &of_y);
        if spearman(&pairs).is_some() {
            time.entry(run.variant.clone()).or_default().extend(pairs.iter().copied());
            over_time.push(pairs);
        }
    }
    let of_pairs = |over: &str, pairs: &[(f64, f64)]| {
        let by = |of: fn(&[(f64, f64)]) -> Option<f64>| {
            bootstrap.over(pairs.len(), |drawn| of(&drawn.iter().map(|at| pairs[*at]).collect::<Vec<_>>()))
        };
        RelationRow { over: over.to_owned(), spearman: by(spearman), kendall: by(kendall), runs: pairs.len() }
    };
    let of_time = |of: fn(&[(f64, f64)]) -> Option<f64>| {
        let each: Vec<f64> = over_time.iter().filter_map(|pairs| of(pairs)).collect();
        let mean = |drawn: &[usize]| stats::mean(&drawn.iter().map(|at| each[*at]).collect::<Vec<_>>());
        bootstrap.over(each.len(), |drawn| (!drawn.is_empty()).then(|| mean(drawn)))
    };
    let rows = vec![
        of_pairs(&format!("over runs ({} value of each)", experiment.score.name()), &by_run),
        of_pairs("first half of the one, last value of the other", &ahead),
        RelationRow {
            over: "over time, mean over runs".to_owned(),
            spearman: of_time(spearman),
            kendall: of_time(kendall),
            runs: over_time.len(),
        },
    ];
    let (x, y) = (x.to_owned(), y.to_owned());
    Ok(Relation { x, y, rows, runs: runs.into_iter().collect(), time: time.into_iter().collect() })
}

/// Values of `y` with the newest of `x` at or before their steps, at most [`MOST_PAIRS`].
fn in_time(x: &[(u64, f64)], y: &[(u64, f64)]) -> Vec<(f64, f64)> {
    let newest = |step: u64| x[..x.partition_point(|(of_x, _)| *of_x <= step)].last().map(|(_, value)| *value);
    let pairs: Vec<(f64, f64)> = y.iter().filter_map(|(step, value)| Some((newest(*step)?, *value))).collect();
    let stride = pairs.len().div_ceil(MOST_PAIRS).max(1);
    pairs.into_iter().step_by(stride).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_in_time_take_the_newest_value() {
        let pairs =
            in_time(&[(10, 1.0), (20, 2.0), (40, 4.0)], &[(5, 9.0), (10, 8.0), (25, 7.0), (40, 6.0), (50, 5.0)]);
        assert_eq!(pairs, [(1.0, 8.0), (2.0, 7.0), (4.0, 6.0), (4.0, 5.0)]);
        let long: Vec<(u64, f64)> = (0..1000).map(|step| (step, 0.0)).collect();
        assert_eq!(in_time(&long, &long).len(), 250);
    }
}
