//! A sweep's folder: the plan on disk, and the state of each run.

use std::path::{Path, PathBuf};

use fs_err as fs;
use liprl_logbook::{
    LogbookError, RunFolder, RunSummary, SUMMARY_FILE, Status, SweepLock, SweepRun, limits, open_own, own_folder,
    read_file, remove_leftovers, write_atomic,
};
use serde::{Deserialize, Serialize};

use super::claim::{Claims, Holder};
use super::error::PlanError;
use super::merge::{merged, stored_config};
use super::plan::Plan;
use super::search::PrunedRun;

/// A sweep on disk.
#[derive(Debug)]
pub struct SweepFolder {
    path: PathBuf,
    /// The plan.
    pub lock: SweepLock,
    /// The claims on runs.
    pub claims: Claims,
}

/// The state of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    /// Not begun.
    Waiting,
    /// Claimed by a launcher, or begun by hand (without a holder).
    Running(Option<Box<Holder>>),
    /// All steps are taken.
    Done,
    /// Stopped by a signal, after a checkpoint.
    Stopped,
    /// Stopped by a rule, after a checkpoint.
    Pruned(PrunedRun),
    /// Its process is gone without a word; its last checkpoint is there.
    Killed,
    /// Failed.
    Failed(RunFailure),
}

/// The failures of a run, kept until it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailure {
    /// Failures since its last checkpoint or good end.
    pub times: u32,
    /// The last reason.
    pub reason: String,
}

impl SweepFolder {
    /// Opens a folder that has a plan.
    ///
    /// # Errors
    /// [`LogbookError::NotARunFolder`] if there is no plan; any error of reading it.
    pub fn open(path: &Path) -> Result<Self, LogbookError> {
        let path = std::path::absolute(path)?;
        let Some(lock) = SweepLock::read(&path)? else {
            let problem = "it has no sweep.lock.json, so it is not a sweep's folder either".to_owned();
            return Err(LogbookError::NotARunFolder { path, problem });
        };
        own_folder(&path.join(OWN))?;
        let claims = Claims::open(&path.join(CLAIMS))?;
        Ok(Self { path, lock, claims })
    }

