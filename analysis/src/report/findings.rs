//! Findings about a sweep's runs: returns, comparisons with the baseline, effects of the axes, and
//! the time to a target.

use std::collections::BTreeMap;
use std::path::Path;

use super::ablation::{AblationRow, ablation};
use super::compare::{Comparison, compare};
use super::effects::{Effect, effects};
use super::experiment::Experiment;
use super::options::ReportOptions;
use super::outcomes::{FinishedRuns, Outcomes, interquartile_mean, outcomes, scores};
use super::reach::{Reach, reach};
use super::relate::{Relation, relations};
use super::search::SearchFindings;
use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::error::AnalysisError;
use crate::names::nearest;
use crate::run::logged_names;
use crate::scores::Scores;
use crate::stats;

/// Returns of one variant on one task.
#[derive(Clone, Debug)]
pub(super) struct ReturnsRow {
    pub(super) variant: String,
    pub(super) task: String,
    /// Finished runs, and all runs.
    pub(super) runs: (usize, usize),
    /// Interquartile mean of the last value; `None` without a finished run.
    pub(super) last: Option<ConfidenceInterval>,
    /// Mean and standard deviation of the last value.
    pub(super) mean_std: (f64, f64),
    /// Interquartile mean of each run's mean value.
    pub(super) mean: Option<ConfidenceInterval>,
    /// Interquartile mean of each run's highest value.
    pub(super) best: Option<ConfidenceInterval>,
}

/// Everything the report concludes from the runs.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    pub(super) returns: Vec<ReturnsRow>,
    pub(super) baseline: String,
    /// True if the sweep or an option names the baseline.
    pub(super) baseline_named: bool,
    pub(super) comparisons: Vec<Comparison>,
    /// Effect of each axis, if there are several.
    pub(super) effects: Vec<Effect>,
    /// Effects on return, sample efficiency and slopes.
    pub(super) ablation: Vec<AblationRow>,
    /// Rank correlations asked for.
    pub(super) relations: Vec<Relation>,
    /// Time to the target, if one was asked for.
    pub(super) reach: Vec<Reach>,
    /// Variant → scores of its runs, scaled to each task's range if there are several tasks.
    pub(super) scores: BTreeMap<String, Scores>,
    pub(super) scaled: bool,
    /// Findings about a search, whose points are not compared with a baseline.
    pub(super) search: Option<SearchFindings>,
}

impl Findings {
    pub(super) fn of(experiment: &Experiment, options: &ReportOptions) -> Result<Self, AnalysisError> {
        check_metric(experiment)?;
        let named = options.baseline.clone().or_else(|| experiment.baseline.clone());
        let variants = experiment.variants();
        let baseline = named.clone().unwrap_or_else(|| variants[0].to_owned());
        if !variants.contains(&baseline.as_str()) {
            let near = nearest(&baseline, variants.iter().copied());
            let near = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
            let problem = format!("baseline `{baseline}`{near}: the variants are {}", variants.join(", "));
            return Err(AnalysisError::Request(problem));
        }
        let outcomes = outcomes(experiment);
        let scaled = experiment.tasks().len() > 1;
        let scores = scores(&outcomes, experiment.score, scaled)?;
        let reach = match experiment.reach {
            Some(value) => reach(experiment, value, &options.bootstrap)?,
            None => Vec::new(),
        };
        let search = match &experiment.search {
            Some(record) => Some(SearchFindings::of(experiment, record, &options.bootstrap)?),
            None => None,
        };
        let is_compared = search.is_none() || named.is_some();
        let comparisons = || compare(&outcomes, &scores, &baseline, &options.bootstrap);
        let effects = || effects(&scores, &baseline, &options.bootstrap);
        let ablation = || ablation(experiment, &baseline, &options.bootstrap);
        Ok(Self {
            ablation: if is_compared { ablation()? } else { Vec::new() },
            relations: relations(experiment, options)?,
            returns: returns(experiment, &outcomes, &options.bootstrap)?,
            comparisons: if is_compared { comparisons()? } else { Vec::new() },
            effects: if is_compared { effects()? } else { Vec::new() },
            reach,
            baseline,
            baseline_named: named.is_some(),
            scores,
            scaled,
            search,
        })
    }

