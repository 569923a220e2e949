//! The Slurm launcher: one array task for each run that is missing.
//!
//! A task claims its run as the local launcher does. When a signal stops it, before its time limit
//! or by a person, it waits for the run's checkpoint and is queued again, unless it was cancelled.

mod script;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::Context;
use fs_err as fs;
use liprl_logbook::{SweepRun, limits, read_file, write_atomic};
use serde::{Deserialize, Serialize};

use super::file::SlurmConfig;
use super::folder::{RunState, SweepFolder};
use super::local::LaunchOptions;
use super::process::{BeginResult, RunOutcome, RunProcess};
use crate::signals::Signals;
use crate::terminal::tell;

/// Slurm's default limit on an array is 1001.
const LARGEST_ARRAY: usize = 1000;
/// Interval of checks of a task's run.
const TICK: Duration = Duration::from_millis(100);
/// Interval of renewals of the claim.
const RENEW: Duration = Duration::from_secs(10);
/// Time that a task waits for another's claim to end; that of a failed node ends within two
/// minutes.
const WAIT_FOR_CLAIM: Duration = Duration::from_secs(150);

/// An error of submitting to Slurm.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// Slurm is not installed here.
    #[error("there is no `{0}` on the PATH: start this on a machine of the cluster, or with --launcher local")]
    NotHere(String),
    /// Slurm refused the job.
    #[error("{command} was refused:\n  {words}\nThe script is {}; `launcher:` in the sweep file sets partition, time, cpus_per_task, gres, mem, account and qos", .script.display())]
    Refused {
        /// The command.
        command: String,
        /// Its message.
        words: String,
        /// The job's script.
        script: PathBuf,
    },
    /// A value cannot stand on a line of the job's script.
    #[error("a job script of Slurm cannot hold {what}: {value:?} has {problem}")]
    Unquotable {
        /// The setting or path.
        what: String,
        /// Its value.
        value: String,
        /// The characters that it must not have.
        problem: &'static str,
    },
    /// A file of the sweep cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One job array, in `.sweep/slurm/`: task `i` does `runs[i]`.
#[derive(Debug, Serialize, Deserialize)]
struct JobArray {
    /// Slurm's job id, once it has one.
    job: Option<String>,
    /// The runs' ids.
    runs: Vec<String>,
}

/// The result of a submission.
#[derive(Debug, Default)]
pub struct Submitted {
    /// The arrays' job ids.
    pub jobs: Vec<String>,
    /// Runs in them.
    pub runs: usize,
    /// Missing runs that are running or in Slurm's queue already.
    pub queued: usize,
    /// Failed runs that were not submitted again.
    pub failed: Vec<(SweepRun, String)>,
}

/// Submits the missing runs that are not queued yet.
///
/// # Errors
/// If Slurm is not installed or refuses the job, or if a file cannot be written.
pub fn submit(folder: &SweepFolder, config: &SlurmConfig, options: LaunchOptions) -> Result<Submitted, SlurmError> {
    let mut submitted = Submitted::default();
    let queued = queued(folder)?;
    let mut missing = Vec::new();
    for run in folder.runs() {
        match folder.state(run)? {
            RunState::Done => {}
            RunState::Running(_) => submitted.queued += 1,
            _ if queued.contains(&run.id) => submitted.queued += 1,
            RunState::Failed(failure) if !options.begins(failure.times) => {
                submitted.failed.push((run.clone(), failure.reason));
            }
            _ => missing.push(run.clone()),
        }
    }
    for runs in missing.chunks(LARGEST_ARRAY) {
        submitted.jobs.push(submit_array(folder, config, options.jobs, runs)?);
        submitted.runs += runs.len();
    }
    Ok(submitted)
}

fn submit_array(
    folder: &SweepFolder,
    config: &SlurmConfig,
    jobs: Option<usize>,
    runs: &[SweepRun],
) -> Result<String, SlurmError> {
    let list = new_list(folder)?;
    let script = list.with_extension("sh");
    let mut array = JobArray { job: None, runs: runs.iter().map(|run| run.id.clone()).collect() };
    let (program, here) = (std::env::current_exe()?, std::env::current_dir()?);
    let text = match script::script(folder, config, jobs, runs, &list, &program, &here) {
        Ok(text) => text,
        Err(problem) => {
            fs::remove_file(&list)?;
            return Err(problem);
        }
    };
    // Written before the submission: a task may begin before `sbatch` returns.
    write_atomic(&list, &serde_json::to_vec_pretty(&array).map_err(io::Error::from)?)?;
    write_atomic(&script, text.as_bytes())?;
    let submission = query("sbatch", &["--parsable".as_ref(), script.as_os_str()]);
    if !submission.as_ref().is_ok_and(|output| output.status.success()) {
        fs::remove_file(&list)?;
    }
    let output = submission?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "\n  ");
        return Err(SlurmError::Refused { command: format!("`sbatch {}`", script.display()), words, script });
    }
    // With several clusters the output is `job;cluster`.
    let answer = String::from_utf8_lossy(&output.stdout);
    let job = answer.trim().split(';').next().unwrap_or_default().to_owned();
    array.job = Some(job.clone());
    write_atomic(&list, &serde_json::to_vec_pretty(&array).map_err(io::Error::from)?)?;
    Ok(job)
}

