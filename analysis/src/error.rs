//! What can go wrong when reading runs or drawing them.

use std::path::PathBuf;

use thiserror::Error;

/// Runs that could not be read or drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AnalysisError {
    /// None of the given folders holds a run.
    #[error("no run folder (one with a metrics.jsonl) below {}", paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    NoRuns {
        /// Where it was looked for.
        paths: Vec<PathBuf>,
    },
    /// The runs hold no such metric.
    #[error("no run logged `{metric}`; logged were: {}", known.join(", "))]
    NoSuchMetric {
        /// What was asked for.
        metric: String,
        /// What the runs hold.
        known: Vec<String>,
    },
    /// Another program's file has no such column or tag.
    #[error("{}: there is no `{wanted}`; there are: {}", path.display(), known.join(", "))]
    NoSuchColumn {
        /// The file or its folder.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A folder that holds nothing of another program's.
    #[error("{}: no CSV table and no TensorBoard event file is in it", path.display())]
    NoPeerRuns {
        /// The folder.
        path: PathBuf,
    },
    /// Runs that cannot be compared as asked.
    #[error("{0}")]
    Request(String),
    /// A run folder that cannot be read.
    #[error(transparent)]
    Logbook(#[from] liprl_logbook::LogbookError),
    /// Scores that cannot be summed up.
    #[error(transparent)]
    Scores(#[from] crate::ScoresError),
    /// A picture format that cannot be written.
    #[error("{}: a figure's file name ends in .png or .svg", path.display())]
    UnknownFormat {
        /// The file asked for.
        path: PathBuf,
    },
    /// The drawing library failed.
    #[error("{}: drawing failed: {problem}", path.display())]
    Drawing {
        /// The file asked for.
        path: PathBuf,
        /// The library's own words.
        problem: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
