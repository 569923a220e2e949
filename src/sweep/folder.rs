//! A sweep's folder: the plan on disk, and how far each of its runs is.

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
use crate::config::Config;
use crate::train::difference;

/// A sweep on disk.
#[derive(Debug)]
pub struct SweepFolder {
    path: PathBuf,
    /// The plan.
    pub lock: SweepLock,
    /// Who does what.
    pub claims: Claims,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Nobody has begun it.
    Waiting,
    /// A launcher is doing it.
    Running(Box<Holder>),
    /// All its steps are taken.
    Done,
    /// A signal ended it after a checkpoint.
    Stopped,
    /// It was killed; its last checkpoint is there.
    Interrupted,
    /// It could not go on.
    Failed(Failure),
}

/// A run's failures, kept until it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How often it has failed since it last came to a good end.
    pub times: u32,
    /// Why, the last time.
    pub reason: String,
}

impl SweepFolder {
    /// Opens a folder that has a plan.
    ///
    /// # Errors
    /// [`LogbookError::NotARunFolder`] when there is no plan, and what reading it may come to.
    pub fn open(path: &Path) -> Result<Self, LogbookError> {
        let path = std::path::absolute(path)?;
        let Some(lock) = SweepLock::read(&path)? else {
            let problem = "it has no sweep.lock.json, so it is no sweep's either".to_owned();
            return Err(LogbookError::NotARunFolder { path, problem });
        };
        let claims = Claims::open(&path.join(CLAIMS))?;
        Ok(Self { path, lock, claims })
    }

    /// Whether [`write`](Self::write) would take this plan; nothing is written.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn check(path: &Path, plan: &Plan) -> Result<(), PlanError> {
        merged(&std::path::absolute(path)?, plan).map(drop)
    }

    /// Writes a plan into a folder, or brings the plan that is there up to it: new runs are added, those the sweep file no
    /// longer names are set aside, more `steps` extend a run, and one that nobody has begun may change. Nothing is written unless all of it can be.
    ///
    /// # Errors
    /// [`PlanError::Changed`] when a run of the same name has been begun with another config.
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

    /// The runs the sweep file names.
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

    /// What a run's process says.
    pub fn log_file(&self, run: &SweepRun) -> PathBuf {
        self.path.join(".sweep/logs").join(format!("{}.log", run.id))
    }

    /// Slurm's scripts and logs.
    pub fn slurm(&self) -> PathBuf {
        self.path.join(".sweep/slurm")
    }

    fn failure_file(&self, run: &SweepRun) -> PathBuf {
        self.path.join(".sweep/failures").join(format!("{}.json", run.id))
    }

    /// How often and why a run has failed.
    pub fn failure(&self, run: &SweepRun) -> Option<Failure> {
        serde_json::from_slice(&fs::read(self.failure_file(run)).ok()?).ok()
    }

    /// Takes down that a run failed.
    pub fn note_failure(&self, run: &SweepRun, reason: String) -> std::io::Result<()> {
        let times = self.failure(run).map_or(0, |failure| failure.times) + 1;
        write_atomic(self.failure_file(run), &serde_json::to_vec_pretty(&Failure { times, reason })?)
    }

    /// A run is done, or came to a checkpoint: how it failed before no longer matters.
    pub fn forget_failure(&self, run: &SweepRun) {
        // There is none, most often.
        let _ = std::fs::remove_file(self.failure_file(run));
    }

    /// A run's `summary.json`, once it has one.
    pub fn summary(&self, run: &SweepRun) -> Option<RunSummary> {
        serde_json::from_slice(&std::fs::read(self.run_folder(run).join("summary.json")).ok()?).ok()
    }

    /// How far a run is.
    ///
    /// # Errors
    /// When its claim cannot be looked at.
    pub fn state(&self, run: &SweepRun) -> std::io::Result<State> {
        if let Some(holder) = self.claims.holder(&run.id)? {
            return Ok(State::Running(Box::new(holder)));
        }
        Ok(self.state_unclaimed(run))
    }

    /// How far a run is that nobody is doing.
    pub fn state_unclaimed(&self, run: &SweepRun) -> State {
        let summary = self.summary(run);
        if let Some(RunSummary { status: Status::Done, steps, .. }) = &summary
            && (*steps >= run.steps || self.stored_steps(run).is_some_and(|stored| stored >= run.steps))
        {
            return State::Done;
        }
        if let Some(failure) = self.failure(run) {
            return State::Failed(failure);
        }
        match summary.map(|summary| summary.status) {
            None => State::Waiting,
            // With fewer steps than it has now.
            Some(Status::Done | Status::Stopped) => State::Stopped,
            Some(Status::Running) => State::Interrupted,
            Some(Status::Failed { reason }) => State::Failed(Failure { times: 1, reason }),
        }
    }

    /// The steps of the config in a run's folder: one that reached its `stop_at_return` took fewer.
    fn stored_steps(&self, run: &SweepRun) -> Option<u64> {
        stored_config(&self.run_folder(run)).ok().map(|config| config.steps)
    }
}

const CLAIMS: &str = ".sweep/claims";

fn config_file(sweep: &Path, id: &str) -> PathBuf {
    sweep.join(".sweep/configs").join(format!("{id}.yaml"))
}

/// The config in a run's folder.
fn stored_config(run: &Path) -> Result<Config, PlanError> {
    let folder = RunFolder::open(run)?;
    Ok(Config::parse(&folder.config_path().display().to_string(), &folder.config()?, &[])?)
}

/// The plan with what an earlier one, and run folders without one, say.
fn merged(path: &Path, plan: &Plan) -> Result<SweepLock, PlanError> {
    let earlier = SweepLock::read(path)?;
    let (old_runs, old_variants) = earlier.map(|lock| (lock.runs, lock.variants)).unwrap_or_default();
    let mut differences = Vec::new();
    let mut runs = Vec::new();
    for planned in &plan.runs {
        let folder = planned.folder();
        let old = old_runs.iter().find(|old| old.folder == folder);
        let same = old.is_some_and(|old| old.id == planned.id);
        // Settings that came with a newer program have their defaults, and the run keeps its name.
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

/// Whether a launcher is about to begin a run. One that cannot be looked at may be.
fn claimed(sweep: &Path, run: &SweepRun) -> bool {
    let claims = Claims::open(&sweep.join(CLAIMS)).and_then(|claims| claims.holder(&run.id));
    claims.map_or(true, |holder| holder.is_some())
}

/// The first setting in which a run differs from what is there, other than more steps.
fn changed(planned: &PlannedRun, there: &Config) -> Option<(String, String, String)> {
    if planned.config.steps < there.steps {
        return Some(("steps".to_owned(), planned.config.steps.to_string(), there.steps.to_string()));
    }
    difference(&planned.config, &Config { steps: planned.config.steps, ..there.clone() })
}
