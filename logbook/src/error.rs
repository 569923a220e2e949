//! What can go wrong with a run folder, each message naming the place and what to do.

use std::path::PathBuf;

use thiserror::Error;

/// A run folder that could not be made, read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogbookError {
    /// A new run would overwrite something.
    #[error("{}: the folder is not empty; resume the run that is in it, remove it, or choose another folder", .path.display())]
    NotEmpty {
        /// The folder asked for.
        path: PathBuf,
    },
    /// The path holds no run.
    #[error("{}: not a run folder ({problem})", .path.display())]
    NotARunFolder {
        /// The path asked for.
        path: PathBuf,
        /// What is missing.
        problem: String,
    },
    /// The folder was written by a program with another layout.
    #[error(
        "{}: written in run folder format {found} by liprl {program}, and this program reads format {supported}; use that version of liprl for it",
        .path.display()
    )]
    Format {
        /// The folder.
        path: PathBuf,
        /// The format it is in.
        found: u64,
        /// The program version that wrote it.
        program: String,
        /// The format this program reads.
        supported: u64,
    },
    /// Another process is writing this run.
    #[error("{}: process {holder} is writing this run; wait for it or stop it first", .path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The other process's id and host, as it wrote them down.
        holder: String,
    },
    /// A file does not hold what was written to it.
    #[error("{}: {problem}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There are checkpoints, and none of them is whole.
    #[error("{}: no checkpoint can be used:\n  {}", .path.display(), .reasons.join("\n  "))]
    NoValidCheckpoint {
        /// The folder of checkpoints.
        path: PathBuf,
        /// Why each was refused, newest first.
        reasons: Vec<String>,
    },
    /// A checkpoint has no part of this name, or a part was given a name that cannot be a file's.
    #[error("checkpoint part `{name}`: {problem}")]
    BadPart {
        /// The part.
        name: String,
        /// Missing, given twice, or not a file name.
        problem: String,
    },
    /// The file system refused something; the message names the file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
