//! Findings about a search: its points by score, the importance of each setting, and the best point
//! on fresh seeds.

use std::collections::BTreeMap;

use liprl_logbook::SweepSearch;
use serde_json::{Map, Value};

use super::experiment::Experiment;
use super::run_record::{RunRecord, RunState};
use super::wording::with_ends;
use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::error::AnalysisError;
use crate::importance::{Importance, SettingValues, importance};
use crate::number::short;
use crate::run::variant_folder;
use crate::scores::{Estimator, Scores};
use crate::stats;

/// Resamples for the importance of a setting.
const RESAMPLES: usize = 2000;
/// Beginning of the name of a variant that runs the best point again.
const CONFIRMATION: &str = "confirm-";
/// Points whose curves and settings are shown.
const SHOWN: usize = 7;

/// A search as the sweep's record has it.
#[derive(Clone, Debug)]
pub(super) struct SearchRecord {
    pub(super) search: SweepSearch,
    /// Variant → its settings.
    pub(super) settings: BTreeMap<String, Map<String, Value>>,
}

impl SearchRecord {
    /// The search in a sweep's record; `None` if there is none that can be read.
    pub(super) fn read(record: &Value) -> Option<Self> {
        let search = serde_json::from_value(record["search"].clone()).ok()?;
        let of = |variant: &Value| {
            Some((variant["name"].as_str()?.to_owned(), variant["settings"].as_object().cloned().unwrap_or_default()))
        };
        Some(Self { search, settings: record["variants"].as_array()?.iter().filter_map(of).collect() })
    }
}

/// One point of a search.
#[derive(Clone, Debug)]
pub(super) struct PointRow {
    pub(super) name: String,
    /// `done`, `pruned`, `failed` or `not done`.
    pub(super) state: &'static str,
    /// Mean score of its runs, of pruned ones as far as they came; `None` if one failed or has none.
    pub(super) score: Option<f64>,
    /// Runs that are done, and all.
    pub(super) runs: (usize, usize),
    /// Value of each setting that is drawn.
    pub(super) settings: Vec<String>,
    /// Reason why a run failed or was pruned.
    pub(super) why: Option<String>,
}

/// The best point, by the search's own score and by fresh seeds.
#[derive(Clone, Debug)]
pub(super) struct BestOfSearch {
    pub(super) name: String,
    /// The search's own score.
    pub(super) score: Option<f64>,
    pub(super) confirmation: Option<String>,
    /// Mean score on fresh seeds, and the number of runs; `None` before any is done.
    pub(super) confirmed: Option<(ConfidenceInterval, usize)>,
}

/// Findings about a search.
#[derive(Clone, Debug)]
pub(super) struct SearchFindings {
    pub(super) minimises: bool,
    /// Points that the search will have asked for.
    pub(super) planned: usize,
    pub(super) seeds: usize,
    /// Paths of the settings that are drawn.
    pub(super) paths: Vec<String>,
    /// Points, best first.
    pub(super) points: Vec<PointRow>,
    /// Settings with their importance, largest first.
    pub(super) importance: Vec<(String, Importance)>,
    pub(super) best: Option<BestOfSearch>,
}

impl SearchFindings {
    pub(super) fn of(
        experiment: &Experiment,
        record: &SearchRecord,
        bootstrap: &Bootstrap,
    ) -> Result<Self, AnalysisError> {
        let search = &record.search;
        let minimises = search.goal == "minimise";
        let mut runs: BTreeMap<String, Vec<&RunRecord>> = BTreeMap::new();
        for run in &experiment.runs {
            runs.entry(folder_name(run)).or_default().push(run);
        }
        let paths: Vec<String> = search.draw.keys().cloned().collect();
        // An unfinished search may have runs of an earlier best point.
        let is_point = |name: &&String| !name.starts_with(CONFIRMATION);
        let mut points: Vec<PointRow> =
            runs.keys().filter(is_point).map(|name| point(experiment, record, name, &runs[name], &paths)).collect();
        let sign = if minimises { -1.0 } else { 1.0 };
        let rating = |point: &PointRow| point.score.map_or(f64::NEG_INFINITY, |score| sign * score);
        points.sort_by(|a, b| rating(b).total_cmp(&rating(a)));
        let best = match &search.best {
            None => None,
            Some(best) => Some(BestOfSearch {
                name: best.variant.clone(),
                score: points.iter().find(|point| point.name == best.variant).and_then(|point| point.score),
                confirmation: best.confirmation.clone(),
                confirmed: match best.confirmation.as_ref().and_then(|name| runs.get(name)) {
                    Some(runs) => confirmed(experiment, runs, bootstrap)?,
                    None => None,
                },
            }),
        };
        let bootstrap = Bootstrap { resamples: RESAMPLES, ..*bootstrap };
        // Points without a result so far say nothing.
        let over: Vec<&PointRow> = points.iter().filter(|point| point.state != "not done").collect();
        let results: Vec<f64> = over.iter().map(|point| rating(point)).collect();
        let of_path = |path: &String| {
            let values = values(record, &over, path);
            Some((path.clone(), importance(&results, &values, &bootstrap)?))
        };
        let mut importance: Vec<(String, Importance)> = paths.iter().filter_map(of_path).collect();
        importance.sort_by(|a, b| b.1.share.value.total_cmp(&a.1.share.value));
        let (planned, seeds) = (search.points, search.seeds.len());
        Ok(Self { minimises, planned, seeds, paths, points, importance, best })
    }

