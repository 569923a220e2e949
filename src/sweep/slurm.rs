//! The Slurm launcher: one array task for each run that is missing.
//!
//! Of a search these are the runs of the last batch, and one more job asks for the next after them.

mod script;
mod task;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use liprl_logbook::{SweepRun, limits, read_file, read_text, write_atomic};
use serde::{Deserialize, Serialize};

use super::file::SlurmConfig;
use super::folder::{RunState, SweepFolder};
use super::local::LaunchOptions;
use super::search::Watch;

pub use task::task;

/// Slurm's default limit on an array is 1001.
const LARGEST_ARRAY: usize = 1000;

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
    /// Job ids of earlier arrays with tasks in Slurm's queue.
    waiting: Vec<String>,
}

/// The runs to submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All that are missing.
    Missing,
    /// Those that a rule stopped and that may go on.
    Promoted,
}

/// Submits the missing runs that are not queued yet.
///
/// # Errors
/// If Slurm is not installed or refuses the job, or if a file cannot be written.
pub fn submit(
    folder: &SweepFolder,
    config: &SlurmConfig,
    options: LaunchOptions,
    wanted: Wanted,
) -> Result<Submitted, SlurmError> {
    let (queued, waiting) = queued(folder)?;
    let mut submitted = Submitted { waiting, ..Submitted::default() };
    let mut watch = Watch::new(folder);
    watch.refresh(folder);
    let mut missing = Vec::new();
    for run in folder.runs() {
        match folder.state(run)? {
            RunState::Done => {}
            RunState::Running(_) => submitted.queued += 1,
            _ if queued.contains(&run.id) => submitted.queued += 1,
            RunState::Failed(failure) if !options.begins(failure.times) => {
                submitted.failed.push((run.clone(), failure.reason));
            }
            RunState::Pruned(pruned) if watch.promotes(run, &pruned) => missing.push(run.clone()),
            RunState::Pruned(_) => {}
            _ if wanted == Wanted::Missing => missing.push(run.clone()),
            _ => {}
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
    let submission = sbatch(&script);
    if submission.is_err() {
        fs::remove_file(&list)?;
    }
    let job = submission?;
    array.job = Some(job.clone());
    write_atomic(&list, &serde_json::to_vec_pretty(&array).map_err(io::Error::from)?)?;
    Ok(job)
}

/// Submits a job that starts `liprl` with these arguments once the runs in the queue have ended, in
/// whatever way. Returns its id; `None` if nothing is in the queue or if such a job waits already.
///
/// # Errors
/// If Slurm refuses the job, or if a file cannot be written.
pub fn submit_next(
    folder: &SweepFolder,
    config: &SlurmConfig,
    submitted: &Submitted,
    arguments: &[OsString],
) -> Result<Option<String>, SlurmError> {
    let after: Vec<&str> = submitted.waiting.iter().chain(&submitted.jobs).map(String::as_str).collect();
    let record = folder.slurm().join("next.job");
    let earlier = read_text(&record, limits::RECORD).unwrap_or_default();
    let this = std::env::var("SLURM_JOB_ID").unwrap_or_default();
    if after.is_empty() || !earlier.is_empty() && earlier != this && !tasks(&earlier)?.is_empty() {
        return Ok(None);
    }
    let (program, here) = (std::env::current_exe()?, std::env::current_dir()?);
    let text = script::next(folder, config, &after, &program, arguments, &here)?;
    let script = folder.slurm().join("next.sh");
    write_atomic(&script, text.as_bytes())?;
    let job = sbatch(&script)?;
    write_atomic(&record, job.as_bytes())?;
    Ok(Some(job))
}

/// Submits a script and returns the job's id.
fn sbatch(script: &Path) -> Result<String, SlurmError> {
    let output = query("sbatch", &["--parsable".as_ref(), script.as_os_str()])?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "\n  ");
        let command = format!("`sbatch {}`", script.display());
        return Err(SlurmError::Refused { command, words, script: script.to_owned() });
    }
    // With several clusters the output is `job;cluster`.
    let answer = String::from_utf8_lossy(&output.stdout);
    Ok(answer.trim().split(';').next().unwrap_or_default().to_owned())
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

/// The ids of runs in unfinished arrays, and the arrays' job ids.
fn queued(folder: &SweepFolder) -> Result<(Vec<String>, Vec<String>), SlurmError> {
    let (mut ids, mut jobs) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder.slurm())? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let Ok(JobArray { job: Some(job), runs }) = serde_json::from_slice(&read_file(&path, limits::LIST)?) else {
            continue;
        };
        let tasks = tasks(&job)?;
        ids.extend(tasks.iter().filter_map(|task| runs.get(task.parse::<usize>().ok()?).cloned()));
        jobs.extend((!tasks.is_empty()).then_some(job));
    }
    Ok((ids, jobs))
}

/// The tasks of a job that have not ended: their numbers, or `N/A` for a job that is not an array.
fn tasks(job: &str) -> Result<Vec<String>, SlurmError> {
    let job = format!("--jobs={job}");
    let output = query("squeue", &["--noheader".as_ref(), "--array".as_ref(), "--format=%K".as_ref(), job.as_ref()])?;
    // squeue fails for a job that Slurm has forgotten; here that means no tasks.
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim().to_owned()).collect())
}

fn query(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<Output, SlurmError> {
    Command::new(program).args(arguments).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SlurmError::NotHere(program.to_owned()),
        _ => error.into(),
    })
}
