//! What a person sees of a launch: a live table on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use liprl_logbook::SweepRun;

use super::folder::SweepFolder;
use super::local::Counts;
use super::training::{Outcome, Progress, Training};

/// Plain lines about the whole come at most this often.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// The display of one launch.
pub(super) struct Screen {
    table: Option<Table>,
    runs: usize,
    /// Width of the variants' column.
    width: usize,
    last_line: Instant,
}

/// Lines that are redrawn in place: a head, a row for each run at work, the whole.
struct Table {
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
            Table { lines, head, rows: Vec::new(), foot }
        });
        Self { table, runs: folder.runs().count(), width, last_line: Instant::now() }
    }

    /// A run begins, or goes on.
    pub(super) fn begun(&self, run: &SweepRun) {
        if self.table.is_none() {
            crate::tell(format_args!("{}: begun", run.folder.display()));
        }
    }

    /// A run has ended.
    pub(super) fn ended(&self, run: &SweepRun, outcome: &Outcome) {
        let folder = run.folder.display();
        self.say(&match outcome {
            Outcome::Done => format!("{folder}: done"),
            Outcome::Stopped => format!("{folder}: stopped after a checkpoint"),
            Outcome::Failed(reason) => format!("{folder}: FAILED: {}", first_line(reason)),
        });
    }

    /// A line that stays.
    pub(super) fn say(&self, text: &str) {
        match &self.table {
            // A terminal that is gone stops no run.
            Some(table) => drop(table.lines.println(text)),
            None => crate::tell(format_args!("{text}")),
        }
    }

    /// How far everything is.
    pub(super) fn draw(&mut self, folder: &SweepFolder, running: &[Training], counts: Counts) {
        if self.table.is_none() && self.last_line.elapsed() < LINE_EVERY {
            return;
        }
        self.last_line = Instant::now();
        let rows: Vec<(&SweepRun, Progress)> =
            running.iter().map(|training| (&training.run, Progress::read(&folder.run_folder(&training.run)))).collect();
        let whole = self.whole(&rows, counts);
        let width = self.width;
        match &mut self.table {
            Some(table) => table.draw(rows.iter().map(|(run, now)| run_row(width, run, now)), whole),
            None => {
                for (run, now) in &rows {
                    crate::tell(format_args!("{}", plain_row(run, now)));
                }
                crate::tell(format_args!("{whole}"));
            }
        }
    }

    fn whole(&self, rows: &[(&SweepRun, Progress)], counts: Counts) -> String {
        let rate: f64 = rows.iter().filter_map(|(_, now)| now.rate).sum();
        let left: u64 = rows.iter().map(|(run, now)| run.steps.saturating_sub(now.step)).sum();
        let (left, running) = (left + counts.waiting_steps, rows.len());
        let eta = if rate > 0.0 { format!("; about {} left", duration(left as f64 / rate)) } else { String::new() };
        let Counts { done, failed, waiting, .. } = counts;
        format!("{} runs: {done} done, {failed} failed, {running} running, {waiting} waiting{eta}", self.runs)
    }

    /// Takes the table away.
    pub(super) fn end(&self) {
        if let Some(table) = &self.table {
            table.rows.iter().chain([&table.head, &table.foot]).for_each(ProgressBar::finish_and_clear);
            // A terminal that is gone has nothing to clear.
            let _ = table.lines.clear();
        }
    }
}

impl Table {
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

fn run_row(width: usize, run: &SweepRun, now: &Progress) -> String {
    let [rate, last, eta] = columns(run, now);
    let step = format!("{}/{}", now.step, run.steps);
    row(width, &run.variant, &run.seed.to_string(), &step, &rate, &last, &eta)
}

fn plain_row(run: &SweepRun, now: &Progress) -> String {
    let [rate, last, eta] = columns(run, now);
    format!("{}: step {}/{}, {rate} steps/s, last return {last}, {eta} left", run.folder.display(), now.step, run.steps)
}

/// Rate, return and time left, as far as they are known.
fn columns(run: &SweepRun, now: &Progress) -> [String; 3] {
    let unknown = || "–".to_owned();
    let eta = now.rate.filter(|rate| *rate > 0.0).map(|rate| run.steps.saturating_sub(now.step) as f64 / rate);
    [
        now.rate.map_or_else(unknown, |rate| format!("{rate:.0}")),
        now.last_return.map_or_else(unknown, |value| format!("{value:.1}")),
        eta.map_or_else(unknown, duration),
    ]
}

/// Seconds in the unit a person would use.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 90.0 * 60.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// The first line of a reason.
pub(super) fn first_line(reason: &str) -> &str {
    reason.lines().next().unwrap_or_default()
}
