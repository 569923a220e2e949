//! A sweep's folder: its question, and each of its runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rayon::prelude::*;
use serde_json::Value;

use super::options::{ReportOptions, Score};
use super::plan::SweepPlan;
use super::run_record::{RunRecord, Window};
use super::search::SearchRecord;
use crate::draw::DISTINCT;
use crate::error::AnalysisError;
use crate::labels::labels;
use crate::run::{LastValue, Warning, find_runs};
use crate::scores::{Estimator, Scores};

/// A sweep with its runs.
#[derive(Clone, Debug)]
pub(super) struct Experiment {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) question: Option<String>,
    /// Title of the figure.
    pub(super) figure: Option<String>,
    pub(super) metric: String,
    pub(super) baseline: Option<String>,
    pub(super) score: Score,
    pub(super) window: Window,
    /// Target whose time is listed.
    pub(super) reach: Option<f64>,
    pub(super) runs: Vec<RunRecord>,
    /// Metrics that the sweep or an option asks for beside the one compared.
    pub(super) metrics: Option<Vec<String>>,
    /// Last value of each metric, if there is a single run.
    pub(super) last_values: Vec<LastValue>,
    /// Number of runs that were begun and that the sweep file no longer names; `runs` lacks them.
    pub(super) set_aside: usize,
    /// Search that the variants are points of.
    pub(super) search: Option<SearchRecord>,
    pub(super) warnings: Vec<Warning>,
}

