//! `sweep.lock.json`: the runs of a sweep, written before the first of them starts.
//!
//! ```text
//! runs/<experiment>/
//!   sweep.lock.json        this file
//!   <variant>/seed-<n>/    a run folder each
//!   .sweep/                the launchers' own: each run's config, who is doing it, what failed, Slurm's scripts
//! ```
//! The file does not say how far the runs are: their own folders do.

use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::LogbookError;
use crate::json::write_json;
use crate::read::{limits, read_file};

/// Layout of `sweep.lock.json` that this program writes and reads.
pub const SWEEP_FORMAT_VERSION: u64 = 1;

const FILE: &str = "sweep.lock.json";

/// Content of `sweep.lock.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepLock {
    /// See [`SWEEP_FORMAT_VERSION`].
    pub format_version: u64,
    /// Name of the experiment.
    pub experiment: String,
    /// Sweep file, as named on the command line.
    pub sweep_file: PathBuf,
    /// Question of the sweep, and the way to answer it.
    pub report: SweepReport,
    /// Variants compared.
    pub variants: Vec<SweepVariant>,
    /// Every variant with every seed, in the order of their start.
    pub runs: Vec<SweepRun>,
    /// Search that the variants are points of. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SweepSearch>,
}

/// Question of a sweep, and the way to answer it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepReport {
    /// Question, in words.
    pub question: Option<String>,
    /// Title of the figure.
    pub figure: Option<String>,
    /// Metric compared.
    pub metric: String,
    /// Variant that the others are compared with.
    pub baseline: Option<String>,
    /// Number of a run's curve that is compared: `last`, `best` or `mean`. Older files lack it and
    /// mean `last`.
    #[serde(default)]
    pub score: Option<String>,
    /// First step that counts in tables.
    #[serde(default)]
    pub from: u64,
    /// Target whose time is listed.
    #[serde(default)]
    pub reach: Option<f64>,
    /// Metrics shown beside the one compared. Default: those usual for the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
}

/// Search of a sweep: its settings, and the results by which it has chosen points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepSearch {
    /// Method that chooses points: `tpe` or `random`.
    pub method: String,
    /// Better side of the score: `maximise` or `minimise`.
    pub goal: String,
    /// Score that results are, in words: two results compare only if theirs are equal.
    pub objective: String,
    /// Number of points that it will have asked for.
    pub points: usize,
    /// Seeds of each point.
    pub seeds: Vec<u64>,
    /// Dotted path → distribution.
    pub draw: Map<String, Value>,
    /// Rule that stops runs.
    pub prune: Option<Value>,
    /// Results that points were chosen by, in the order in which they were told. A later one of a
    /// point takes the place of an earlier one.
    pub told: Vec<ToldResult>,
    /// Best point, once all points have their results.
    pub best: Option<BestPoint>,
}

/// Result of a point that a search was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToldResult {
    /// First batch of points that was chosen by it, from 0.
    pub batch: usize,
    /// Number of the point.
    pub point: usize,
    /// Mean score of its runs; `None` if one failed.
    pub value: Option<f64>,
    /// `done`, `pruned` or `failed`.
    pub state: String,
}

/// Best point of a search, which is run again with fresh seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestPoint {
    /// Its variant.
    pub variant: String,
    /// Variant of the runs with fresh seeds; `None` if the search makes none.
    pub confirmation: Option<String>,
    /// Number of points that it is the best of.
    pub points: usize,
}

/// One variant of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepVariant {
    /// Name of its folder.
    pub name: String,
    /// Settings: dotted path → value.
    pub settings: Map<String, Value>,
}

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRun {
    /// Hash of its resolved config.
    pub id: String,
    /// Name of its variant.
    pub variant: String,
    /// Seed.
    pub seed: u64,
    /// Run folder, below the sweep's.
    pub folder: PathBuf,
    /// Environment steps of the run.
    pub steps: u64,
    /// Threads of the run.
    pub threads: usize,
    /// True if the sweep file still names the run. Runs are never taken out of the list.
    pub active: bool,
}

/// True for a relative path that stays below the folder that it is joined to.
pub fn stays_below(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

impl SweepRun {
    /// Problem of a run whose files would be outside of the sweep's folder.
    fn outside(&self) -> Option<String> {
        let id = Path::new(&self.id);
        if !stays_below(&self.folder) {
            Some(format!("the run folder `{}` is not below the sweep's folder", self.folder.display()))
        } else if !stays_below(id) || id.components().count() != 1 {
            Some(format!("the id `{}` is not the name of a file", self.id))
        } else {
            None
        }
    }
}

impl SweepLock {
    /// Reads the lock file of a sweep's folder; `None` if there is none.
    ///
    /// # Errors
    /// [`LogbookError::Damaged`], or [`LogbookError::Format`] if another version of the program
    /// wrote it.
    pub fn read(folder: &Path) -> Result<Option<Self>, LogbookError> {
        let path = folder.join(FILE);
        let bytes = match read_file(&path, limits::LIST) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            other => other?,
        };
        let damaged =
            |problem: serde_json::Error| LogbookError::Damaged { path: path.clone(), problem: problem.to_string() };
        let value: Value = serde_json::from_slice(&bytes).map_err(damaged)?;
        match value["format_version"].as_u64() {
            Some(SWEEP_FORMAT_VERSION) => {
                let lock: Self = serde_json::from_value(value).map_err(damaged)?;
                match lock.runs.iter().find_map(SweepRun::outside) {
                    Some(problem) => Err(LogbookError::Damaged { path, problem }),
                    None => Ok(Some(lock)),
                }
            }
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
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), LogbookError> {
        write_json(&folder.join(FILE), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

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
                metrics: vec!["model/error/*".to_owned()],
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
            search: Some(SweepSearch {
                method: "tpe".to_owned(),
                goal: "maximise".to_owned(),
                objective: "last eval/return_mean".to_owned(),
                points: 4,
                seeds: vec![3],
                draw: Map::new(),
                prune: None,
                told: vec![ToldResult { batch: 1, point: 0, value: None, state: "failed".to_owned() }],
                best: Some(BestPoint { variant: "s001".to_owned(), confirmation: None, points: 4 }),
            }),
        };
        lock.write(folder.path()).unwrap();
        assert_eq!(SweepLock::read(folder.path()).unwrap(), Some(lock.clone()));
        for (folder_of_run, id) in [
            ("../../x", "0"),
            ("/tmp/x", "0"),
            ("a/../../x", "0"),
            ("", "0"),
            ("a/seed-0", "../../x"),
            ("a/seed-0", "a/b"),
        ] {
            let run = SweepRun { id: id.to_owned(), folder: folder_of_run.into(), ..lock.runs[0].clone() };
            SweepLock { runs: vec![run], ..lock.clone() }.write(folder.path()).unwrap();
            let error = SweepLock::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains("sweep.lock.json: the "), "{folder_of_run} {id}: {error}");
        }
        SweepLock { format_version: 2, ..lock }.write(folder.path()).unwrap();
        assert!(matches!(SweepLock::read(folder.path()), Err(LogbookError::Format { found: 2, .. })));
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(matches!(SweepLock::read(folder.path()), Err(LogbookError::Damaged { .. })));
    }
}
