//! One run as a process of its own: `liprl train` with the run's config file.
//!
//! The process watches its standard input, whose end asks for a checkpoint and an orderly end. So
//! runs do not outlive their launcher, not even one that was killed, and Ctrl-C reaches them once,
//! through the launcher.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use fs_err as fs;
use liprl_logbook::{LogbookError, RunFolder, Status, SweepRun, open_own};

use super::claim::{Claim, Process};
use super::folder::{RunState, SweepFolder};
use super::progress::tail;
use super::search::{PrunedRun, Watch};
use crate::signals::is_stop;

/// Bytes of a process' last words that are shown.
const REASON: u64 = 64 * 1024;

/// A running run.
#[derive(Debug)]
pub(super) struct RunProcess {
    /// The run.
    pub run: SweepRun,
    child: Child,
    /// Open while the run may continue.
    stdin_guard: Option<ChildStdin>,
    claim: Claim,
    /// The start of this process' output in the log file.
    log_start: u64,
}

/// The end of a run's process.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RunOutcome {
    /// All steps are taken.
    Done,
    /// It was stopped, after a checkpoint.
    Stopped,
    /// A rule stopped it, after a checkpoint.
    Pruned(PrunedRun),
    /// It failed, with the reason.
    Failed(String),
}

/// The result of an attempt to begin a run.
pub(super) enum BeginResult {
    /// It is running.
    Running(Box<RunProcess>),
    /// Another launcher does it.
    Taken,
    /// Another launcher has done it, or it has failed, since the last check.
    Over(RunState),
    /// Its process could not be started.
    Failed(String),
}

impl RunProcess {
    /// Claims a run and starts or resumes it. `failures` is the number of earlier failures allowed.
    /// A run that a rule stopped goes on if the rule promotes it.
    pub(super) fn begin(
        folder: &SweepFolder,
        run: &SweepRun,
        failures: u32,
        watch: &mut Watch,
    ) -> io::Result<BeginResult> {
        let Some(claim) = folder.claims.take(&run.id)? else { return Ok(BeginResult::Taken) };
        let mut promoted = false;
        match folder.state_unclaimed(run) {
            RunState::Done => return Ok(BeginResult::Over(RunState::Done)),
            RunState::Failed(failure) if failure.times > failures => {
                return Ok(BeginResult::Over(RunState::Failed(failure)));
            }
            RunState::Pruned(pruned) if !watch.promotes(run, &pruned) => {
                return Ok(BeginResult::Over(RunState::Pruned(pruned)));
            }
            RunState::Pruned(_) => promoted = true,
            _ => {}
        }
        // A run that was started by hand has no claim, but its folder is locked.
        let path = folder.run_folder(run);
        if path.exists() && matches!(RunFolder::open_for_writing(&path), Err(LogbookError::Locked { .. })) {
            return Ok(BeginResult::Taken);
        }
        match Self::start(folder, run, claim) {
            Ok(process) => {
                folder.forget_pruned(run);
                watch.begin(run, promoted);
                Ok(BeginResult::Running(Box::new(process)))
            }
            Err(error) => Ok(BeginResult::Failed(recorded(folder, run, format!("could not be started: {error}")))),
        }
    }

