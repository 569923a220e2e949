//! One run as a process of its own: `liprl train` with the run's config file.
//!
//! The process watches its standard input: its end, however that comes about, asks for a checkpoint and an orderly end.
//! So runs outlive no launcher, not even one that was killed, and Ctrl-C reaches them once, through the launcher.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use fs_err as fs;
use liprl_logbook::{LogbookError, RunFolder, Status, SweepRun};
use serde_json::Value;

use super::claim::{Claim, Process};
use super::folder::{State, SweepFolder};

/// A run at work.
#[derive(Debug)]
pub(super) struct Training {
    /// The run.
    pub run: SweepRun,
    child: Child,
    /// Open while the run may go on.
    leash: Option<ChildStdin>,
    claim: Claim,
    /// Where this process' words begin in the log file.
    log_start: u64,
}

/// How a run's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All steps are taken.
    Done,
    /// It was asked to stop, and did after a checkpoint.
    Stopped,
    /// It could not go on.
    Failed(String),
}

/// What became of an attempt to begin a run.
pub(super) enum Begin {
    /// It runs.
    Running(Box<Training>),
    /// Somebody else does it.
    Taken,
    /// Somebody else has done it, or has seen it fail, since it was last looked at.
    Over(State),
    /// Its process could not be started.
    Failed(String),
}

impl Training {
    /// Claims a run and starts it, or goes on with it. `failures` is how often it may have failed before.
    pub(super) fn begin(folder: &SweepFolder, run: &SweepRun, failures: u32) -> io::Result<Begin> {
        let Some(claim) = folder.claims.take(&run.id)? else { return Ok(Begin::Taken) };
        match folder.state_unclaimed(run) {
            State::Done => return Ok(Begin::Over(State::Done)),
            State::Failed(failure) if failure.times > failures => return Ok(Begin::Over(State::Failed(failure))),
            _ => {}
        }
        // A training that was started by hand has no claim, but its folder's lock.
        let path = folder.run_folder(run);
        if path.exists() && matches!(RunFolder::open_for_writing(&path), Err(LogbookError::Locked { .. })) {
            return Ok(Begin::Taken);
        }
        match Self::start(folder, run, claim) {
            Ok(training) => Ok(Begin::Running(Box::new(training))),
            Err(error) => Ok(Begin::Failed(noted(folder, run, format!("could not be started: {error}")))),
        }
    }

    fn start(folder: &SweepFolder, run: &SweepRun, mut claim: Claim) -> io::Result<Self> {
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.log_file(run))?;
        let log_start = log.metadata()?.len();
        let mut command = program();
        command.args(["train".as_ref(), folder.config_file(run).as_os_str(), "--out".as_ref()]);
        command.arg(folder.run_folder(run)).args(["--resume", "--quiet", "--stop-at-eof"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log.into_parts().0);
        // A group of its own, which the terminal's Ctrl-C does not reach.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let leash = child.stdin.take();
        let renewed = claim.renew(Some(&Process::of(child.id())));
        if !matches!(renewed, Ok(true)) {
            child.kill()?;
            child.wait()?;
            return Err(renewed.err().unwrap_or_else(|| io::Error::other("another launcher took it")));
        }
        Ok(Self { run: run.clone(), child, leash, claim, log_start })
    }

    /// Asks for a checkpoint and an orderly end.
    pub(super) fn stop(&mut self) {
        self.leash = None;
    }

    /// Says that it is still being done. If somebody else took it meanwhile it is stopped, and the answer is no. A sign of life that
    /// cannot be written, for want of room on the disk perhaps, is no reason to stop.
    pub(super) fn beat(&mut self) -> bool {
        let ours = self.claim.renew(Some(&Process::of(self.child.id()))).unwrap_or(true);
        if !ours {
            self.stop();
        }
        ours
    }

    /// How it ended, once it has; a failure is then on record, or says why it is not.
    pub(super) fn poll(&mut self, folder: &SweepFolder) -> io::Result<Option<Outcome>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        Ok(Some(match status.code() {
            Some(0) => {
                folder.forget_failure(&self.run);
                Outcome::Done
            }
            Some(130 | 143) => {
                folder.forget_failure(&self.run);
                Outcome::Stopped
            }
            _ => Outcome::Failed(noted(folder, &self.run, self.reason(folder, status))),
        }))
    }

    /// Why it failed: what it said itself, or the signal that killed it.
    fn reason(&self, folder: &SweepFolder, status: ExitStatus) -> String {
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
            let guess = if signal == 9 { ", perhaps for want of memory" } else { "" };
            return format!("killed by signal {signal}{guess}");
        }
        if let Some(Status::Failed { reason }) = folder.summary(&self.run).map(|summary| summary.status) {
            return reason;
        }
        let words = tail(&folder.log_file(&self.run), self.log_start).unwrap_or_default();
        match words.trim().strip_prefix("error: ").unwrap_or(words.trim()) {
            "" => match room(&folder.log_file(&self.run)) {
                Ok(()) => format!("ended with {status} and without a word"),
                Err(error) => format!("ended with {status} and could not say why: {error}\nMake room on that disk."),
            },
            words => words.to_owned(),
        }
    }
}

/// Whether a log of some length can be written beside a file.
fn room(log: &Path) -> io::Result<()> {
    let probe = log.with_extension("probe");
    let written = fs::write(&probe, [0; 64 * 1024]);
    // One that was not written may not be there.
    let _ = std::fs::remove_file(&probe);
    written
}

/// Puts a failure on record. One that cannot be, for want of room on the disk perhaps, is told all the same.
fn noted(folder: &SweepFolder, run: &SweepRun, reason: String) -> String {
    match folder.note_failure(run, reason.clone()) {
        Ok(()) => reason,
        Err(error) => format!("{reason}\nThis could not be put on record: {error}"),
    }
}

/// This very program, also after another build has taken its place on the disk.
fn program() -> Command {
    if cfg!(target_os = "linux") {
        let mut command = Command::new("/proc/self/exe");
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut command, "liprl");
        return command;
    }
    Command::new(std::env::current_exe().unwrap_or_else(|_| "liprl".into()))
}

/// What a run's logs say of how it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// Environment steps at the last logging event.
    pub step: u64,
    /// Environment steps per second.
    pub rate: Option<f64>,
    /// The last return: the last evaluation's, or training's before there is one.
    pub last_return: Option<f64>,
}

impl Progress {
    /// Reads the end of a run's metrics.
    pub(super) fn read(run: &Path) -> Self {
        /// Some hundred logging events.
        const END: u64 = 256 * 1024;
        let path = run.join("metrics.jsonl");
        let length = std::fs::metadata(&path).map_or(0, |file| file.len());
        let text = tail(&path, length.saturating_sub(END)).unwrap_or_default();
        let mut progress = Self::default();
        let mut evaluated = false;
        for event in text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let number = |name: &str| event.get(name).and_then(Value::as_f64);
            progress.step = progress.step.max(event["step"].as_u64().unwrap_or(0));
            progress.rate = progress.rate.or(number("perf/steps_per_s"));
            if let Some(value) = number("eval/return_mean") {
                progress.last_return = Some(value);
                evaluated = true;
            }
            progress.last_return = progress.last_return.or(number("train/return_mean"));
            if progress.rate.is_some() && evaluated {
                break;
            }
        }
        progress
    }
}

fn tail(path: &Path, from: u64) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