/// Creates an empty file for the list of the next array, atomically.
fn new_list(folder: &SweepFolder) -> io::Result<PathBuf> {
    let mut number = 1;
    loop {
        let list = folder.slurm().join(format!("array-{number:03}.json"));
        match fs::File::create_new(&list) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            other => return other.map(|_| list),
        }
    }
}

/// The ids of runs in unfinished arrays.
fn queued(folder: &SweepFolder) -> Result<Vec<String>, SlurmError> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder.slurm())? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let Ok(JobArray { job: Some(job), runs }) = serde_json::from_slice(&read_file(&path, limits::LIST)?) else {
            continue;
        };
        let task = format!("--jobs={job}");
        let output =
            query("squeue", &["--noheader".as_ref(), "--array".as_ref(), "--format=%K".as_ref(), task.as_ref()])?;
        // squeue fails for an array that Slurm has forgotten; here that means no tasks.
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let tasks = text.lines().filter_map(|line| line.trim().parse::<usize>().ok());
        ids.extend(tasks.filter_map(|task| runs.get(task).cloned()));
    }
    Ok(ids)
}

fn query(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<Output, SlurmError> {
    Command::new(program).args(arguments).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SlurmError::NotHere(program.to_owned()),
        _ => error.into(),
    })
}

/// Does the run of this array task and returns the exit code.
///
/// # Errors
/// If the list cannot be read or the sweep's files cannot be used.
pub fn task(folder: &SweepFolder, list: &Path) -> anyhow::Result<u8> {
    let signals = Signals::listen()?;
    let array: JobArray =
        serde_json::from_slice(&read_file(list, limits::LIST)?).with_context(|| list.display().to_string())?;
    let index = std::env::var("SLURM_ARRAY_TASK_ID").ok().and_then(|text| text.parse::<usize>().ok());
    let id = index.and_then(|index| array.runs.get(index));
    let run = id.and_then(|id| folder.lock.runs.iter().find(|run| run.id == *id && run.active));
    let Some(run) = run else {
        tell(format_args!("{}: no run of the sweep for this task; it was removed from the sweep file", list.display()));
        return Ok(0);
    };
    let name = run.folder.display();
    let waiting = Instant::now();
    let mut process = loop {
        // Only runs to be retried are submitted, so a task may begin a run with any number of
        // failures.
        match RunProcess::begin(folder, run, u32::MAX)? {
            BeginResult::Running(process) => break process,
            BeginResult::Over(_) => {
                tell(format_args!("{name}: done already"));
                return Ok(0);
            }
            BeginResult::Failed(reason) => {
                tell(format_args!("{name}: FAILED: {reason}"));
                return Ok(1);
            }
            BeginResult::Taken if waiting.elapsed() > WAIT_FOR_CLAIM => {
                tell(format_args!("{name}: another launcher is doing it"));
                return Ok(0);
            }
            BeginResult::Taken => {}
        }
        if let Some(code) = signals.pending() {
            return Ok(requeue(code));
        }
        std::thread::sleep(TICK);
    };
    tell(format_args!("{name}: begun"));
    let (mut stopping, mut renewed) = (None, Instant::now());
    let outcome = loop {
        if let Some(outcome) = process.poll(folder)? {
            break outcome;
        }
        if stopping.is_none() && signals.pending().is_some() {
            stopping = signals.pending();
            process.stop();
        }
        if renewed.elapsed() >= RENEW {
            renewed = Instant::now();
            if !process.renew() {
                tell(format_args!("{name}: another launcher took it"));
            }
        }
        std::thread::sleep(TICK);
    };
    // The claim ends before the task is queued again.
    drop(process);
    Ok(match outcome {
        RunOutcome::Done => {
            tell(format_args!("{name}: done"));
            0
        }
        RunOutcome::Failed(reason) => {
            tell(format_args!("{name}: FAILED: {reason}"));
            1
        }
        RunOutcome::Stopped => {
            tell(format_args!("{name}: stopped after a checkpoint"));
            requeue(stopping.unwrap_or(143))
        }
    })
}

/// Queues this task again unless it was cancelled; returns the exit code.
fn requeue(code: u8) -> u8 {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let task = format!("{}_{}", var("SLURM_ARRAY_JOB_ID"), var("SLURM_ARRAY_TASK_ID"));
    let job = format!("--jobs={}", var("SLURM_JOB_ID"));
    let state = query("squeue", &["--noheader".as_ref(), "--format=%T".as_ref(), job.as_ref()]);
    let state = state.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if !matches!(state.as_deref(), Ok("RUNNING")) {
        return code;
    }
    match query("scontrol", &["requeue".as_ref(), task.as_ref()]) {
        Ok(output) if output.status.success() => tell(format_args!("{task}: queued again")),
        Ok(output) => {
            tell(format_args!("{task}: not queued again: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Err(error) => tell(format_args!("{task}: not queued again: {error}")),
    }
    code
}
