//! Reads a sweep's folder: its question, and each run with how it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use liprl_logbook::{Provenance, RunFolder, Status, Summary, read_all_series};
use rayon::prelude::*;
use serde_json::Value;

use super::plan::{Plan, Planned};
use super::settings::{Settings, flatten};
use super::{ReportOptions, Score};
use crate::plot::labels;
use crate::run::{METRICS, check_format, env_id, variant};
use crate::{AnalysisError, Run, Warning, find_runs};

/// How a run stands, as far as its folder tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Done,
    /// Done, with fewer steps than the sweep plans now: so many.
    Shorter(u64),
    Running,
    /// It says it is running, and its process is gone.
    Killed,
    Stopped,
    Failed(String),
    /// Planned, and not there.
    Missing,
}

impl State {
    /// The sweep's own record of a failure says more than the run's folder, unless the run is done.
    fn or_failed(self, planned: Option<&Planned>) -> Self {
        match planned.and_then(|planned| planned.failure.clone()) {
            Some(reason) if self != Self::Done => Self::Failed(reason),
            _ => self,
        }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) folder: PathBuf,
    /// Name of its variant, without the task.
    pub(super) variant: String,
    pub(super) task: String,
    pub(super) state: State,
    pub(super) summary: Option<Summary>,
    pub(super) provenance: Option<Provenance>,
    pub(super) settings: Settings,
    /// Metric → step → value.
    pub(super) series: BTreeMap<String, BTreeMap<u64, f64>>,
    /// Step → seconds at which the metric compared was logged, since the run began.
    pub(super) seconds: BTreeMap<u64, f64>,
}

impl Member {
    /// What the tables take of a metric: step and value, in order.
    pub(super) fn scored(&self, metric: &str, window: Window) -> impl Iterator<Item = (u64, f64)> {
        let series = self.series.get(metric).into_iter();
        series.flat_map(move |series| series.range(window.from..=window.to)).map(|(step, value)| (*step, *value))
    }

    /// This metric as a run for curves.
    pub(super) fn run(&self, metric: &str) -> Option<Run> {
        let series = self.series.get(metric).filter(|series| !series.is_empty())?.clone();
        let (folder, variant) = (self.folder.clone(), PathBuf::from(&self.variant));
        Some(Run { folder, variant, task: Some(self.task.clone()), series })
    }
}

/// The steps that tables take, both ends among them; `from` is at most `to`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Window {
    fn new(from: u64, to: Option<u64>) -> Result<Self, AnalysisError> {
        match to.unwrap_or(u64::MAX) {
            to if to < from => {
                Err(AnalysisError::Question(format!("to step {to}: that is before step {from}, the first")))
            }
            to => Ok(Self { from, to }),
        }
    }
}

/// In words to append to what is taken of it; none for every step.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (0, u64::MAX) => Ok(()),
            (from, u64::MAX) => write!(f, " from step {from} on"),
            (from, to) => write!(f, " from step {from} to {to}"),
        }
    }
}

/// A sweep's folder.
#[derive(Clone, Debug)]
pub(super) struct Experiment {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) question: Option<String>,
    pub(super) figure: Option<String>,
    pub(super) metric: String,
    pub(super) baseline: Option<String>,
    pub(super) score: Score,
    pub(super) window: Window,
    pub(super) reach: Option<f64>,
    pub(super) members: Vec<Member>,
    /// Runs that were begun and that the sweep file no longer names. They are no members.
    pub(super) set_aside: usize,
    pub(super) warnings: Vec<Warning>,
}

