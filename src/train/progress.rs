//! Progress of a run on standard error: a bar on a terminal, plain lines elsewhere, nothing with
//! `--quiet`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::terminal::tell;

/// Least time between plain lines about the steps.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The progress display of one run.
pub(super) struct ProgressDisplay {
    bar: ProgressBar,
    plain: bool,
    started: Instant,
    first_step: u64,
    last_line: Instant,
}

impl ProgressDisplay {
    /// Starts the display of a run at `step` of `steps`.
    pub(super) fn new(quiet: bool, step: u64, steps: u64) -> Self {
        let terminal = !quiet && std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(steps) } else { ProgressBar::hidden() };
        let template = "{bar:30} {human_pos}/{human_len} steps  {rate}  ETA {eta}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // A failed write to the bar's own string cannot be helped.
                let _ = write!(out, "{:.0} steps/s", state.per_sec());
            }));
        }
        bar.set_position(step);
        bar.reset_eta();
        let now = Instant::now();
        Self { bar, plain: !quiet && !terminal, started: now, first_step: step, last_line: now }
    }

    /// Updates the display after a step. `last_return` is the latest finished episode's.
    pub(super) fn step(&mut self, step: u64, steps: u64, last_return: Option<f64>) {
        // The clock is read rarely: a step may take only microseconds.
        if !step.is_multiple_of(64) {
            return;
        }
        if !self.plain {
            self.bar.set_position(step);
            if let Some(value) = last_return {
                self.bar.set_message(format!("return {value:.1}"));
            }
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let rate = (step - self.first_step) as f64 / self.started.elapsed().as_secs_f64();
            let left = (steps - step.min(steps)) as f64 / rate.max(1e-9);
            let last = last_return.map(|value| format!(", last return {value:.1}")).unwrap_or_default();
            tell(format_args!("step {step}/{steps}, {rate:.0} steps/s, {left:.0} s left{last}"));
        }
    }

    /// Prints a line that stays.
    pub(super) fn say(&self, line: &str) {
        if self.plain {
            tell(format_args!("{line}"));
        } else {
            self.bar.println(line);
        }
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
