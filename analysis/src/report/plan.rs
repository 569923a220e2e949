//! A sweep's own record beside its runs: its question, its planned runs, and their failures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use liprl_logbook::{LogbookError, SWEEP_FORMAT_VERSION, limits, read_file, read_text, stays_below};
use serde_json::Value;

use crate::error::AnalysisError;
use crate::run::env_id;

/// A sweep's record; empty if its folder has none.
#[derive(Debug)]
pub(super) struct SweepPlan {
    record: Value,
    /// Folder → planned run.
    runs: BTreeMap<PathBuf, PlannedRun>,
}

/// A run of the lock file.
#[derive(Debug)]
pub(super) struct PlannedRun {
    /// True if the sweep file still names the run.
    active: bool,
    /// Environment that the run's variant sets, if it sets one.
    pub(super) task: Option<String>,
    /// Environment steps of the run.
    pub(super) steps: Option<u64>,
    /// Reason of its failure, if its last launcher recorded one and no other has claimed it since.
    pub(super) failure: Option<String>,
    /// Reason why a rule stopped it, if one did.
    pub(super) pruned: Option<String>,
}

impl SweepPlan {
    /// Reads the lock file, else a copy of the sweep file, which lists no runs.
    pub(super) fn read(folder: &Path) -> Result<Self, AnalysisError> {
        let record = record(folder)?;
        let tasks: BTreeMap<&str, String> =
            record["variants"].as_array().into_iter().flatten().filter_map(task).collect();
        let planned = |run: &Value| {
            // A lock file is not believed when it points out of its folder.
            let run_folder = Path::new(run["folder"].as_str()?);
            let file = format!("{}.json", run["id"].as_str().unwrap_or_default());
            if !stays_below(run_folder) || file.contains('/') {
                return None;
            }
            let kept = |kind: &str| folder.join(".sweep").join(kind).join(&file);
            let planned = PlannedRun {
                active: run["active"].as_bool() != Some(false),
                task: run["variant"].as_str().and_then(|variant| tasks.get(variant).cloned()),
                steps: run["steps"].as_u64(),
                failure: reason(&kept("failures")).filter(|_| !kept("claims").exists()),
                pruned: reason(&kept("pruned")).filter(|_| !kept("claims").exists()),
            };
            Some((folder.join(run_folder), planned))
        };
        let runs = record["runs"].as_array().into_iter().flatten().filter_map(planned).collect();
        Ok(Self { record, runs })
    }

    /// Value of a key under `report:`, else at the top of the record.
    pub(super) fn value(&self, key: &str) -> &Value {
        match &self.record["report"][key] {
            Value::Null => &self.record[key],
            nested => nested,
        }
    }

    /// The whole record.
    pub(super) fn record(&self) -> &Value {
        &self.record
    }

    /// The planned run of a folder.
    pub(super) fn run(&self, folder: &Path) -> Option<&PlannedRun> {
        self.runs.get(folder)
    }

    /// True if the sweep once planned the run in a folder and no longer names it.
    pub(super) fn is_set_aside(&self, folder: &Path) -> bool {
        self.run(folder).is_some_and(|run| !run.active)
    }

    /// Runs that the sweep file names, with their folders.
    pub(super) fn active(&self) -> impl Iterator<Item = (&PathBuf, &PlannedRun)> {
        self.runs.iter().filter(|(_, run)| run.active)
    }
}

/// Name of a variant, and the environment that its settings name.
fn task(variant: &Value) -> Option<(&str, String)> {
    let settings = &variant["settings"];
    let task = env_id(settings).or_else(|| {
        let named = ["env.id", "env.python", "env.entry"].iter().find_map(|key| settings[key].as_str());
        named.map(str::to_owned)
    })?;
    Some((variant["name"].as_str()?, task))
}

/// Reason in the record of a failure or of a rule; `None` without a readable record.
fn reason(file: &Path) -> Option<String> {
    let failure: Value = serde_json::from_slice(&read_file(file, limits::RECORD).ok()?).ok()?;
    Some(failure["reason"].as_str()?.to_owned())
}

fn record(folder: &Path) -> Result<Value, AnalysisError> {
    let damaged = |path: PathBuf, problem: String| LogbookError::Damaged { path, problem };
    let lock = folder.join("sweep.lock.json");
    if lock.exists() {
        let plan: Value = serde_json::from_slice(&read_file(&lock, limits::LIST)?)
            .map_err(|error| damaged(lock.clone(), error.to_string()))?;
        return match plan["format_version"].as_u64() {
            Some(SWEEP_FORMAT_VERSION) | None => Ok(plan),
            Some(found) => {
                let problem =
                    format!("written in sweep format {found}, and this program reads format {SWEEP_FORMAT_VERSION}");
                Err(damaged(lock, problem).into())
            }
        };
    }
    let copy = folder.join("sweep.yaml");
    if copy.exists() {
        let text = read_text(&copy, limits::CONFIG)?;
        return Ok(serde_saphyr::from_str(&text).map_err(|error| damaged(copy, error.to_string()))?);
    }
    Ok(Value::Null)
}
