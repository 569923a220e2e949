//! The local launcher: as many runs at once as there is room for, each a process of its own.

use std::io;
use std::time::{Duration, Instant};

use liprl_logbook::SweepRun;

use super::folder::{State, SweepFolder};
use super::screen::Screen;
use super::training::{Begin, Outcome, Training};
use crate::train::Signals;

/// Between two looks at the runs' processes.
const TICK: Duration = Duration::from_millis(50);
/// Between two looks at what other launchers do, and at the metrics.
const LOOK: Duration = Duration::from_secs(1);
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(10);

/// How many runs, and which.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Runs at a time; none: as the cores have room.
    pub jobs: Option<usize>,
    /// Begin runs again that failed.
    pub retry_failed: bool,
    /// How often a run is begun again after a failure, over all launches.
    pub retries: u32,
}

impl Options {
    /// Whether a run that failed so often is begun.
    pub fn begins(&self, failures: u32) -> bool {
        failures == 0 || self.retry_failed && failures <= self.retries
    }
}

/// How a launch ended.
#[derive(Debug, Default)]
pub struct End {
    /// Runs that are done, before or now.
    pub done: usize,
    /// Those that failed, and why.
    pub failed: Vec<(SweepRun, String)>,
    /// Runs that are neither.
    pub unfinished: usize,
    /// The exit code of the signal that ended the launch.
    pub signal: Option<u8>,
}

/// Does what is missing, until nothing is or a signal comes. Runs of other launchers are waited for.
///
/// # Errors
/// When the sweep's own files cannot be read or written; runs at work are stopped then.
pub fn launch(folder: &SweepFolder, options: Options) -> io::Result<End> {
    let signals = Signals::listen()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut local = Local { folder, options, cores, todo: Vec::new(), running: Vec::new(), end: End::default() };
    local.sort()?;
    let mut screen = Screen::new(folder);
    let mut outcome = local.go(&signals, &mut screen);
    if outcome.is_err() {
        // What cannot be said to the disk can still be said to the runs, and they are waited for.
        local.end.signal = Some(1);
        local.running.iter_mut().for_each(Training::stop);
        outcome = local.go(&signals, &mut screen).and(outcome);
    }
    screen.end();
    local.end.unfinished += local.todo.len();
    outcome.map(|()| local.end)
}

struct Local<'a> {
    folder: &'a SweepFolder,
    options: Options,
    cores: usize,
    /// Runs that are not done and not ours: waiting, or another launcher's; each with how often it had failed before.
    todo: Vec<(SweepRun, u32)>,
    running: Vec<Training>,
    end: End,
}

impl Local<'_> {
    /// What there is to do.
    fn sort(&mut self) -> io::Result<()> {
        for run in self.folder.runs() {
            match self.folder.state(run)? {
                State::Done => self.end.done += 1,
                State::Failed(failure) if !self.options.begins(failure.times) => {
                    self.end.failed.push((run.clone(), failure.reason));
                }
                State::Failed(failure) => self.todo.push((run.clone(), failure.times)),
                _ => self.todo.push((run.clone(), 0)),
            }
        }
        Ok(())
    }

    fn go(&mut self, signals: &Signals, screen: &mut Screen) -> io::Result<()> {
        let (mut looked, mut beaten) = (None::<Instant>, Instant::now());
        let mut waits_told = false;
        while !self.running.is_empty() || (self.end.signal.is_none() && !self.todo.is_empty()) {
            let ended = self.reap(screen)?;
            if self.end.signal.is_none()
                && let Some(code) = signals.pending()
            {
                self.end.signal = Some(code);
                screen.say(&format!("stopping: {} runs write a checkpoint", self.running.len()));
                self.running.iter_mut().for_each(Training::stop);
            }
            let look = looked.is_none_or(|last| last.elapsed() >= LOOK);
            if self.end.signal.is_none() && (look || ended) {
                self.fill(screen)?;
                if self.running.is_empty() && !self.todo.is_empty() && !waits_told {
                    screen.say(&format!("waiting for {} runs of other launchers", self.todo.len()));
                    waits_told = true;
                }
            }
            if look {
                looked = Some(Instant::now());
                screen.draw(self.folder, &self.running, self.counts());
            }
            if beaten.elapsed() >= BEAT {
                beaten = Instant::now();
                for training in &mut self.running {
                    if !training.beat() {
                        screen.say(&format!("{}: another launcher took it", training.run.folder.display()));
                    }
                }
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Begins runs while there is room.
    fn fill(&mut self, screen: &mut Screen) -> io::Result<()> {
        let mut index = 0;
        while index < self.todo.len() {
            let (run, failures) = &self.todo[index];
            if !self.has_room(run.threads) {
                return Ok(());
            }
            match Training::begin(self.folder, run, *failures)? {
                Begin::Taken => {
                    index += 1;
                    continue;
                }
                Begin::Running(training) => {
                    screen.begun(&training.run);
                    self.running.push(*training);
                }
                Begin::Over(State::Failed(failure)) => self.end.failed.push((run.clone(), failure.reason)),
                Begin::Over(_) => self.end.done += 1,
                Begin::Failed(reason) => {
                    screen.ended(run, &Outcome::Failed(reason.clone()));
                    self.end.failed.push((run.clone(), reason));
                }
            }
            self.todo.remove(index);
        }
        Ok(())
    }

    /// Whether another run of so many threads fits. One always does.
    fn has_room(&self, threads: usize) -> bool {
        let used: usize = self.running.iter().map(|training| training.run.threads).sum();
        match self.options.jobs {
            Some(jobs) => self.running.len() < jobs,
            None => self.running.is_empty() || used + threads <= self.cores,
        }
    }

    /// Takes note of the runs that have ended; whether there were any.
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
                Outcome::Done => self.end.done += 1,
                Outcome::Failed(reason) => self.end.failed.push((run, reason)),
                // Somebody stopped this run alone: it is not begun again by the same launch.
                Outcome::Stopped => self.end.unfinished += 1,
            }
        }
        Ok(self.running.len() < before)
    }

    fn counts(&self) -> Counts {
        let left: u64 = self.todo.iter().map(|(run, _)| run.steps).sum();
        Counts { done: self.end.done, failed: self.end.failed.len(), waiting: self.todo.len(), waiting_steps: left }
    }
}

/// How far the sweep is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    /// Runs that are done.
    pub done: usize,
    /// Runs that failed.
    pub failed: usize,
    /// Runs that are not begun, or another launcher's.
    pub waiting: usize,
    /// Their steps.
    pub waiting_steps: u64,
}
