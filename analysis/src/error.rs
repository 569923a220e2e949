//! Errors of reading runs and drawing them.

use std::path::PathBuf;

use thiserror::Error;

/// Runs that could not be read, compared or drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AnalysisError {
    /// None of the given folders holds a run.
    #[error("no run folder (one with a metrics.jsonl) below {}", list(paths))]
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
    #[error("no run logged `{metric}`; logged were: {}", known.join(", "))]
    NoSuchMetric {
        /// The metric.
        metric: String,
        /// Metrics that the runs logged.
        known: Vec<String>,
    },
    /// Another program's file has no such column or tag.
    #[error("{}: there is no `{wanted}`; there are: {}", path.display(), known.join(", "))]
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
    Logbook(#[from] liprl_logbook::LogbookError),
    /// Scores that cannot be aggregated or compared.
    #[error(transparent)]
    Scores(#[from] crate::scores::ScoresError),
    /// A picture format that cannot be written.
    #[error("{}: the name of a figure has to end in .png or .svg", path.display())]
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

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
