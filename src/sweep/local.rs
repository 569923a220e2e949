//! The local launcher: as many runs at once as fit on the cores, each a process of its own.

use std::io;
use std::time::{Duration, Instant};

use liprl_analysis::counted;
use liprl_logbook::SweepRun;

use super::folder::{RunState, SweepFolder};
use super::process::{BeginResult, RunOutcome, RunProcess};
use super::screen::{Screen, SweepCounts};
use super::search::{PrunedRun, Watch};
use crate::signals::Signals;

/// Interval of checks of the runs' processes.
const TICK: Duration = Duration::from_millis(50);
/// Interval of checks of other launchers' claims and of the metrics.
const CHECK: Duration = Duration::from_secs(1);
/// Interval of renewals of the claims.
const RENEW: Duration = Duration::from_secs(10);

/// Choices of a launch.
#[derive(Clone, Copy, Debug)]
pub struct LaunchOptions {
    /// Runs at a time; `None`: as many as fit on the cores.
    pub jobs: Option<usize>,
    /// Retry failed runs.
    pub retry_failed: bool,
    /// Retries of a failed run, over all launches.
    pub retries: u32,
}

impl LaunchOptions {
    /// True if a run with so many failures is begun.
    pub fn begins(&self, failures: u32) -> bool {
        failures == 0 || self.retry_failed && failures <= self.retries
    }
}

/// The result of a launch.
#[derive(Debug, Default)]
pub struct LaunchResult {
    /// Runs that are done, before or now.
    pub done: usize,
    /// Failed runs with their reasons.
    pub failed: Vec<(SweepRun, String)>,
    /// Runs that a rule stopped.
    pub pruned: Vec<(SweepRun, PrunedRun)>,
    /// Runs that are neither done, failed nor pruned.
    pub unfinished: usize,
    /// The exit code of the signal that ended the launch, if any.
    pub signal: Option<u8>,
}

/// Completes missing runs until none is left or a signal comes. Runs of other launchers are waited
/// for.
///
/// # Errors
/// If the sweep's own files cannot be read or written; running processes are stopped first.
pub fn launch(folder: &SweepFolder, options: LaunchOptions) -> io::Result<LaunchResult> {
    let signals = Signals::listen()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut launcher = LocalLauncher {
        folder,
        options,
        cores,
        todo: Vec::new(),
        running: Vec::new(),
        result: LaunchResult::default(),
        watch: Watch::new(folder),
    };
    launcher.sort()?;
    let mut screen = Screen::new(folder);
    let mut outcome = launcher.go(&signals, &mut screen);
    if outcome.is_err() {
        // The runs can still be stopped and waited for.
        launcher.result.signal = Some(1);
        launcher.running.iter_mut().for_each(RunProcess::stop);
        outcome = launcher.go(&signals, &mut screen).and(outcome);
    }
    screen.end();
    launcher.result.unfinished += launcher.todo.len();
    outcome.map(|()| launcher.result)
}

struct LocalLauncher<'a> {
    folder: &'a SweepFolder,
    options: LaunchOptions,
    cores: usize,
    /// Runs that are waiting or another launcher's, each with its number of failures.
    todo: Vec<(SweepRun, u32)>,
    running: Vec<RunProcess>,
    result: LaunchResult,
    watch: Watch,
}