    /// The findings in plain words.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        let side = if self.minimises { "lowest" } else { "highest" };
        match &self.best {
            None => {
                let over = self.points.iter().filter(|point| point.state != "not done").count();
                sentences.push(format!("The search is not finished: {over} of {} points are over.", self.planned));
            }
            Some(best) => {
                let score = best.score.map_or("–".to_owned(), short);
                let seeds = if self.seeds == 1 { "one seed".to_owned() } else { format!("{} seeds", self.seeds) };
                sentences.push(format!(
                    "The best of {} points is {}, with a score of {score} over {seeds}. That is the {side} of many \
                     scores, and too good by chance.",
                    self.points.len(),
                    best.name
                ));
                sentences.push(match (&best.confirmation, best.confirmed) {
                    (None, _) => "It was not run again with fresh seeds, so that nothing shows how much of that is \
                                  chance."
                        .to_owned(),
                    (Some(name), None) => format!("Its runs with fresh seeds, {name}, are not done yet."),
                    (Some(_), Some((found, runs))) => {
                        format!("Run again with {runs} fresh seeds, its mean score is {}.", with_ends(found))
                    }
                });
            }
        }
        if let Some((path, found)) = self.importance.first() {
            let percent = |share: f64| format!("{:.0}", 100.0 * share);
            sentences.push(format!(
                "{path} explains most: {} % [{}, {}] of the variance of the points' ranks by itself, of which chance \
                 gives about {} %.",
                percent(found.share.value),
                percent(found.share.low),
                percent(found.share.high),
                percent(found.chance)
            ));
        }
        let count = |state: &str| self.points.iter().filter(|point| point.state == state).count();
        let (failed, pruned) = (count("failed"), count("pruned"));
        if failed + pruned > 0 {
            sentences
                .push(format!("Of its points {failed} failed and {pruned} were pruned; the table has the reasons."));
        }
        sentences
    }

    /// The experiment with the runs of the best points and of the confirmation alone.
    pub(super) fn shown(&self, experiment: &Experiment) -> Experiment {
        let best = self.points.iter().take(SHOWN).map(|point| point.name.as_str());
        let again = self.best.as_ref().and_then(|best| best.confirmation.as_deref());
        let names: Vec<&str> = best.chain(again).collect();
        let shown = experiment.runs.iter().filter(|run| names.contains(&folder_name(run).as_str()));
        Experiment { runs: shown.cloned().collect(), ..experiment.clone() }
    }
}

/// Name of a run's variant in the sweep's record.
fn folder_name(run: &RunRecord) -> String {
    variant_folder(&run.folder).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn score(experiment: &Experiment, run: &RunRecord) -> Option<f64> {
    let values: Vec<f64> = run.scored(&experiment.metric, experiment.window).map(|(_, value)| value).collect();
    experiment.score.of(&values)
}

fn point(
    experiment: &Experiment,
    record: &SearchRecord,
    name: &str,
    runs: &[&RunRecord],
    paths: &[String],
) -> PointRow {
    let done = runs.iter().filter(|run| run.state == RunState::Done).count();
    let reason = |pick: fn(&RunState) -> Option<&String>| runs.iter().find_map(|run| pick(&run.state)).cloned();
    let failed = reason(|state| if let RunState::Failed(reason) = state { Some(reason) } else { None });
    let pruned = reason(|state| if let RunState::Pruned(reason) = state { Some(reason) } else { None });
    let over = |run: &&&RunRecord| matches!(run.state, RunState::Done | RunState::Pruned(_));
    let scores: Option<Vec<f64>> = runs.iter().map(|run| score(experiment, run)).collect();
    let state = match (&failed, &pruned) {
        (Some(_), _) => "failed",
        _ if runs.iter().filter(over).count() < runs.len() => "not done",
        (None, Some(_)) => "pruned",
        (None, None) => "done",
    };
    let setting = |path: &String| match record.settings.get(name).and_then(|of| of.get(path)) {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::Number(number)) => number.as_f64().map_or(number.to_string(), short),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    PointRow {
        name: name.to_owned(),
        state,
        score: scores.filter(|_| matches!(state, "done" | "pruned")).map(|scores| stats::mean(&scores)),
        runs: (done, runs.len()),
        settings: paths.iter().map(setting).collect(),
        why: failed.or(pruned),
    }
}

/// Mean score of the finished runs with fresh seeds.
fn confirmed(
    experiment: &Experiment,
    runs: &[&RunRecord],
    bootstrap: &Bootstrap,
) -> Result<Option<(ConfidenceInterval, usize)>, AnalysisError> {
    let done = runs.iter().filter(|run| run.state == RunState::Done);
    let scores: Vec<f64> = done.filter_map(|run| score(experiment, run)).collect();
    if scores.is_empty() {
        return Ok(None);
    }
    let count = scores.len();
    Ok(Some((bootstrap.estimate(&Scores::new([(String::new(), scores)])?, Estimator::Mean), count)))
}

/// Values of a setting: choices if it is drawn from a list.
fn values(record: &SearchRecord, points: &[&PointRow], path: &str) -> SettingValues {
    let of = |point: &&PointRow| record.settings.get(&point.name).and_then(|of| of.get(path)).cloned();
    let all: Vec<Value> = points.iter().map(|point| of(point).unwrap_or_default()).collect();
    let is_choice = record.search.draw.get(path).is_some_and(|of| of.get("choice").is_some());
    let numbers: Option<Vec<f64>> = all.iter().map(Value::as_f64).collect();
    match numbers {
        Some(numbers) if !is_choice => SettingValues::Numbers(numbers),
        _ => SettingValues::Choices(all.iter().map(Value::to_string).collect()),
    }
}
