//! One run of a sweep: its state, settings and series.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use liprl_logbook::{
    CONFIG_FILE, METRICS_FILE, Provenance, RunFolder, RunSummary, SUMMARY_FILE, Status, limits, read_all_series,
    read_text,
};
use serde_json::Value;

use super::metrics::of_agent;
use super::plan::PlannedRun;
use super::settings::{Settings, flatten};
use crate::error::AnalysisError;
use crate::run::{Run, Warning, check_format, env_id, variant_folder};
use crate::units::matches;

/// State of a run, as its folder and the sweep's record tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunState {
    Done,
    /// Done, with fewer steps than the sweep plans now; the plan.
    Shorter(u64),
    Running,
    /// Its summary says `running`, and its process is gone.
    Killed,
    Stopped,
    /// Stopped by a rule of the sweep; the reason.
    Pruned(String),
    /// The reason.
    Failed(String),
    /// Planned, and not begun.
    Missing,
}

impl RunState {
    /// State of a run whose folder holds this summary.
    fn of(
        folder: Option<&RunFolder>,
        summary: Option<&RunSummary>,
        config: &Value,
        planned: Option<&PlannedRun>,
    ) -> Self {
        let Some(summary) = summary else {
            let reason = "its summary.json cannot be read, so it is not known to be done";
            return Self::Failed(reason.to_owned());
        };
        // A run that reached its `stop_at_return` took fewer steps than its config has.
        let steps = summary.steps.max(config["steps"].as_u64().unwrap_or(0));
        let state = match &summary.status {
            Status::Done => match planned.and_then(|planned| planned.steps) {
                Some(planned) if steps < planned => Self::Shorter(planned),
                _ => Self::Done,
            },
            Status::Stopped => Self::Stopped,
            Status::Failed { reason } => Self::Failed(reason.clone()),
            Status::Running if folder.is_some_and(RunFolder::writer_is_gone) => Self::Killed,
            Status::Running => Self::Running,
        };
        state.or_failed(planned)
    }

    /// Prefers the sweep's record of a failure or of a rule to the folder's state, unless the run is
    /// done.
    fn or_failed(self, planned: Option<&PlannedRun>) -> Self {
        match planned.map(|planned| (planned.failure.clone(), planned.pruned.clone())) {
            Some((Some(reason), _)) if self != Self::Done => Self::Failed(reason),
            Some((None, Some(reason))) if self != Self::Done => Self::Pruned(reason),
            _ => self,
        }
    }
}

/// Steps that count in tables, both ends included; `from` is at most `to`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    from: u64,
    to: u64,
}

impl Window {
    pub(super) fn new(from: u64, to: Option<u64>) -> Result<Self, AnalysisError> {
        match to.unwrap_or(u64::MAX) {
            to if to < from => {
                Err(AnalysisError::Request(format!("to step {to}: that is before step {from}, the first")))
            }
            to => Ok(Self { from, to }),
        }
    }
}

/// Words that follow the name of a metric; empty for all steps.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (0, u64::MAX) => Ok(()),
            (from, u64::MAX) => write!(f, " from step {from} on"),
            (from, to) => write!(f, " from step {from} to {to}"),
        }
    }
}

/// A run of a sweep.
#[derive(Clone, Debug)]
pub(super) struct RunRecord {
    pub(super) folder: PathBuf,
    /// Name of its variant, without the task.
    pub(super) variant: String,
    pub(super) task: String,
    pub(super) state: RunState,
    pub(super) summary: Option<RunSummary>,
    pub(super) provenance: Option<Provenance>,
    pub(super) settings: Settings,
    /// Metrics that a page shows of it; `*` stands for any text.
    pub(super) shown: Vec<String>,
    /// Metric → step → value.
    pub(super) series: BTreeMap<String, BTreeMap<u64, f64>>,
    /// Step → seconds from the run's start to the logging of the metric compared.
    pub(super) seconds: BTreeMap<u64, f64>,
}

