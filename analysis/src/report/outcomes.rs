//! Outcomes of finished runs: the numbers that tables show and variants are compared by.

use std::collections::BTreeMap;

use super::experiment::Experiment;
use super::options::Score;
use super::run_record::RunState;
use crate::axis::share;
use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::error::AnalysisError;
use crate::scores::{Estimator, Scores};
use crate::stats;

/// Finished runs of one variant on one task; the lists are parallel.
#[derive(Clone, Debug, Default)]
pub(super) struct FinishedRuns {
    seeds: Vec<String>,
    /// Last value of each.
    pub(super) last: Vec<f64>,
    /// Mean value of each.
    pub(super) mean: Vec<f64>,
    /// Highest value of each.
    pub(super) best: Vec<f64>,
}

impl FinishedRuns {
    fn scores(&self, score: Score) -> &[f64] {
        match score {
            Score::Last => &self.last,
            Score::Best => &self.best,
            Score::Mean => &self.mean,
        }
    }
}

/// Variant → task → finished runs.
pub(super) type Outcomes = BTreeMap<String, BTreeMap<String, FinishedRuns>>;

/// Outcomes of the finished runs that logged the metric within the window.
pub(super) fn outcomes(experiment: &Experiment) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for run in experiment.runs.iter().filter(|run| run.state == RunState::Done) {
        let series: Vec<f64> = run.scored(&experiment.metric, experiment.window).map(|(_, value)| value).collect();
        let Some(last) = series.last() else { continue };
        let of_task = outcomes.entry(run.variant.clone()).or_default().entry(run.task.clone()).or_default();
        let folder = || run.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        of_task.seeds.push(run.settings.get("seed").cloned().unwrap_or_else(folder));
        of_task.last.push(*last);
        of_task.mean.push(stats::mean(&series));
        of_task.best.push(stats::range(series.iter().copied()).1);
    }
    outcomes
}

/// Interquartile mean over runs of one task; `None` without a run.
pub(super) fn interquartile_mean(
    runs: &[f64],
    bootstrap: &Bootstrap,
) -> Result<Option<ConfidenceInterval>, AnalysisError> {
    if runs.is_empty() {
        return Ok(None);
    }
    let scores = Scores::new([(String::new(), runs.to_vec())])?;
    Ok(Some(bootstrap.estimate(&scores, Estimator::InterquartileMean)))
}

/// Scores of each variant. If `scaled`, 0 is the lowest and 1 the highest score of any run on a
/// task.
pub(super) fn scores(
    outcomes: &Outcomes,
    score: Score,
    scaled: bool,
) -> Result<BTreeMap<String, Scores>, AnalysisError> {
    let mut by_task: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
    for (task, runs) in outcomes.values().flatten() {
        by_task.entry(task).or_default().extend(runs.scores(score));
    }
    let ranges: BTreeMap<_, _> = by_task.into_iter().map(|(task, all)| (task, stats::range(all))).collect();
    let scale = |task: &String, x: f64| match ranges.get(task) {
        Some(range) if scaled && range.1 > range.0 => share(x, *range),
        _ => x,
    };
    let of_variant = |(variant, tasks): (&String, &BTreeMap<String, FinishedRuns>)| {
        let tasks = tasks
            .iter()
            .map(|(task, runs)| (task.clone(), runs.scores(score).iter().map(|x| scale(task, *x)).collect()));
        Ok((variant.clone(), Scores::new(tasks)?))
    };
    outcomes.iter().map(of_variant).collect()
}

/// Differences of two variants' scores by seed, for each task; `None` if they share no seed of some
/// task. Both are of the same tasks.
pub(super) fn differences_by_seed(
    outcomes: &Outcomes,
    ours: (&str, &Scores),
    theirs: (&str, &Scores),
) -> Option<Scores> {
    let of = |variant: &str, task: &str, runs: &[f64]| -> Option<BTreeMap<String, f64>> {
        let seeds = outcomes.get(variant)?.get(task)?.seeds.iter().cloned();
        Some(seeds.zip(runs.iter().copied()).collect())
    };
    let tasks = ours.1.names().zip(ours.1.tasks().iter().zip(theirs.1.tasks()));
    let differences = tasks.map(|(task, (runs, baseline))| {
        let (runs, baseline) = (of(ours.0, task, &runs.runs)?, of(theirs.0, task, &baseline.runs)?);
        Some((task.to_owned(), runs.iter().filter_map(|(seed, x)| Some(x - baseline.get(seed)?)).collect()))
    });
    Scores::new(differences.collect::<Option<Vec<_>>>()?).ok()
}
