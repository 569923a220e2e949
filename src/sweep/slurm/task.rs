//! One task of an array: it claims its run as the local launcher does. When a signal stops it,
//! before its time limit or by a person, it waits for the run's checkpoint and is queued again,
//! unless it was cancelled.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use liprl_logbook::{limits, read_file};

use super::{JobArray, query};
use crate::signals::Signals;
use crate::sweep::folder::{RunState, SweepFolder};
use crate::sweep::process::{BeginResult, RunOutcome, RunProcess};
use crate::sweep::search::Watch;
use crate::terminal::tell;

/// Interval of checks of a task's run.
const TICK: Duration = Duration::from_millis(100);
/// Interval of renewals of the claim, and of looks at the metrics of other runs.
const RENEW: Duration = Duration::from_secs(10);
/// Time that a task waits for another's claim to end; that of a failed node ends within two
/// minutes.
const WAIT_FOR_CLAIM: Duration = Duration::from_secs(150);

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
    let mut watch = Watch::new(folder);
    watch.refresh(folder);
    let mut process = loop {
        // Only runs to be retried are submitted, so a task may begin a run with any number of
        // failures.
        match RunProcess::begin(folder, run, u32::MAX, &mut watch)? {
            BeginResult::Running(process) => break process,
            BeginResult::Over(RunState::Pruned(pruned)) => {
                tell(format_args!("{name}: pruned: {}", pruned.reason));
                return Ok(0);
            }
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
            watch.refresh(folder);
            if let Err(error) = process.prune(folder, &mut watch) {
                tell(format_args!("{name}: it should be pruned, but that could not be recorded: {error}"));
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
        RunOutcome::Pruned(pruned) => {
            tell(format_args!("{name}: pruned after a checkpoint: {}", pruned.reason));
            0
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