impl RunRecord {
    /// Reads the run in `folder`, and names what was skipped. Of its metrics it keeps those
    /// `needed`, Lipschitz diagnostics, and those `shown`: by default the ones usual for its agent.
    pub(super) fn read(
        folder: &Path,
        needed: &[&str],
        shown: Option<&[String]>,
        planned: Option<&PlannedRun>,
    ) -> Result<(Self, Vec<Warning>), AnalysisError> {
        check_format(folder)?;
        let mut warnings = Vec::new();
        let mut config = Value::Null;
        if let Ok(text) = read_text(folder.join(CONFIG_FILE), limits::CONFIG) {
            match serde_saphyr::from_str(&text) {
                Ok(read) => config = read,
                Err(error) => {
                    warnings.push(Warning::File { path: folder.join(CONFIG_FILE), problem: error.to_string() });
                }
            }
        }
        let usual = || of_agent(config["agent"]["kind"].as_str().unwrap_or_default());
        let shown = shown.map_or_else(usual, <[String]>::to_vec);
        let path = folder.join(METRICS_FILE);
        let is_kept = |name: &str| {
            needed.contains(&name) || is_diagnostic(name) || shown.iter().any(|pattern| matches(pattern, name))
        };
        let (all, damaged) = read_all_series(&path, is_kept)?;
        warnings.extend(damaged.into_iter().map(|line| Warning::Line { path: path.clone(), line }));
        let points = |series: liprl_logbook::Series| {
            series.steps.into_iter().zip(series.values).filter(|(_, value)| value.is_finite()).collect()
        };
        let compared = needed.first().and_then(|metric| all.get(*metric)).into_iter();
        let seconds = compared.flat_map(|series| series.steps.iter().copied().zip(series.wall_s.iter().copied()));
        let seconds = seconds.collect();
        let run = RunFolder::open(folder).ok();
        let summary = run.as_ref().and_then(|run| match run.summary() {
            Ok(summary) => Some(summary),
            Err(error) => {
                warnings.push(Warning::File { path: folder.join(SUMMARY_FILE), problem: error.to_string() });
                None
            }
        });
        let record = Self {
            task: env_id(&config).unwrap_or_default(),
            state: RunState::of(run.as_ref(), summary.as_ref(), &config, planned),
            summary,
            provenance: run.and_then(|run| run.provenance().ok()),
            settings: flatten(&config),
            shown,
            series: all.into_iter().map(|(name, series)| (name, points(series))).collect(),
            seconds,
            ..Self::missing(folder, None)
        };
        Ok((record, warnings))
    }

    /// A run that the lock file names and that has logged nothing.
    pub(super) fn missing(folder: &Path, planned: Option<&PlannedRun>) -> Self {
        Self {
            folder: folder.to_path_buf(),
            variant: variant_folder(folder).to_string_lossy().into_owned(),
            task: planned.and_then(|run| run.task.clone()).unwrap_or_default(),
            state: RunState::Missing.or_failed(planned),
            summary: None,
            provenance: None,
            settings: Settings::new(),
            shown: Vec::new(),
            series: BTreeMap::new(),
            seconds: BTreeMap::new(),
        }
    }

    /// Steps and values of a metric that count in tables, in order.
    pub(super) fn scored(&self, metric: &str, window: Window) -> impl Iterator<Item = (u64, f64)> {
        let series = self.series.get(metric).into_iter();
        series.flat_map(move |series| series.range(window.from..=window.to)).map(|(step, value)| (*step, *value))
    }

    /// The run with the series of one metric, for curves.
    pub(super) fn run(&self, metric: &str) -> Option<Run> {
        let series = self.series.get(metric).filter(|series| !series.is_empty())?.clone();
        let (folder, variant) = (self.folder.clone(), PathBuf::from(&self.variant));
        Some(Run { folder, variant, task: Some(self.task.clone()), series })
    }
}

/// True for the `lipschitz/` metrics that are shown: one number for each quantity on visited
/// states, and quantities that depend on no states.
fn is_diagnostic(name: &str) -> bool {
    let spread = || ["/mean", "/q05", "/q50", "/max"].iter().any(|end| name.ends_with(end));
    let elsewhere = || ["/replay", "/expert", "/penalised/", "/spectral_norm/"].iter().any(|part| name.contains(part));
    name.starts_with("lipschitz/") && !spread() && !elsewhere()
}
