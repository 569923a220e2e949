//! The Slurm launcher: one array task for each run that is missing.
//!
//! A task claims its run like the local launcher does. Told to stop, by the signal that comes before its time limit or by
//! a person, it waits for the run's checkpoint and is queued again; one that was cancelled is not.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use fs_err as fs;
use liprl_logbook::{SweepRun, write_atomic};
use serde::{Deserialize, Serialize};

use super::file::SlurmConfig;
use super::folder::{State, SweepFolder};
use super::local::Options;
use super::training::{Begin, Outcome, Training};
use crate::train::Signals;

/// Slurm's own limit on an array is 1001 where nobody has changed it.
const LARGEST_ARRAY: usize = 1000;
/// Between two looks at a task's run.
const TICK: Duration = Duration::from_millis(100);
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(10);
/// How long a task waits for another's claim to end: that of a node that broke down ends within two minutes.
const WAIT_FOR_CLAIM: Duration = Duration::from_secs(150);

/// Why nothing was handed to Slurm.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// There is no Slurm here.
    #[error("there is no `{0}` on the PATH: start this on a machine of the cluster, or with --launcher local")]
    NotHere(String),
    /// Slurm said no.
    #[error("{command} was refused:\n  {words}\nThe script is {}; `launcher:` in the sweep file sets partition, time, cpus_per_task, gres, mem, account and qos", .script.display())]
    Refused {
        /// The command.
        command: String,
        /// What it said.
        words: String,
        /// The job's script.
        script: PathBuf,
    },
    /// The sweep's files.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One job array, in `.sweep/slurm/`: task `i` does `runs[i]`.
#[derive(Debug, Serialize, Deserialize)]
struct Array {
    /// Slurm's number for it, once it has one.
    job: Option<String>,
    /// The runs' ids.
    runs: Vec<String>,
}

/// What was handed to Slurm.
#[derive(Debug, Default)]
pub struct Submitted {
    /// The arrays' job ids.
    pub jobs: Vec<String>,
    /// Runs in them.
    pub runs: usize,
    /// Runs that are missing and already in Slurm's queue, or being done.
    pub queued: usize,
    /// Runs that failed and were not handed in again.
    pub failed: Vec<(SweepRun, String)>,
}

/// Hands what is missing to Slurm, but nothing that is queued already.
///
/// # Errors
/// When there is no Slurm, it refuses the job, or a file cannot be written.
pub fn submit(folder: &SweepFolder, config: &SlurmConfig, options: Options) -> Result<Submitted, SlurmError> {
    let mut submitted = Submitted::default();
    let queued = queued(folder)?;
    let mut missing = Vec::new();
    for run in folder.runs() {
        match folder.state(run)? {
            State::Done => {}
            State::Running(_) => submitted.queued += 1,
            _ if queued.contains(&run.id) => submitted.queued += 1,
            State::Failed(failure) if !options.begins(failure.times) => {
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
    let mut array = Array { job: None, runs: runs.iter().map(|run| run.id.clone()).collect() };
    let text = self::script(folder, config, jobs, runs, &list, &std::env::current_exe()?, &std::env::current_dir()?);
    // Before Slurm knows of it: a task may begin before `sbatch` answers.
    write_atomic(&list, &serde_json::to_vec_pretty(&array).map_err(io::Error::from)?)?;
    write_atomic(&script, text.as_bytes())?;
    let asked = ask("sbatch", &["--parsable".as_ref(), script.as_os_str()]);
    if !asked.as_ref().is_ok_and(|output| output.status.success()) {
        fs::remove_file(&list)?;
    }
    let output = asked?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "\n  ");
        return Err(SlurmError::Refused { command: format!("`sbatch {}`", script.display()), words, script });
    }
    // With several clusters the answer is `job;cluster`.
    let answer = String::from_utf8_lossy(&output.stdout);
    let job = answer.trim().split(';').next().unwrap_or_default().to_owned();
    array.job = Some(job.clone());
    write_atomic(&list, &serde_json::to_vec_pretty(&array).map_err(io::Error::from)?)?;
    Ok(job)
}

/// An empty file for the list of the next array, which no other launcher takes.
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

/// The job's script.
fn script(
    folder: &SweepFolder,
    config: &SlurmConfig,
    jobs: Option<usize>,
    runs: &[SweepRun],
    list: &Path,
    program: &Path,
    here: &Path,
) -> String {
    let throttle = jobs.or(config.throttle).map(|most| format!("%{most}")).unwrap_or_default();
    let threads = runs.iter().map(|run| run.threads).max().unwrap_or(1);
    let cpus = config.cpus_per_task.unwrap_or(threads);
    let mut options = vec![
        format!("--job-name=liprl-{}", folder.lock.experiment),
        format!("--array=0-{}{throttle}", runs.len() - 1),
        format!("--cpus-per-task={cpus}"),
        format!("--chdir={}", quoted(here)),
        format!("--output={}", quoted(&folder.slurm().join("%A_%a.log"))),
        "--open-mode=append".to_owned(),
        "--requeue".to_owned(),
        format!("--signal=B:TERM@{}", config.signal_before),
    ];
    let more = [
        ("partition", &config.partition),
        ("time", &config.time),
        ("gres", &config.gres),
        ("mem", &config.mem),
        ("account", &config.account),
        ("qos", &config.qos),
        ("constraint", &config.constraint),
    ];
    options.extend(more.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?))));
    let mut text =
        String::from("#!/bin/bash\n# Written by `liprl sweep`: task i does the i-th run of the list below.\n");
    for option in options {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "#SBATCH {option}");
    }
    for line in &config.setup {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "exec {} sweep task {} --array {}", quoted(program), quoted(folder.path()), quoted(list));
    text
}