impl LocalLauncher<'_> {
    /// Sorts the runs into done, failed and missing ones.
    fn sort(&mut self) -> io::Result<()> {
        for run in self.folder.runs() {
            match self.folder.state(run)? {
                RunState::Done => self.result.done += 1,
                RunState::Failed(failure) if !self.options.begins(failure.times) => {
                    self.result.failed.push((run.clone(), failure.reason));
                }
                RunState::Failed(failure) => self.todo.push((run.clone(), failure.times)),
                RunState::Pruned(pruned) => self.result.pruned.push((run.clone(), pruned)),
                _ => self.todo.push((run.clone(), 0)),
            }
        }
        Ok(())
    }

    fn go(&mut self, signals: &Signals, screen: &mut Screen) -> io::Result<()> {
        let (mut checked, mut renewed) = (None::<Instant>, Instant::now());
        let mut waits_told = false;
        self.watch.refresh(self.folder);
        self.promote();
        while !self.running.is_empty() || (self.result.signal.is_none() && !self.todo.is_empty()) {
            let ended = self.reap(screen)?;
            if self.result.signal.is_none()
                && let Some(code) = signals.pending()
            {
                self.result.signal = Some(code);
                screen.say(&format!("stopping after a checkpoint of {}", counted(self.running.len(), "run")));
                self.running.iter_mut().for_each(RunProcess::stop);
            }
            let check = checked.is_none_or(|last| last.elapsed() >= CHECK);
            if check || ended {
                self.watch.refresh(self.folder);
                if self.result.signal.is_none() {
                    for process in &mut self.running {
                        process.prune(self.folder, &mut self.watch)?;
                    }
                }
                self.promote();
            }
            if self.result.signal.is_none() && (check || ended) {
                self.fill(screen)?;
                if self.running.is_empty() && !self.todo.is_empty() && !waits_told {
                    screen.say(&format!("waiting for {} of other launchers", counted(self.todo.len(), "run")));
                    waits_told = true;
                }
            }
            if check {
                checked = Some(Instant::now());
                screen.draw(self.folder, &self.running, self.counts());
            }
            if renewed.elapsed() >= RENEW {
                renewed = Instant::now();
                for process in &mut self.running {
                    if !process.renew() {
                        screen.say(&format!("{}: another launcher took it", process.run.folder.display()));
                    }
                }
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Puts runs that a rule stopped and that may go on before the missing ones.
    fn promote(&mut self) {
        let watch = &self.watch;
        let promoted = self.result.pruned.extract_if(.., |(run, pruned)| watch.promotes(run, pruned));
        self.todo.splice(0..0, promoted.map(|(run, _)| (run, 0)).collect::<Vec<_>>());
    }

    /// Begins runs while they fit.
    fn fill(&mut self, screen: &mut Screen) -> io::Result<()> {
        let mut index = 0;
        while index < self.todo.len() {
            let (run, failures) = &self.todo[index];
            if !self.has_room(run.threads) {
                return Ok(());
            }
            match RunProcess::begin(self.folder, run, *failures, &mut self.watch)? {
                BeginResult::Taken => {
                    index += 1;
                    continue;
                }
                BeginResult::Running(process) => {
                    screen.begun(&process.run);
                    self.running.push(*process);
                }
                BeginResult::Over(RunState::Failed(failure)) => self.result.failed.push((run.clone(), failure.reason)),
                BeginResult::Over(RunState::Pruned(pruned)) => self.result.pruned.push((run.clone(), pruned)),
                BeginResult::Over(_) => self.result.done += 1,
                BeginResult::Failed(reason) => {
                    screen.ended(run, &RunOutcome::Failed(reason.clone()));
                    self.result.failed.push((run.clone(), reason));
                }
            }
            self.todo.remove(index);
        }
        Ok(())
    }

    /// True if another run of so many threads fits; a single run always does.
    fn has_room(&self, threads: usize) -> bool {
        let used: usize = self.running.iter().map(|process| process.run.threads).sum();
        match self.options.jobs {
            Some(jobs) => self.running.len() < jobs,
            None => self.running.is_empty() || used + threads <= self.cores,
        }
    }

    /// Removes ended processes; true if there were any.
    fn reap(&mut self, screen: &mut Screen) -> io::Result<bool> {
        let before = self.running.len();
        let mut index = 0;
        while index < self.running.len() {
            let Some(outcome) = self.running[index].poll(self.folder)? else {
                index += 1;
                continue;
            };
            let run = self.running.remove(index).run;
            screen.ended(&run, &outcome);
            match outcome {
                RunOutcome::Done => self.result.done += 1,
                RunOutcome::Failed(reason) => self.result.failed.push((run, reason)),
                RunOutcome::Pruned(pruned) => self.result.pruned.push((run, pruned)),
                // This run alone was stopped, by a person: the same launch does not resume it.
                RunOutcome::Stopped => self.result.unfinished += 1,
            }
        }
        Ok(self.running.len() < before)
    }

    fn counts(&self) -> SweepCounts {
        let left: u64 = self.todo.iter().map(|(run, _)| run.steps).sum();
        SweepCounts {
            done: self.result.done,
            failed: self.result.failed.len(),
            pruned: self.result.pruned.len(),
            waiting: self.todo.len(),
            waiting_steps: left,
        }
    }
}
