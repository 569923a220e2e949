//! `liprl metrics`.

use std::path::Path;
use std::process::ExitCode;

use liprl_analysis::{LastValue, find_runs};

use crate::metric_names::TABLES;
use crate::terminal::{print, six_digits, table};
use crate::usage::Usage;

/// Lists what a run logged, or all metrics with their meaning.
pub fn metrics(run: Option<&Path>) -> anyhow::Result<ExitCode> {
    let Some(run) = run else { return print(TABLES) };
    let runs = find_runs(&[run.to_owned()])?;
    let [only] = &runs[..] else { return Err(Usage(super::names_of_runs(run, &runs)).into()) };
    let row = |last: LastValue| [last.metric, last.step.to_string(), six_digits(last.value)];
    let rows = LastValue::read(only)?.into_iter().map(row).collect();
    print(&table(["metric", "step", "last value"], 1..3, rows))
}