    /// Checks that [`write`](Self::write) would accept this plan; writes nothing.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn check(path: &Path, plan: &Plan) -> Result<(), PlanError> {
        merged(&std::path::absolute(path)?, plan).map(drop)
    }

    /// Writes a plan into a folder, or updates the plan that is there. New runs are added, those
    /// that the sweep file no longer names become inactive, more `steps` extend a run, and a run
    /// that is not begun may change. Either everything is written or nothing.
    ///
    /// # Errors
    /// [`PlanError::Changed`] if a run of the same name was begun with another config.
    pub fn write(path: &Path, plan: &Plan) -> Result<Self, PlanError> {
        let path = std::path::absolute(path)?;
        let lock = merged(&path, plan)?;
        fs::create_dir_all(&path)?;
        remove_leftovers(&path, |name| name == "sweep.lock.json");
        own_folder(&path.join(OWN))?;
        for folder in ["claims", "configs", "failures", "logs", "pruned", "slurm"] {
            let folder = path.join(OWN).join(folder);
            own_folder(&folder)?;
            remove_leftovers(&folder, |_| true);
        }
        for (run, planned) in lock.runs.iter().filter(|run| run.active).zip(&plan.runs) {
            let file = config_file(&path, &run.id);
            if !file.exists() {
                let yaml = planned.config.to_yaml().map_err(std::io::Error::other)?;
                write_atomic(&file, yaml.as_bytes())?;
            }
        }
        lock.write(&path)?;
        Ok(Self::open(&path)?)
    }

    /// The sweep's folder, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The runs that the sweep file names.
    pub fn runs(&self) -> impl Iterator<Item = &SweepRun> {
        self.lock.runs.iter().filter(|run| run.active)
    }

    /// A run's folder.
    pub fn run_folder(&self, run: &SweepRun) -> PathBuf {
        self.path.join(&run.folder)
    }

    /// A run's resolved config.
    pub fn config_file(&self, run: &SweepRun) -> PathBuf {
        config_file(&self.path, &run.id)
    }

    /// The log file of a run's process.
    pub fn log_file(&self, run: &SweepRun) -> PathBuf {
        self.path.join(".sweep/logs").join(format!("{}.log", run.id))
    }

    /// The folder of Slurm's scripts and logs.
    pub fn slurm(&self) -> PathBuf {
        self.path.join(".sweep/slurm")
    }

    fn failure_file(&self, run: &SweepRun) -> PathBuf {
        self.path.join(".sweep/failures").join(format!("{}.json", run.id))
    }

    /// The failures of a run, if any.
    pub fn failure(&self, run: &SweepRun) -> Option<RunFailure> {
        serde_json::from_slice(&read_file(self.failure_file(run), limits::RECORD).ok()?).ok()
    }

    /// Records a failure of a run.
    pub fn note_failure(&self, run: &SweepRun, reason: String) -> std::io::Result<()> {
        let times = self.failure(run).map_or(0, |failure| failure.times) + 1;
        write_atomic(self.failure_file(run), &serde_json::to_vec_pretty(&RunFailure { times, reason })?)
    }

    /// Removes the record of failures, for a run that is done or came to a checkpoint.
    pub fn forget_failure(&self, run: &SweepRun) {
        // Most often there is none.
        let _ = std::fs::remove_file(self.failure_file(run));
    }

    fn pruned_file(&self, run: &SweepRun) -> PathBuf {
        self.path.join(".sweep/pruned").join(format!("{}.json", run.id))
    }

    /// The record of a run that was stopped by a rule.
    pub fn pruned(&self, run: &SweepRun) -> Option<PrunedRun> {
        serde_json::from_slice(&read_file(self.pruned_file(run), limits::RECORD).ok()?).ok()
    }

    /// Records that a rule stops a run.
    pub fn note_pruned(&self, run: &SweepRun, pruned: &PrunedRun) -> std::io::Result<()> {
        write_atomic(self.pruned_file(run), &serde_json::to_vec_pretty(pruned)?)
    }

    /// Removes the record of a rule, for a run that goes on or is done.
    pub fn forget_pruned(&self, run: &SweepRun) {
        // Most often there is none.
        let _ = std::fs::remove_file(self.pruned_file(run));
    }

    /// Waits for other launchers that are choosing points of this sweep, and keeps them waiting
    /// until the result is dropped. `None` on a file system without locks.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn lock_plan(path: &Path) -> std::io::Result<Option<std::fs::File>> {
        let path = std::path::absolute(path)?;
        fs::create_dir_all(&path)?;
        own_folder(&path.join(OWN))?;
        let options = &mut fs::OpenOptions::new();
        let options = options.create(true).truncate(false).write(true);
        let file = open_own(&path.join(OWN).join("plan.lock"), options)?.into_parts().0;
        match file.lock() {
            Ok(()) => Ok(Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A run's `summary.json`, once it has one that can be read.
    pub fn summary(&self, run: &SweepRun) -> Option<RunSummary> {
        read_summary(&self.run_folder(run)).ok().flatten()
    }

    /// The state of a run.
    ///
    /// # Errors
    /// If its claim cannot be read.
    pub fn state(&self, run: &SweepRun) -> std::io::Result<RunState> {
        if let Some(holder) = self.claims.holder(&run.id)? {
            return Ok(RunState::Running(Some(Box::new(holder))));
        }
        Ok(self.state_unclaimed(run))
    }

    /// The state of a run that is not claimed.
    pub fn state_unclaimed(&self, run: &SweepRun) -> RunState {
        let summary = match read_summary(&self.run_folder(run)) {
            Ok(summary) => summary,
            Err(error) => return RunState::Failed(RunFailure { times: 1, reason: error.to_string() }),
        };
        if let Some(RunSummary { status: Status::Done, steps, .. }) = &summary
            && (*steps >= run.steps || self.stored_steps(run).is_some_and(|stored| stored >= run.steps))
        {
            return RunState::Done;
        }
        if let Some(failure) = self.failure(run) {
            return RunState::Failed(failure);
        }
        let locked =
            matches!(summary.as_ref().map(|summary| &summary.status), Some(Status::Running)) && self.is_locked(run);
        if !locked && let Some(pruned) = self.pruned(run) {
            return RunState::Pruned(pruned);
        }
        match summary.map(|summary| summary.status) {
            None => RunState::Waiting,
            // Done with fewer steps than it has now.
            Some(Status::Done | Status::Stopped) => RunState::Stopped,
            Some(Status::Running) if locked => RunState::Running(None),
            Some(Status::Running) => RunState::Killed,
            Some(Status::Failed { reason }) => RunState::Failed(RunFailure { times: 1, reason }),
        }
    }

    /// True if a process is known to write a run's folder.
    fn is_locked(&self, run: &SweepRun) -> bool {
        RunFolder::open(self.run_folder(run)).is_ok_and(|folder| folder.is_locked() == Some(true))
    }

    /// The steps in the config of a run's folder; a run that reached its `stop_at_return` took
    /// fewer.
    fn stored_steps(&self, run: &SweepRun) -> Option<u64> {
        stored_config(&self.run_folder(run)).ok().map(|config| config.steps)
    }
}

/// The launchers' own folder in a sweep's.
const OWN: &str = ".sweep";
pub(super) const CLAIMS: &str = ".sweep/claims";

pub(super) fn config_file(sweep: &Path, id: &str) -> PathBuf {
    sweep.join(".sweep/configs").join(format!("{id}.yaml"))
}

/// The `summary.json` in a run's folder, if there is one.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read_summary(run: &Path) -> Result<Option<RunSummary>, LogbookError> {
    let path = run.join(SUMMARY_FILE);
    if fs::symlink_metadata(&path).is_err() {
        return Ok(None);
    }
    let damaged = |error: serde_json::Error| LogbookError::Damaged { path: path.clone(), problem: error.to_string() };
    serde_json::from_slice(&read_file(&path, limits::RECORD)?).map(Some).map_err(damaged)
}
