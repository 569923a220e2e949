//! `liprl report`: what a sweep asked and what its runs answer, as one page of HTML.
//!
//! [`gather`] reads the runs, [`compare`] and [`effects`] compute what is said about them, [`page`] writes it down. Only finished runs are compared; all
//! others are listed with the reason.

mod compare;
mod effects;
mod gather;
mod page;
mod settings;

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::{AnalysisError, Bootstrap, Line, Warning};

/// How a report is made.
#[derive(Clone, Debug, Default)]
pub struct ReportOptions {
    /// The metric compared. Default: the sweep's, else `eval/return_mean`.
    pub metric: Option<String>,
    /// The variant the others are compared with. Default: the sweep's, else the first by name.
    pub baseline: Option<String>,
    /// Horizontal lines in the curves.
    pub references: Vec<Line>,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
}

/// A report that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// Its answer in plain words.
    pub answer: String,
    /// What was skipped.
    pub warnings: Vec<Warning>,
}

/// Writes `report.html` about the runs below `sweep` into the folder `out`.
///
/// # Errors
/// When there are no runs, none logged the metric, the baseline is none of the variants, or a file cannot be read or written.
pub fn report(sweep: &Path, out: &Path, options: &ReportOptions) -> Result<Written, AnalysisError> {
    let experiment = gather::Experiment::read(sweep, options.metric.as_deref())?;
    let findings = compare::Findings::of(&experiment, options)?;
    let html = page::html(&experiment, &findings, options);
    fs::create_dir_all(out)?;
    let path = out.join("report.html");
    fs::write(&path, html)?;
    Ok(Written { page: path, answer: findings.answer(), warnings: experiment.warnings })
}
