//! The progress of a sweep's runs, as a table of 80 columns and as JSON.

use std::fmt::Write;

use liprl_analysis::counted;
use liprl_logbook::SweepRun;
use serde_json::{Value, json};

use super::folder::{RunState, SweepFolder};
use super::progress::RunProgress;
use super::screen::duration;
use super::view::{self, failures, word};
use crate::terminal::table;

/// States in the order of their counts.
const STATES: [&str; 7] = ["done", "failed", "pruned", "running", "stopped", "killed", "waiting"];
/// Columns of a terminal.
const WIDTH: usize = 80;
/// Least columns for the name of a variant that is cut.
const LEAST_NAME: usize = 24;
/// Columns between two columns of the table.
const GAP: usize = 2;

/// A sweep's runs with their progress.
pub struct SweepStatus<'a> {
    folder: &'a SweepFolder,
    runs: Vec<(&'a SweepRun, RunState, RunProgress)>,
}

impl<'a> SweepStatus<'a> {
    /// Reads the claims, summaries and logs of all runs.
    ///
    /// # Errors
    /// If the claims cannot be read.
    pub fn read(folder: &'a SweepFolder) -> std::io::Result<Self> {
        let of = |run: &'a SweepRun| {
            let mut now = RunProgress::read(&folder.run_folder(run));
            now.step = folder.summary(run).map_or(now.step, |summary| summary.steps.max(now.step));
            Ok((run, folder.state(run)?, now))
        };
        Ok(Self { folder, runs: folder.runs().map(of).collect::<std::io::Result<_>>()? })
    }

    /// True if a run failed.
    pub fn any_failed(&self) -> bool {
        self.count("failed") > 0
    }

    fn count(&self, state: &str) -> usize {
        self.runs.iter().filter(|(_, one, _)| word(one) == state).count()
    }

    /// The table, the failed runs with their reasons and, of a sweep that is done, the next command.
    pub fn to_text(&self) -> String {
        let row = |(run, state, now): &(&SweepRun, RunState, RunProgress)| {
            let last = now.last_return.map_or("–".to_owned(), |value| format!("{value:.1}"));
            [
                run.variant.clone(),
                run.seed.to_string(),
                format!("{}/{}", now.step, run.steps),
                last,
                detail(state, run, now),
            ]
        };
        let mut rows: Vec<[String; 5]> = self.runs.iter().map(row).collect();
        fit(&mut rows);
        let mut text = table(["variant", "seed", "step", "return", "state"], 1..4, rows);
        let counts: Vec<String> = STATES
            .iter()
            .map(|state| (state, self.count(state)))
            .filter(|(state, count)| !["pruned", "killed"].contains(state) || *count > 0)
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{}: {}", counted(self.runs.len(), "run"), counts.join(", "));
        let failed: Vec<(SweepRun, String)> = self
            .runs
            .iter()
            .filter_map(|(run, state, _)| match state {
                RunState::Failed(failure) => Some(((*run).clone(), failure.reason.clone())),
                _ => None,
            })
            .collect();
        if !failed.is_empty() {
            let _ = write!(text, "\nfailed:\n{}", failures(self.folder, &failed));
        }
        let pruned = self.runs.iter().filter_map(|(run, state, _)| match state {
            RunState::Pruned(pruned) => Some((*run, pruned)),
            _ => None,
        });
        if self.count("pruned") > 0 {
            let _ = write!(text, "\npruned:\n{}", view::pruned(pruned));
        }
        if let Some(search) = view::search(self.folder) {
            let _ = writeln!(text, "{search}");
        }
        if self.count("done") + self.count("pruned") == self.runs.len() {
            let _ = writeln!(text, "{}", report_command(self.folder));
        }
        text
    }

    /// All of it as JSON.
    pub fn to_json(&self) -> Value {
        let run = |(run, state, now): &(&SweepRun, RunState, RunProgress)| {
            let mut one = json!({
                "variant": run.variant,
                "seed": run.seed,
                "folder": run.folder,
                "id": run.id,
                "state": word(state),
                "step": now.step,
                "steps": run.steps,
                "return": now.last_return,
                "steps_per_second": now.rate,
            });
            match state {
                RunState::Running(holder) => {
                    one["seconds_left"] = json!(seconds_left(run, now));
                    one["host"] = json!(holder.as_ref().map(|holder| &holder.host));
                    one["launcher"] = json!(holder.as_ref().map(|holder| holder.launcher.pid));
                }
                RunState::Pruned(pruned) => {
                    one["reason"] = json!(pruned.reason);
                    one["judged"] = json!({"step": pruned.step, "value": pruned.value, "threshold": pruned.threshold});
                }
                RunState::Failed(failure) => {
                    one["failures"] = json!(failure.times);
                    one["reason"] = json!(failure.reason);
                    one["log"] = json!(self.folder.log_file(run));
                }
                _ => {}
            }
            one
        };
        let counts: serde_json::Map<String, Value> =
            STATES.iter().map(|state| ((*state).to_owned(), json!(self.count(state)))).collect();
        json!({
            "experiment": self.folder.lock.experiment,
            "folder": self.folder.path(),
            "counts": counts,
            "search": self.folder.lock.search,
            "runs": self.runs.iter().map(run).collect::<Vec<_>>(),
        })
    }
}