/// A path as one word of a shell, and of `#SBATCH` lines, which know the same quotes.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._+-=,%~".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The ids of runs in arrays that Slurm has not finished with.
fn queued(folder: &SweepFolder) -> Result<Vec<String>, SlurmError> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder.slurm())? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let Ok(Array { job: Some(job), runs }) = serde_json::from_slice(&fs::read(&path)?) else { continue };
        let task = format!("--jobs={job}");
        let output =
            ask("squeue", &["--noheader".as_ref(), "--array".as_ref(), "--format=%K".as_ref(), task.as_ref()])?;
        // An array Slurm has forgotten is an error to it, and none here.
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let tasks = text.lines().filter_map(|line| line.trim().parse::<usize>().ok());
        ids.extend(tasks.filter_map(|task| runs.get(task).cloned()));
    }
    Ok(ids)
}

fn ask(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<Output, SlurmError> {
    Command::new(program).args(arguments).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SlurmError::NotHere(program.to_owned()),
        _ => error.into(),
    })
}

/// Does the run of this array task. The answer is the exit code.
///
/// # Errors
/// When the list names no such task or the sweep's files cannot be used.
pub fn task(folder: &SweepFolder, list: &Path) -> anyhow::Result<u8> {
    let signals = Signals::listen()?;
    let array: Array = serde_json::from_slice(&fs::read(list)?)?;
    let index = std::env::var("SLURM_ARRAY_TASK_ID").ok().and_then(|text| text.parse::<usize>().ok());
    let id = index.and_then(|index| array.runs.get(index));
    let run = id.and_then(|id| folder.lock.runs.iter().find(|run| run.id == *id && run.active));
    let Some(run) = run else {
        crate::tell(format_args!(
            "{}: no run of the sweep for this task; it was taken out of the sweep file",
            list.display()
        ));
        return Ok(0);
    };
    let name = run.folder.display();
    let waiting = Instant::now();
    let mut training = loop {
        // A task that was handed in may begin a run that has failed before: whoever handed it in has asked for that.
        match Training::begin(folder, run, u32::MAX)? {
            Begin::Running(training) => break training,
            Begin::Over(_) => {
                crate::tell(format_args!("{name}: done already"));
                return Ok(0);
            }
            Begin::Failed(reason) => {
                crate::tell(format_args!("{name}: FAILED: {reason}"));
                return Ok(1);
            }
            Begin::Taken if waiting.elapsed() > WAIT_FOR_CLAIM => {
                crate::tell(format_args!("{name}: another launcher is doing it"));
                return Ok(0);
            }
            Begin::Taken => {}
        }
        if let Some(code) = signals.pending() {
            return Ok(again(code));
        }
        std::thread::sleep(TICK);
    };
    crate::tell(format_args!("{name}: begun"));
    let (mut stopping, mut beaten) = (None, Instant::now());
    let outcome = loop {
        if let Some(outcome) = training.poll(folder)? {
            break outcome;
        }
        if stopping.is_none() && signals.pending().is_some() {
            stopping = signals.pending();
            training.stop();
        }
        if beaten.elapsed() >= BEAT {
            beaten = Instant::now();
            if !training.beat() {
                crate::tell(format_args!("{name}: another launcher took it"));
            }
        }
        std::thread::sleep(TICK);
    };
    // The claim ends before the task is queued again.
    drop(training);
    Ok(match outcome {
        Outcome::Done => {
            crate::tell(format_args!("{name}: done"));
            0
        }
        Outcome::Failed(reason) => {
            crate::tell(format_args!("{name}: FAILED: {reason}"));
            1
        }
        Outcome::Stopped => {
            crate::tell(format_args!("{name}: stopped after a checkpoint"));
            again(stopping.unwrap_or(143))
        }
    })
}

/// Queues this task again unless it was cancelled; the answer is the exit code.
fn again(code: u8) -> u8 {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let task = format!("{}_{}", var("SLURM_ARRAY_JOB_ID"), var("SLURM_ARRAY_TASK_ID"));
    let job = format!("--jobs={}", var("SLURM_JOB_ID"));
    let state = ask("squeue", &["--noheader".as_ref(), "--format=%T".as_ref(), job.as_ref()]);
    let state = state.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if !matches!(state.as_deref(), Ok("RUNNING")) {
        return code;
    }
    match ask("scontrol", &["requeue".as_ref(), task.as_ref()]) {
        Ok(output) if output.status.success() => crate::tell(format_args!("{task}: queued again")),
        Ok(output) => {
            crate::tell(format_args!("{task}: not queued again: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Err(error) => crate::tell(format_args!("{task}: not queued again: {error}")),
    }
    code
}
