//! A sweep's folder: the plan on disk, and the state of each run.

use std::path::{Path, PathBuf};

use fs_err as fs;
use liprl_analysis::report::Score;
use liprl_logbook::{
    LogbookError, RunFolder, RunSummary, SWEEP_FORMAT_VERSION, Status, SweepLock, SweepReport, SweepRun, SweepVariant,
    write_atomic,
};
use serde::{Deserialize, Serialize};

use super::claim::{Claims, Holder};
use super::error::PlanError;
use super::plan::{Plan, PlannedRun};
use crate::config::{Config, difference};

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
    /// Claimed by a launcher.
    Running(Box<Holder>),
    /// All steps are taken.
    Done,
    /// Stopped by a signal, after a checkpoint.
    Stopped,
    /// Killed; its last checkpoint is there.
    Interrupted,
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
        for folder in ["claims", "configs", "failures", "logs", "slurm"] {
            fs::create_dir_all(path.join(".sweep").join(folder))?;
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
        serde_json::from_slice(&fs::read(self.failure_file(run)).ok()?).ok()
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

    /// A run's `summary.json`, once it has one.
    pub fn summary(&self, run: &SweepRun) -> Option<RunSummary> {
        read_summary(&self.run_folder(run))
    }

    /// The state of a run.
    ///
    /// # Errors
    /// If its claim cannot be read.
    pub fn state(&self, run: &SweepRun) -> std::io::Result<RunState> {
        if let Some(holder) = self.claims.holder(&run.id)? {
            return Ok(RunState::Running(Box::new(holder)));
        }
        Ok(self.state_unclaimed(run))
    }

    /// The state of a run that is not claimed.
    pub fn state_unclaimed(&self, run: &SweepRun) -> RunState {
        let summary = self.summary(run);
        if let Some(RunSummary { status: Status::Done, steps, .. }) = &summary
            && (*steps >= run.steps || self.stored_steps(run).is_some_and(|stored| stored >= run.steps))
        {
            return RunState::Done;
        }
        if let Some(failure) = self.failure(run) {
            return RunState::Failed(failure);
        }
        match summary.map(|summary| summary.status) {
            None => RunState::Waiting,
            // Done with fewer steps than it has now.
            Some(Status::Done | Status::Stopped) => RunState::Stopped,
            Some(Status::Running) => RunState::Interrupted,
            Some(Status::Failed { reason }) => RunState::Failed(RunFailure { times: 1, reason }),
        }
    }

    /// The steps in the config of a run's folder; a run that reached its `stop_at_return` took
    /// fewer.
    fn stored_steps(&self, run: &SweepRun) -> Option<u64> {
        stored_config(&self.run_folder(run)).ok().map(|config| config.steps)
    }
}

const CLAIMS: &str = ".sweep/claims";

fn config_file(sweep: &Path, id: &str) -> PathBuf {
    sweep.join(".sweep/configs").join(format!("{id}.yaml"))
}

/// The `summary.json` in a run's folder, if it is there and valid.
pub(super) fn read_summary(run: &Path) -> Option<RunSummary> {
    serde_json::from_slice(&std::fs::read(run.join("summary.json")).ok()?).ok()
}

/// The config in a run's folder.
fn stored_config(run: &Path) -> Result<Config, PlanError> {
    let folder = RunFolder::open(run)?;
    let mut config = Config::parse(&folder.config_path().display().to_string(), &folder.config()?, &[])?;
    // Of earlier versions, which kept paths as they were written.
    config.resolve_paths(&[run]).ok();
    Ok(config)
}

/// Merges the plan with an earlier one and with run folders that are there.
fn merged(path: &Path, plan: &Plan) -> Result<SweepLock, PlanError> {
    let earlier = SweepLock::read(path)?;
    let (old_runs, old_variants) = earlier.map(|lock| (lock.runs, lock.variants)).unwrap_or_default();
    let mut differences = Vec::new();
    let mut runs = Vec::new();
    for planned in &plan.runs {
        let folder = planned.folder();
        let old = old_runs.iter().find(|old| old.folder == folder);
        let same = old.is_some_and(|old| old.id == planned.id);
        // A run keeps its id if a newer version only added settings with defaults.
        let listed = old.filter(|_| !same).map(|old| read_config(&config_file(path, &old.id))).transpose()?;
        let id = match (old, &listed) {
            (Some(old), Some(listed)) if old.steps == planned.config.steps && changed(planned, listed).is_none() => {
                &old.id
            }
            _ => &planned.id,
        }
        .clone();
        let begun = match old {
            _ if same => None,
            _ if path.join(&folder).exists() => Some(stored_config(&path.join(&folder))?),
            Some(old) if claimed(path, old) => listed,
            _ => None,
        };
        if let Some((setting, ours, theirs)) = begun.and_then(|begun| changed(planned, &begun)) {
            differences.push(format!("{}: `{setting}` was {theirs}, now {ours}", folder.display()));
        }
        runs.push(SweepRun {
            id,
            variant: planned.variant.clone(),
            seed: planned.config.seed,
            folder,
            steps: planned.config.steps,
            threads: planned.config.threads,
            active: true,
        });
    }
    if !differences.is_empty() {
        return Err(PlanError::Changed { folder: path.to_owned(), differences });
    }
    let gone = |old: &SweepRun| !runs.iter().any(|run| run.folder == old.folder);
    let aside: Vec<SweepRun> =
        old_runs.iter().filter(|old| gone(old)).map(|old| SweepRun { active: false, ..old.clone() }).collect();
    runs.extend(aside);
    let mut variants: Vec<SweepVariant> = plan
        .variants
        .iter()
        .map(|variant| SweepVariant { name: variant.name.clone(), settings: variant.settings.clone() })
        .collect();
    let gone = |old: &SweepVariant| !plan.variants.iter().any(|variant| variant.name == old.name);
    variants.extend(old_variants.into_iter().filter(gone));
    Ok(SweepLock {
        format_version: SWEEP_FORMAT_VERSION,
        experiment: plan.experiment.clone(),
        sweep_file: plan.file.clone(),
        report: SweepReport {
            question: plan.report.question.clone(),
            figure: plan.report.figure.clone(),
            metric: plan.report.metric.clone(),
            baseline: plan.report.baseline.clone(),
            score: Some(Score::from(plan.report.score).name().to_owned()),
            from: plan.report.from,
            reach: plan.report.reach,
        },
        variants,
        runs,
    })
}

fn read_config(file: &Path) -> Result<Config, PlanError> {
    Ok(Config::parse(&file.display().to_string(), &fs::read_to_string(file)?, &[])?)
}

/// True if a launcher is about to begin a run, or if its claim cannot be read.
fn claimed(sweep: &Path, run: &SweepRun) -> bool {
    let claims = Claims::open(&sweep.join(CLAIMS)).and_then(|claims| claims.holder(&run.id));
    claims.map_or(true, |holder| holder.is_some())
}

/// The first setting in which a planned run differs from a config on disk, except more steps.
fn changed(planned: &PlannedRun, there: &Config) -> Option<(String, String, String)> {
    if planned.config.steps < there.steps {
        return Some(("steps".to_owned(), planned.config.steps.to_string(), there.steps.to_string()));
    }
    difference(&planned.config, &Config { steps: planned.config.steps, ..there.clone() })
}