impl Experiment {
    pub(super) fn read(folder: &Path, options: &ReportOptions) -> Result<Self, AnalysisError> {
        let plan = Plan::read(folder)?;
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
            let problem = "the sweep file no longer names any run that was begun; launch the sweep, or report on a variant's folder";
            return Err(AnalysisError::Question(format!("{}: {problem}", folder.display())));
        }
        let read: Vec<(Member, Vec<Warning>)> =
            folders.par_iter().map(|run| member(run, &metric, plan.run(run))).collect::<Result<_, _>>()?;
        let (mut members, warnings): (Vec<Member>, Vec<Vec<Warning>>) = read.into_iter().unzip();
        members.extend(
            plan.active().filter(|(run, _)| !folders.contains(run)).map(|(run, planned)| missing(run, planned)),
        );
        name_variants(&mut members);
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
            // The sweep's value is one of its own metric.
            reach: options.reach.or_else(|| plan.value("reach").as_f64().filter(|_| options.metric.is_none())),
            members,
            set_aside: set_aside.len(),
            warnings: warnings.concat(),
        })
    }

    /// Names of the variants, in order.
    pub(super) fn variants(&self) -> Vec<&str> {
        self.members.iter().map(|member| member.variant.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Names of the tasks, in order.
    pub(super) fn tasks(&self) -> Vec<&str> {
        self.members.iter().map(|member| member.task.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn of<'a>(&'a self, variant: &'a str) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(move |member| member.variant == variant)
    }
}

/// A run that the lock file names and that has logged nothing.
fn missing(folder: &Path, planned: &Planned) -> Member {
    Member {
        folder: folder.to_path_buf(),
        variant: variant(folder).to_string_lossy().into_owned(),
        task: String::new(),
        state: State::Missing.or_failed(Some(planned)),
        summary: None,
        provenance: None,
        settings: Settings::new(),
        series: BTreeMap::new(),
        seconds: BTreeMap::new(),
    }
}

/// How a run stands, by the sweep's own rule where it is one of its runs.
fn state(run: Option<&RunFolder>, summary: Option<&Summary>, config: &Value, planned: Option<&Planned>) -> State {
    let Some(summary) = summary else {
        return State::Failed("its summary.json cannot be read, so nobody knows whether it is done".to_owned());
    };
    // One that reached its `stop_at_return` took fewer steps than its config has.
    let steps = summary.steps.max(config["steps"].as_u64().unwrap_or(0));
    let state = match &summary.status {
        Status::Done => match planned.and_then(|planned| planned.steps) {
            Some(planned) if steps < planned => State::Shorter(planned),
            _ => State::Done,
        },
        Status::Stopped => State::Stopped,
        Status::Failed { reason } => State::Failed(reason.clone()),
        Status::Running if run.is_some_and(RunFolder::writer_is_gone) => State::Killed,
        Status::Running => State::Running,
    };
    state.or_failed(planned)
}

/// What of `lipschitz/` is shown: one number for each quantity on visited states, and what has no states.
fn is_diagnostic(name: &str) -> bool {
    let spread = || ["/mean", "/q05", "/q50", "/max"].iter().any(|end| name.ends_with(end));
    let elsewhere = || ["/replay", "/expert", "/penalised/", "/spectral_norm/"].iter().any(|part| name.contains(part));
    name.starts_with("lipschitz/") && !spread() && !elsewhere()
}

fn member(folder: &Path, metric: &str, planned: Option<&Planned>) -> Result<(Member, Vec<Warning>), AnalysisError> {
    check_format(folder)?;
    let path = folder.join(METRICS);
    let (all, damaged) = read_all_series(&path, |name| name == metric || is_diagnostic(name))?;
    let mut warnings: Vec<Warning> =
        damaged.into_iter().map(|line| Warning::Line { path: path.clone(), line }).collect();
    let points = |series: liprl_logbook::Series| {
        series.steps.into_iter().zip(series.values).filter(|(_, value)| value.is_finite()).collect()
    };
    let seconds =
        all.get(metric).into_iter().flat_map(|series| series.steps.iter().copied().zip(series.wall_s.iter().copied()));
    let seconds = seconds.collect();
    let run = RunFolder::open(folder).ok();
    let mut config = Value::Null;
    if let Ok(text) = fs::read_to_string(folder.join("config.yaml")) {
        match serde_saphyr::from_str(&text) {
            Ok(read) => config = read,
            Err(error) => {
                warnings.push(Warning::File { path: folder.join("config.yaml"), problem: error.to_string() });
            }
        }
    }
    let summary = run.as_ref().and_then(|run| match run.summary() {
        Ok(summary) => Some(summary),
        Err(error) => {
            warnings.push(Warning::File { path: folder.join("summary.json"), problem: error.to_string() });
            None
        }
    });
    let member = Member {
        folder: folder.to_path_buf(),
        variant: variant(folder).to_string_lossy().into_owned(),
        task: env_id(&config).unwrap_or_default(),
        state: state(run.as_ref(), summary.as_ref(), &config, planned),
        summary,
        provenance: run.and_then(|run| run.provenance().ok()),
        settings: flatten(&config),
        series: all.into_iter().map(|(name, series)| (name, points(series))).collect(),
        seconds,
    };
    Ok((member, warnings))
}

/// Gives variants the shortest names that tell apart those of one task, without the task in them; a run nobody has begun has its
/// variant's task.
fn name_variants(members: &mut [Member]) {
    let known: BTreeMap<String, String> = members
        .iter()
        .filter(|member| !member.task.is_empty())
        .map(|member| (member.variant.clone(), member.task.clone()))
        .collect();
    for member in members.iter_mut().filter(|member| member.task.is_empty()) {
        member.task = known.get(&member.variant).cloned().unwrap_or_default();
    }
    let keys: BTreeSet<(String, String)> =
        members.iter().map(|member| (member.task.clone(), member.variant.clone())).collect();
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
    for member in members {
        if let Some(name) = names.get(&(member.task.clone(), member.variant.clone())) {
            member.variant.clone_from(name);
        }
    }
}
