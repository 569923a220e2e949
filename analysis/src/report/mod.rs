//! `liprl report`: the question of a sweep and the answer of its runs, as one page of HTML.
//!
//! [`plan`] reads the sweep's record and [`experiment`] its runs, with the [`metrics`] shown.
//! [`findings`] draws the conclusions, from [`outcomes`], [`compare`], [`effects`], [`ablation`],
//! [`reach`], [`relate`] and [`search`]. [`page`] writes them down, and [`files`] each figure and
//! [`table`] for papers and programs. Only finished runs are compared; all others are listed with
//! the reason.

mod ablation;
mod compare;
mod effects;
mod experiment;
mod files;
mod findings;
mod metrics;
mod options;
mod outcomes;
mod page;
mod plan;
mod reach;
mod relate;
mod run_record;
mod search;
mod settings;
mod table;
mod wording;

use std::path::{Path, PathBuf};

use fs_err as fs;
use liprl_logbook::write_output;
use serde_json::json;

use crate::error::AnalysisError;
use crate::run::Warning;
use experiment::Experiment;
use findings::Findings;
pub use options::{ReportOptions, Score};

/// A written report.
#[derive(Clone, Debug)]
pub struct ReportOutput {
    /// The page.
    pub page: PathBuf,
    /// Its answer in plain words.
    pub answer: String,
    /// Lines and files that were skipped.
    pub warnings: Vec<Warning>,
}

/// Writes `report.html` about the runs below `sweep` into the folder `out`, beside it each figure as
/// SVG and PDF, each table as CSV and LaTeX, and all tables as JSON.
///
/// # Errors
/// If there are no runs, no run logged the metric within the steps asked for, the baseline is not
/// one of the variants, or a file cannot be read or written.
pub fn report(sweep: &Path, out: &Path, options: &ReportOptions) -> Result<ReportOutput, AnalysisError> {
    let experiment = Experiment::read(sweep, options)?;
    let findings = Findings::of(&experiment, options)?;
    let (html, files) = page::html(&experiment, &findings, options);
    fs::create_dir_all(out)?;
    let path = out.join("report.html");
    write_output(&path, html.as_bytes())?;
    let answer: Vec<String> = findings.answer().lines().map(str::to_owned).collect();
    let head = json!({"question": experiment.question, "metric": experiment.metric, "answer": answer});
    files.write(out, head)?;
    Ok(ReportOutput { page: path, answer: findings.answer(), warnings: experiment.warnings })
}