/// The command that compares a sweep's runs.
pub fn report_command(folder: &SweepFolder) -> String {
    let path = folder.path().display();
    format!("compare them: liprl report {path} --out {path}/report")
}

fn seconds_left(run: &SweepRun, now: &RunProgress) -> Option<f64> {
    let rate = now.rate.filter(|rate| *rate > 0.0)?;
    Some(run.steps.saturating_sub(now.step) as f64 / rate)
}

fn detail(state: &RunState, run: &SweepRun, now: &RunProgress) -> String {
    match state {
        RunState::Running(Some(holder)) => {
            let left = seconds_left(run, now).map(|left| format!(", {} left", duration(left))).unwrap_or_default();
            format!("running on {}{left}", holder.host)
        }
        RunState::Failed(failure) if failure.times > 1 => format!("failed {} times", failure.times),
        other => word(other).to_owned(),
    }
}

/// Cuts names of variants, and states if that is not enough, so that rows fit a terminal.
fn fit(rows: &mut [[String; 5]]) {
    let width = |rows: &[[String; 5]], column: usize| {
        let head = ["variant", "seed", "step", "return", "state"][column].len();
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(head)
    };
    let numbers: usize = (1..4).map(|column| width(rows, column)).sum::<usize>() + 4 * GAP;
    let room = WIDTH.saturating_sub(numbers);
    let (name, state) = (width(rows, 0), width(rows, 4));
    if name + state <= room {
        return;
    }
    let name = name.min(room.saturating_sub(state).max(LEAST_NAME));
    for row in rows {
        row[0] = cut(&row[0], name);
        row[4] = cut(&row[4], room.saturating_sub(name));
    }
}

/// A text of at most `most` characters, with its beginning and its end.
fn cut(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most || most < 2 {
        return text.to_owned();
    }
    let begin = most / 2;
    let end = most - begin - 1;
    let (first, last): (String, String) =
        (text.chars().take(begin).collect(), text.chars().skip(length - end).collect());
    format!("{first}…{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_long_names_fit_and_stay_apart() {
        let row = |name: &str, state: &str| [name, "0", "1000000/3000000", "-1234.5", state].map(str::to_owned);
        let long = |end: &str| format!("agent.discriminator.gradient_penalty.scale=10,spectral_norm={end}");
        let mut rows = vec![
            row(&long("true"), "done"),
            row(&long("false"), "running on a-machine-with-a-long-name.example.org, 3.2 h left"),
        ];
        fit(&mut rows);
        assert_ne!(rows[0][0], rows[1][0]);
        assert!(rows[0][0].starts_with("agent.discri") && rows[0][0].ends_with("=true"), "{rows:?}");
        let text = table(["variant", "seed", "step", "return", "state"], 1..4, rows);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let mut short = vec![row("sac", "done")];
        fit(&mut short);
        assert_eq!(short, [row("sac", "done")]);
    }
}