impl Experiment {
    /// Reads a sweep's folder; `options` take the place of the sweep's own.
    pub(super) fn read(folder: &Path, options: &ReportOptions) -> Result<Self, AnalysisError> {
        let plan = SweepPlan::read(folder)?;
        let asked = |key: &str| plan.value(key).as_str().map(str::to_owned);
        let metric =
            options.metric.clone().or_else(|| asked("metric")).unwrap_or_else(|| "eval/return_mean".to_owned());
        let score = match (options.score, asked("score")) {
            (Some(score), _) => score,
            (None, Some(name)) => name.parse()?,
            (None, None) => Score::default(),
        };
        let (set_aside, folders): (Vec<PathBuf>, Vec<PathBuf>) =
            find_runs(&[folder.to_path_buf()])?.into_iter().partition(|run| plan.is_set_aside(run));
        if folders.is_empty() {
            let problem = "the sweep file no longer names any run that was begun; launch the sweep, or report on a \
                           variant's folder";
            return Err(AnalysisError::Request(format!("{}: {problem}", folder.display())));
        }
        let list = |value: &Value| -> Option<Vec<String>> {
            let names: Vec<String> =
                value.as_array()?.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
            (!names.is_empty()).then_some(names)
        };
        let metrics = options.metrics.clone().or_else(|| list(plan.value("metrics")));
        let related = options.relate.iter().flat_map(|(x, y)| [x.as_str(), y.as_str()]);
        let needed: Vec<&str> = std::iter::once(metric.as_str()).chain(related).collect();
        let read = |run: &PathBuf| RunRecord::read(run, &needed, metrics.as_deref(), plan.run(run));
        let read: Vec<(RunRecord, Vec<Warning>)> = folders.par_iter().map(read).collect::<Result<_, _>>()?;
        let (mut runs, warnings): (Vec<RunRecord>, Vec<Vec<Warning>>) = read.into_iter().unzip();
        let missing = plan.active().filter(|(run, _)| !folders.contains(run));
        runs.extend(missing.map(|(run, planned)| RunRecord::missing(run, Some(planned))));
        name_variants(&mut runs);
        let last_values = match &runs[..] {
            [only] => LastValue::read(&only.folder)?,
            _ => Vec::new(),
        };
        let name = fs::canonicalize(folder)?.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            folder: folder.to_path_buf(),
            name,
            question: asked("question"),
            figure: asked("figure"),
            metric,
            baseline: asked("baseline"),
            score,
            window: Window::new(options.from.or_else(|| plan.value("from").as_u64()).unwrap_or(0), options.to)?,
            // The sweep's target is a value of its own metric.
            reach: options.reach.or_else(|| plan.value("reach").as_f64().filter(|_| options.metric.is_none())),
            runs,
            metrics,
            last_values,
            set_aside: set_aside.len(),
            search: SearchRecord::read(plan.record()),
            warnings: warnings.concat(),
        })
    }

    /// Names of the variants, in order.
    pub(super) fn variants(&self) -> Vec<&str> {
        self.runs.iter().map(|run| run.variant.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Variants that figures of many panels show: all, or of more than eight the first given, and
    /// those with the highest scores.
    pub(super) fn distinct<'a>(&'a self, first: &'a str, scores: &BTreeMap<String, Scores>) -> Vec<&'a str> {
        let all = self.variants();
        if all.len() <= DISTINCT {
            return all;
        }
        let score = |variant: &str| {
            let of = scores.get(variant).map(|scores| Estimator::InterquartileMean.of(scores));
            if variant == first { f64::INFINITY } else { of.unwrap_or(f64::NEG_INFINITY) }
        };
        let mut best = all.clone();
        best.sort_by(|a, b| score(b).total_cmp(&score(a)));
        best.truncate(DISTINCT);
        best.sort_unstable();
        best
    }

    /// Names of the tasks, in order.
    pub(super) fn tasks(&self) -> Vec<&str> {
        self.runs.iter().map(|run| run.task.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Runs of a variant.
    pub(super) fn of<'a>(&'a self, variant: &'a str) -> impl Iterator<Item = &'a RunRecord> {
        self.runs.iter().filter(move |run| run.variant == variant)
    }

    /// Runs of each variant on each of its tasks, in order of variant and task.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&str, &str, Vec<&RunRecord>)> {
        let mut groups: BTreeMap<(&str, &str), Vec<&RunRecord>> = BTreeMap::new();
        for run in &self.runs {
            groups.entry((&run.variant, &run.task)).or_default().push(run);
        }
        groups.into_iter().map(|((variant, task), runs)| (variant, task, runs))
    }
}

/// Replaces the variants' folders by the shortest names, without the task, that tell apart those of
/// one task. A run that nobody has begun takes its variant's task, else the only one that is known.
fn name_variants(runs: &mut [RunRecord]) {
    let known: BTreeMap<String, String> =
        runs.iter().filter(|run| !run.task.is_empty()).map(|run| (run.variant.clone(), run.task.clone())).collect();
    let tasks: BTreeSet<&String> = known.values().collect();
    let only = tasks.first().filter(|_| tasks.len() == 1).map(|task| (*task).clone());
    for run in runs.iter_mut().filter(|run| run.task.is_empty()) {
        run.task = known.get(&run.variant).or(only.as_ref()).cloned().unwrap_or_default();
    }
    let keys: BTreeSet<(String, String)> = runs.iter().map(|run| (run.task.clone(), run.variant.clone())).collect();
    let paths: Vec<(Option<&str>, &Path)> =
        keys.iter().map(|(task, folder)| (Some(task.as_str()), Path::new(folder))).collect();
    let long = labels(&paths);
    let without_task = |label: &String| -> String {
        let parts = label.split(',').filter(|part| !part.starts_with("env=") && !part.starts_with("id="));
        parts.collect::<Vec<_>>().join(",")
    };
    let short: Vec<String> = long.iter().map(without_task).collect();
    let distinct = paths.iter().zip(&short).map(|(key, label)| (key.0, label)).collect::<BTreeSet<_>>().len();
    let chosen = if distinct == keys.len() && short.iter().all(|label| !label.is_empty()) { short } else { long };
    let names: BTreeMap<&(String, String), String> = keys.iter().zip(chosen).collect();
    for run in runs {
        if let Some(name) = names.get(&(run.task.clone(), run.variant.clone())) {
            run.variant.clone_from(name);
        }
    }
}
