//! `sweep.lock.json`: the runs a sweep consists of, written before the first of them starts.
//!
//! ```text
//! runs/<experiment>/
//!   sweep.lock.json        this file
//!   <variant>/seed-<n>/    a run folder each
//!   .sweep/                the launchers' own: each run's config, who is doing it, what failed, Slurm's scripts
//! ```
//! How far the runs are is not in it: their own folders say that.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::LogbookError;
use crate::json::write_json;

/// The layout of `sweep.lock.json` this program writes and reads.
pub const SWEEP_FORMAT_VERSION: u64 = 1;

const FILE: &str = "sweep.lock.json";

/// What `sweep.lock.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepLock {
    /// See [`SWEEP_FORMAT_VERSION`].
    pub format_version: u64,
    /// The experiment's name.
    pub experiment: String,
    /// The sweep file, as it was named on the command line.
    pub sweep_file: PathBuf,
    /// What the sweep asks and how it is to be answered.
    pub report: SweepReport,
    /// The settings compared.
    pub variants: Vec<SweepVariant>,
    /// Every variant with every seed, in the order they are begun.
    pub runs: Vec<SweepRun>,
}

/// What a sweep asks and how it is to be answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepReport {
    /// The question, in words.
    pub question: Option<String>,
    /// The figure's title.
    pub figure: Option<String>,
    /// The metric compared.
    pub metric: String,
    /// The variant that the others are compared with.
    pub baseline: Option<String>,
    /// What of a run's curve is compared: `last`, `best` or `mean`. An older file does not have it:
    /// the last.
    #[serde(default)]
    pub score: Option<String>,
    /// Tables leave out what was logged before this step.
    #[serde(default)]
    pub from: u64,
    /// How soon runs reach this value is listed.
    #[serde(default)]
    pub reach: Option<f64>,
}

/// One of the settings compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepVariant {
    /// Its folder's name.
    pub name: String,
    /// What it sets: dotted path → value.
    pub settings: Map<String, Value>,
}

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRun {
    /// Hash of its resolved config.
    pub id: String,
    /// Its variant's name.
    pub variant: String,
    /// Its seed.
    pub seed: u64,
    /// Its run folder, below the sweep's.
    pub folder: PathBuf,
    /// Environment steps it takes.
    pub steps: u64,
    /// Threads it uses.
    pub threads: usize,
    /// Whether the sweep file still names it. Runs are never taken out of the list.
    pub active: bool,
}

impl SweepLock {
    /// Reads a sweep folder's lock file; none if it has none.
    ///
    /// # Errors
    /// [`LogbookError::Damaged`], or [`LogbookError::Format`] when another version of the program
    /// wrote it.
    pub fn read(folder: &Path) -> Result<Option<Self>, LogbookError> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            other => other?,
        };
        let damaged =
            |problem: serde_json::Error| LogbookError::Damaged { path: path.clone(), problem: problem.to_string() };
        let value: Value = serde_json::from_slice(&bytes).map_err(damaged)?;
        match value["format_version"].as_u64() {
            Some(SWEEP_FORMAT_VERSION) => Ok(Some(serde_json::from_value(value).map_err(damaged)?)),
            found => Err(LogbookError::Format {
                path: path.clone(),
                found: found.unwrap_or(0),
                program: "(unknown version)".to_owned(),
                supported: SWEEP_FORMAT_VERSION,
            }),
        }
    }

    /// Replaces the lock file in one step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), LogbookError> {
        write_json(&folder.join(FILE), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_written_and_other_formats_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(SweepLock::read(folder.path()).unwrap(), None);
        let lock = SweepLock {
            format_version: SWEEP_FORMAT_VERSION,
            experiment: "penalty".to_owned(),
            sweep_file: "configs/penalty.yaml".into(),
            report: SweepReport {
                question: None,
                figure: None,
                metric: "eval/return_mean".to_owned(),
                baseline: None,
                score: Some("mean".to_owned()),
                from: 6000,
                reach: Some(0.1),
            },
            variants: vec![SweepVariant { name: "scale=1".to_owned(), settings: Map::new() }],
            runs: vec![SweepRun {
                id: "0".to_owned(),
                variant: "scale=1".to_owned(),
                seed: 3,
                folder: "scale=1/seed-3".into(),
                steps: 10,
                threads: 1,
                active: true,
            }],
        };
        lock.write(folder.path()).unwrap();
        assert_eq!(SweepLock::read(folder.path()).unwrap(), Some(lock.clone()));
        SweepLock { format_version: 2, ..lock }.write(folder.path()).unwrap();
        assert!(matches!(SweepLock::read(folder.path()), Err(LogbookError::Format { found: 2, .. })));
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(matches!(SweepLock::read(folder.path()), Err(LogbookError::Damaged { .. })));
    }
}
