//! Progress of a launch on standard error: a live table on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use liprl_analysis::counted;
use liprl_logbook::SweepRun;

use super::folder::SweepFolder;
use super::process::{RunOutcome, RunProcess};
use super::progress::RunProgress;
use crate::terminal::tell;

/// Least time between plain lines about the sweep.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Progress of the sweep.
#[derive(Clone, Copy, Debug)]
pub(super) struct SweepCounts {
    /// Runs that are done.
    pub done: usize,
    /// Runs that failed.
    pub failed: usize,
    /// Runs that a rule stopped.
    pub pruned: usize,
    /// Runs that are waiting or another launcher's.
    pub waiting: usize,
    /// Their steps.
    pub waiting_steps: u64,
}

/// The display of one launch.
pub(super) struct Screen {
    table: Option<LiveTable>,
    runs: usize,
    /// Width of the column of variants.
    width: usize,
    last_line: Instant,
}

/// Lines that are redrawn in place: a header, a row for each running run, the sweep.
struct LiveTable {
    lines: MultiProgress,
    head: ProgressBar,
    rows: Vec<ProgressBar>,
    foot: ProgressBar,
}

impl Screen {
    pub(super) fn new(folder: &SweepFolder) -> Self {
        let width = folder.runs().map(|run| run.variant.len()).max().unwrap_or(0).clamp(7, 60);
        let table = std::io::stderr().is_terminal().then(|| {
            let lines = MultiProgress::new();
            let (head, foot) = (lines.add(line()), lines.add(line()));
            head.set_message(row(width, "variant", "seed", "step", "steps/s", "return", "ETA"));
            LiveTable { lines, head, rows: Vec::new(), foot }
        });
        Self { table, runs: folder.runs().count(), width, last_line: Instant::now() }
    }

    /// Shows that a run begins or resumes.
    pub(super) fn begun(&self, run: &SweepRun) {
        if self.table.is_none() {
            tell(format_args!("{}: begun", run.folder.display()));
        }
    }

    /// Shows the end of a run.
    pub(super) fn ended(&self, run: &SweepRun, outcome: &RunOutcome) {
        let folder = run.folder.display();
        self.say(&match outcome {
            RunOutcome::Done => format!("{folder}: done"),
            RunOutcome::Stopped => format!("{folder}: stopped after a checkpoint"),
            RunOutcome::Pruned(pruned) => format!("{folder}: pruned after a checkpoint: {}", pruned.reason),
            RunOutcome::Failed(reason) => format!("{folder}: FAILED: {}", first_line(reason)),
        });
    }

    /// Prints a line that stays.
    pub(super) fn say(&self, text: &str) {
        match &self.table {
            // A closed terminal must not stop a run.
            Some(table) => drop(table.lines.println(text)),
            None => tell(format_args!("{text}")),
        }
    }

    /// Redraws overall progress.
    pub(super) fn draw(&mut self, folder: &SweepFolder, running: &[RunProcess], counts: SweepCounts) {
        if self.table.is_none() && self.last_line.elapsed() < LINE_EVERY {
            return;
        }
        self.last_line = Instant::now();
        let rows: Vec<(&SweepRun, RunProgress)> =
            running.iter().map(|process| (&process.run, RunProgress::read(&folder.run_folder(&process.run)))).collect();
        let whole = self.whole(&rows, counts);
        let width = self.width;
        match &mut self.table {
            Some(table) => table.draw(rows.iter().map(|(run, now)| run_row(width, run, now)), whole),
            None => {
                for (run, now) in &rows {
                    tell(format_args!("{}", plain_row(run, now)));
                }
                tell(format_args!("{whole}"));
            }
        }
    }

    fn whole(&self, rows: &[(&SweepRun, RunProgress)], counts: SweepCounts) -> String {
        let rate: f64 = rows.iter().filter_map(|(_, now)| now.rate).sum();
        let left: u64 = rows.iter().map(|(run, now)| run.steps.saturating_sub(now.step)).sum();
        let (left, running) = (left + counts.waiting_steps, rows.len());
        let eta = if rate > 0.0 { format!("; about {} left", duration(left as f64 / rate)) } else { String::new() };
        let SweepCounts { done, failed, pruned, waiting, .. } = counts;
        let pruned = if pruned > 0 { format!(", {pruned} pruned") } else { String::new() };
        let runs = counted(self.runs, "run");
        format!("{runs}: {done} done, {failed} failed{pruned}, {running} running, {waiting} waiting{eta}")
    }

    /// Removes the table.
    pub(super) fn end(&self) {
        if let Some(table) = &self.table {
            table.rows.iter().chain([&table.head, &table.foot]).for_each(ProgressBar::finish_and_clear);
            // A closed terminal has nothing to clear.
            let _ = table.lines.clear();
        }
    }
}

impl LiveTable {
    fn draw(&mut self, rows: impl ExactSizeIterator<Item = String>, whole: String) {
        while self.rows.len() < rows.len() {
            self.rows.push(self.lines.insert_before(&self.foot, line()));
        }
        for bar in self.rows.drain(rows.len()..) {
            bar.finish_and_clear();
            self.lines.remove(&bar);
        }
        self.rows.iter().zip(rows).for_each(|(bar, text)| bar.set_message(text));
        self.foot.set_message(whole);
        // Lines without a message of their own are drawn only when they tick.
        self.head.tick();
    }
}

fn line() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
        bar.set_style(style);
    }
    bar
}

fn row(width: usize, variant: &str, seed: &str, step: &str, rate: &str, last: &str, eta: &str) -> String {
    format!("{variant:width$}  {seed:>4}  {step:>19}  {rate:>8}  {last:>9}  {eta:>8}")
}

fn run_row(width: usize, run: &SweepRun, now: &RunProgress) -> String {
    let [rate, last, eta] = columns(run, now);
    let step = format!("{}/{}", now.step, run.steps);
    row(width, &run.variant, &run.seed.to_string(), &step, &rate, &last, &eta)
}

fn plain_row(run: &SweepRun, now: &RunProgress) -> String {
    let [rate, last, eta] = columns(run, now);
    format!("{}: step {}/{}, {rate} steps/s, last return {last}, {eta} left", run.folder.display(), now.step, run.steps)
}

/// Rate, return and time left; a dash for unknown ones.
fn columns(run: &SweepRun, now: &RunProgress) -> [String; 3] {
    let unknown = || "–".to_owned();
    let eta = now.rate.filter(|rate| *rate > 0.0).map(|rate| run.steps.saturating_sub(now.step) as f64 / rate);
    [
        now.rate.map_or_else(unknown, |rate| format!("{rate:.0}")),
        now.last_return.map_or_else(unknown, |value| format!("{value:.1}")),
        eta.map_or_else(unknown, duration),
    ]
}

/// Formats seconds in a readable unit.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 90.0 * 60.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// The first line of a reason.
fn first_line(reason: &str) -> &str {
    reason.lines().next().unwrap_or_default()
}
