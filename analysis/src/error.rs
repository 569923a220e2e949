//! Errors of reading runs and drawing them.

use std::path::PathBuf;

use liprl_logbook::LogbookError;
use thiserror::Error;

use crate::names::suggestions;

/// Runs that could not be read, compared or drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AnalysisError {
    /// None of the given folders holds a run.
    #[error("there is no run folder (one with a metrics.jsonl) at or below {}", list(paths))]
    NoRuns {
        /// The folders.
        paths: Vec<PathBuf>,
    },
    /// The runs' metrics hold nothing that can be read.
    #[error("no metric can be read in {}", list(&paths.iter().map(|run| run.join("metrics.jsonl")).collect::<Vec<_>>()))]
    NothingLogged {
        /// The run folders.
        paths: Vec<PathBuf>,
    },
    /// No run logged the metric.
    #[error("no run logged `{metric}` in {}; {}", list(paths), logged(metric, known))]
    NoSuchMetric {
        /// The metric.
        metric: String,
        /// Folders that were searched.
        paths: Vec<PathBuf>,
        /// Metrics that the runs logged.
        known: Vec<String>,
    },
    /// Another program's file has no such column or tag.
    #[error("{}: there is no `{wanted}`; the nearest names are {}", path.display(), suggestions(wanted, known.iter().map(String::as_str)))]
    NoSuchColumn {
        /// The file or its folder.
        path: PathBuf,
        /// The column or tag.
        wanted: String,
        /// Those that the file has.
        known: Vec<String>,
    },
    /// A folder without files of another program.
    #[error("{}: the folder holds neither a CSV table nor a TensorBoard event file", path.display())]
    NoPeerRuns {
        /// The folder.
        path: PathBuf,
    },
    /// Options that do not fit the runs.
    #[error("{0}")]
    Request(String),
    /// A run folder that cannot be read.
    #[error(transparent)]
    Logbook(#[from] LogbookError),
    /// Scores that cannot be aggregated or compared.
    #[error(transparent)]
    Scores(#[from] crate::scores::ScoresError),
    /// A picture format that cannot be written.
    #[error("{}: the name of a figure has to end in .png, .svg or .pdf", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The drawing library failed.
    #[error("{}: drawing failed: {problem}", path.display())]
    Drawing {
        /// The file.
        path: PathBuf,
        /// Message of the library.
        problem: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl AnalysisError {
    /// True if the request was wrong, and nothing failed.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoRuns { .. }
                | Self::NoSuchMetric { .. }
                | Self::NoSuchColumn { .. }
                | Self::NoPeerRuns { .. }
                | Self::Request(_)
                | Self::UnknownFormat { .. }
                | Self::Logbook(LogbookError::NotARunFolder { .. })
        )
    }
}

/// The logged metrics nearest to a name.
fn logged(metric: &str, known: &[String]) -> String {
    if known.is_empty() {
        return "nothing is logged yet".to_owned();
    }
    let names = suggestions(metric, known.iter().map(String::as_str));
    format!("the nearest of {} names are {names}; `liprl metrics RUN` lists all", known.len())
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
