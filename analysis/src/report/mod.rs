//! `liprl report`: the question of a sweep and the answer of its runs, as one page of HTML.
//!
//! [`plan`] reads the sweep's record and [`experiment`] its runs. [`findings`] draws the
//! conclusions, from [`outcomes`], [`compare`], [`effects`], [`reach`] and [`search`]. [`page`] writes them
//! down. Only finished runs are compared; all others are listed with the reason.

mod compare;
mod effects;
mod experiment;
mod findings;
mod options;
mod outcomes;
mod page;
mod plan;
mod reach;
mod run_record;
mod search;
mod settings;
mod wording;

use std::path::{Path, PathBuf};

use fs_err as fs;
use liprl_logbook::write_output;

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

/// Writes `report.html` about the runs below `sweep` into the folder `out`.
///
/// # Errors
/// If there are no runs, no run logged the metric within the steps asked for, the baseline is not
/// one of the variants, or a file cannot be read or written.
pub fn report(sweep: &Path, out: &Path, options: &ReportOptions) -> Result<ReportOutput, AnalysisError> {
    let experiment = Experiment::read(sweep, options)?;
    let findings = Findings::of(&experiment, options)?;
    let html = page::html(&experiment, &findings, options);
    fs::create_dir_all(out)?;
    let path = out.join("report.html");
    write_output(&path, html.as_bytes())?;
    Ok(ReportOutput { page: path, answer: findings.answer(), warnings: experiment.warnings })
}