    /// The answer in plain words, a sentence a line.
    pub(super) fn answer(&self) -> String {
        let mut sentences = Vec::new();
        if self.returns.iter().map(|row| row.runs.1).sum::<usize>() == 1 {
            let only = "There is one run and nothing to compare it with. `liprl plot` draws any of its metrics.";
            sentences.push(only.to_owned());
        } else if let Some(search) = &self.search {
            sentences.extend(search.sentences());
        } else if self.comparisons.is_empty() {
            let reason = if self.scores.len() < 2 {
                "fewer than two variants have finished runs".to_owned()
            } else if self.scores.contains_key(&self.baseline) {
                format!("no other variant has finished runs on the tasks of the baseline {}", self.baseline)
            } else {
                format!("the baseline {} has no finished run", self.baseline)
            };
            sentences.push(format!("There is nothing to compare: {reason}."));
        }
        sentences.extend(self.comparisons.iter().map(|found| found.sentence(&self.baseline)));
        sentences.extend(self.effects.iter().map(Effect::sentence));
        sentences.extend(self.reach.iter().map(Reach::sentence));
        sentences.extend(self.relations.iter().map(Relation::sentence));
        sentences.join("\n")
    }
}

/// Rejects a metric that no run logged, or none within the window.
fn check_metric(experiment: &Experiment) -> Result<(), AnalysisError> {
    let (metric, window) = (&experiment.metric, experiment.window);
    let series = || experiment.runs.iter().filter_map(|run| run.series.get(metric));
    if series().next().is_none() {
        // A run that is only planned has no log.
        let begun = || experiment.runs.iter().map(|run| run.folder.as_path()).filter(|folder| folder.exists());
        let known: Vec<String> = logged_names(begun())?.into_iter().collect();
        if known.is_empty() && begun().next().is_some() {
            return Err(AnalysisError::NothingLogged { paths: begun().map(Path::to_path_buf).collect() });
        }
        // All runs of an experiment lie below one folder.
        let paths = begun().take(1).map(Path::to_path_buf).collect();
        return Err(AnalysisError::NoSuchMetric { metric: metric.clone(), paths, known });
    }
    if experiment.runs.iter().all(|run| run.scored(metric, window).next().is_none()) {
        let first = series().filter_map(|series| Some(*series.first_key_value()?.0)).min().unwrap_or(0);
        let last = series().filter_map(|series| Some(*series.last_key_value()?.0)).max().unwrap_or(0);
        let problem = format!("no value{window}: those of `{metric}` are of steps {first} to {last}");
        return Err(AnalysisError::Request(problem));
    }
    Ok(())
}

fn returns(
    experiment: &Experiment,
    outcomes: &Outcomes,
    bootstrap: &Bootstrap,
) -> Result<Vec<ReturnsRow>, AnalysisError> {
    let mut rows = Vec::new();
    for (variant, task, runs) in experiment.groups() {
        let none = FinishedRuns::default();
        let finished = outcomes.get(variant).and_then(|tasks| tasks.get(task)).unwrap_or(&none);
        let FinishedRuns { last, mean, best, .. } = finished;
        rows.push(ReturnsRow {
            variant: variant.to_owned(),
            task: task.to_owned(),
            runs: (last.len(), runs.len()),
            last: interquartile_mean(last, bootstrap)?,
            mean_std: (stats::mean(last), stats::std(last)),
            mean: interquartile_mean(mean, bootstrap)?,
            best: interquartile_mean(best, bootstrap)?,
        });
    }
    Ok(rows)
}
