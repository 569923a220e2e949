//! The sweep's own record beside its runs: what it asks, which runs it names, and what it knows of their failures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use liprl_logbook::LogbookError;
use serde_json::Value;

use crate::AnalysisError;

/// A sweep's record; empty where there is none.
#[derive(Debug)]
pub(super) struct Plan {
    record: Value,
    /// Folder → what the lock file says of the run in it.
    runs: BTreeMap<PathBuf, Planned>,
}

/// A run of the lock file.
#[derive(Debug)]
pub(super) struct Planned {
    /// Whether the sweep file still names it.
    active: bool,
    /// Environment steps it takes.
    pub(super) steps: Option<u64>,
    /// Why it failed, if its last launcher took that down and none has claimed it since.
    pub(super) failure: Option<String>,
}

impl Plan {
    /// From the lock file, else from a copy of the sweep file, which lists no runs.
    pub(super) fn read(folder: &Path) -> Result<Self, AnalysisError> {
        let record = record(folder)?;
        let planned = |run: &Value| {
            let file = format!("{}.json", run["id"].as_str().unwrap_or_default());
            let kept = |kind: &str| folder.join(".sweep").join(kind).join(&file);
            let planned = Planned {
                active: run["active"].as_bool() != Some(false),
                steps: run["steps"].as_u64(),
                failure: reason(&kept("failures")).filter(|_| !kept("claims").exists()),
            };
            Some((folder.join(run["folder"].as_str()?), planned))
        };
        let runs = record["runs"].as_array().into_iter().flatten().filter_map(planned).collect();
        Ok(Self { record, runs })
    }

    /// What the record says under `report:`, else at its top.
    pub(super) fn value(&self, key: &str) -> &Value {
        match &self.record["report"][key] {
            Value::Null => &self.record[key],
            nested => nested,
        }
    }

    /// What the lock file says of the run in a folder.
    pub(super) fn run(&self, folder: &Path) -> Option<&Planned> {
        self.runs.get(folder)
    }

    /// Whether the sweep file no longer names the run in a folder. One that it never named is nobody's to leave out.
    pub(super) fn is_set_aside(&self, folder: &Path) -> bool {
        self.run(folder).is_some_and(|run| !run.active)
    }

    /// The runs that the sweep file names, with their folders.
    pub(super) fn active(&self) -> impl Iterator<Item = (&PathBuf, &Planned)> {
        self.runs.iter().filter(|(_, run)| run.active)
    }
}

/// The reason in the record of a failure; none where there is no record that can be read.
fn reason(file: &Path) -> Option<String> {
    let failure: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    Some(failure["reason"].as_str()?.to_owned())
}

fn record(folder: &Path) -> Result<Value, AnalysisError> {
    let damaged = |path: PathBuf, problem: String| LogbookError::Damaged { path, problem };
    let lock = folder.join("sweep.lock.json");
    if lock.is_file() {
        let plan: Value =
            serde_json::from_slice(&fs::read(&lock)?).map_err(|error| damaged(lock.clone(), error.to_string()))?;
        return match plan["format_version"].as_u64() {
            Some(1) | None => Ok(plan),
            Some(found) => {
                let problem = format!("written in sweep format {found}, and this program reads format 1");
                Err(damaged(lock, problem).into())
            }
        };
    }
    let copy = folder.join("sweep.yaml");
    if copy.is_file() {
        let text = fs::read_to_string(&copy)?;
        return Ok(serde_saphyr::from_str(&text).map_err(|error| damaged(copy, error.to_string()))?);
    }
    Ok(Value::Null)
}