    fn start(folder: &SweepFolder, run: &SweepRun, mut claim: Claim) -> io::Result<Self> {
        let log = open_own(&folder.log_file(run), fs::OpenOptions::new().create(true).append(true))?;
        let log_start = log.metadata()?.len();
        let mut command = program();
        command.args(["train".as_ref(), folder.config_file(run).as_os_str(), "--out".as_ref()]);
        command.arg(folder.run_folder(run)).args(["--resume", "--quiet", "--stop-at-eof"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log.into_parts().0);
        // In a process group of its own, which the terminal's Ctrl-C does not reach.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let stdin_guard = child.stdin.take();
        let renewed = claim.renew(Some(&Process::of(child.id())));
        if !matches!(renewed, Ok(true)) {
            child.kill()?;
            child.wait()?;
            return Err(renewed.err().unwrap_or_else(|| io::Error::other("another launcher took it")));
        }
        Ok(Self { run: run.clone(), child, stdin_guard, claim, log_start })
    }

    /// Asks for a checkpoint and an orderly end.
    pub(super) fn stop(&mut self) {
        self.stdin_guard = None;
    }

    /// Stops the run if a rule says so, and records that.
    ///
    /// # Errors
    /// If it cannot be recorded; the run then goes on.
    pub(super) fn prune(&mut self, folder: &SweepFolder, watch: &mut Watch) -> io::Result<()> {
        if self.stdin_guard.is_some()
            && let Some(pruned) = watch.judge(&self.run)
        {
            folder.note_pruned(&self.run, &pruned)?;
            self.stop();
        }
        Ok(())
    }

    /// Renews the claim. If another launcher has taken it, stops the run and returns false. A claim
    /// that cannot be written, as on a full disk, does not stop the run.
    pub(super) fn renew(&mut self) -> bool {
        let ours = self.claim.renew(Some(&Process::of(self.child.id()))).unwrap_or(true);
        if !ours {
            self.stop();
        }
        ours
    }

    /// The outcome, once the process has ended; a failure is recorded.
    pub(super) fn poll(&mut self, folder: &SweepFolder) -> io::Result<Option<RunOutcome>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        Ok(Some(match status.code() {
            Some(0) => {
                folder.forget_failure(&self.run);
                folder.forget_pruned(&self.run);
                RunOutcome::Done
            }
            Some(code) if is_stop(code) => {
                folder.forget_failure(&self.run);
                folder.pruned(&self.run).map_or(RunOutcome::Stopped, RunOutcome::Pruned)
            }
            _ => RunOutcome::Failed(recorded(folder, &self.run, self.reason(folder, status))),
        }))
    }

    /// The reason of a failure: the process' own message, or the signal that killed it.
    fn reason(&self, folder: &SweepFolder, status: ExitStatus) -> String {
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
            let guess = if signal == 9 { ", perhaps out of memory" } else { "" };
            return format!("killed by signal {signal}{guess}");
        }
        if let Some(Status::Failed { reason }) = folder.summary(&self.run).map(|summary| summary.status) {
            return reason;
        }
        let output = tail(&folder.log_file(&self.run), self.log_start, REASON).unwrap_or_default();
        match output.trim().strip_prefix("error: ").unwrap_or(output.trim()) {
            "" => match check_space(&folder.log_file(&self.run)) {
                Ok(()) => format!("ended with {status} and without a message"),
                Err(error) => format!("ended with {status} and could not say why: {error}\nMake room on that disk."),
            },
            message => message.to_owned(),
        }
    }
}

/// Checks that a log of some length can be written beside a file.
fn check_space(log: &Path) -> io::Result<()> {
    let probe = log.with_extension("probe");
    let opened = open_own(&probe, fs::OpenOptions::new().create(true).truncate(true).write(true));
    let written = opened.and_then(|mut file| file.write_all(&[0; 64 * 1024]));
    // If it was not written it may not exist.
    let _ = std::fs::remove_file(&probe);
    written
}

/// Records a failure and returns its reason, which also tells if recording failed, as on a full
/// disk.
fn recorded(folder: &SweepFolder, run: &SweepRun, reason: String) -> String {
    match folder.note_failure(run, reason.clone()) {
        Ok(()) => reason,
        Err(error) => format!("{reason}\nThis could not be recorded: {error}"),
    }
}

/// The command of this very program, even after another build has replaced it on disk.
fn program() -> Command {
    if cfg!(target_os = "linux") {
        let mut command = Command::new("/proc/self/exe");
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut command, "liprl");
        return command;
    }
    Command::new(std::env::current_exe().unwrap_or_else(|_| "liprl".into()))
}
