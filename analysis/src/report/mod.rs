//! `liprl report`: what a sweep asked and what its runs answer, as one page of HTML.
//!
//! [`plan`] reads what the sweep says, [`gather`] its runs, [`compare`], [`effects`] and [`reach`] compute what is said about them, [`page`] writes it down. Only finished runs are compared; all
//! others are listed with the reason.

mod compare;
mod effects;
mod gather;
mod page;
mod plan;
mod reach;
mod settings;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use fs_err as fs;

use crate::{AnalysisError, Bootstrap, Line, Warning};

/// The number that a run's curve is compared by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Score {
    /// The last value.
    #[default]
    Last,
    /// The highest value, which picks the luckiest evaluation.
    Best,
    /// The mean of all values: the area under the curve where they are evenly spaced.
    Mean,
}

impl Score {
    /// As it is written in sweeps and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Best => "best",
            Self::Mean => "mean",
        }
    }
}

impl FromStr for Score {
    type Err = AnalysisError;

    fn from_str(name: &str) -> Result<Self, AnalysisError> {
        let known = [Self::Last, Self::Best, Self::Mean];
        let found = known.into_iter().find(|score| score.name() == name);
        found.ok_or_else(|| AnalysisError::Question(format!("score `{name}`: it is one of last, best, mean")))
    }
}

/// How a report is made.
#[derive(Clone, Debug, Default)]
pub struct ReportOptions {
    /// The metric compared. Default: the sweep's, else `eval/return_mean`.
    pub metric: Option<String>,
    /// The variant the others are compared with. Default: the sweep's, else the first by name.
    pub baseline: Option<String>,
    /// What of a run's curve is compared. Default: the sweep's, else [`Score::Last`].
    pub score: Option<Score>,
    /// Tables leave out what was logged before this step. Default: the sweep's, else 0.
    pub from: Option<u64>,
    /// Tables leave out what was logged after this step. Default: nothing.
    pub to: Option<u64>,
    /// How soon runs reach this value is listed. Default: the sweep's, if the metric is the sweep's too, else not.
    pub reach: Option<f64>,
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
/// When there are no runs, none logged the metric (from the step asked for on), the baseline is none of the variants, or a file cannot be read or written.
pub fn report(sweep: &Path, out: &Path, options: &ReportOptions) -> Result<Written, AnalysisError> {
    let experiment = gather::Experiment::read(sweep, options)?;
    let findings = compare::Findings::of(&experiment, options)?;
    let html = page::html(&experiment, &findings, options);
    fs::create_dir_all(out)?;
    let path = out.join("report.html");
    fs::write(&path, html)?;
    Ok(Written { page: path, answer: findings.answer(), warnings: experiment.warnings })
}
