//! Errors of run folders. Each message names the place and the remedy.

use std::path::PathBuf;

use thiserror::Error;

/// A run folder that could not be made, read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogbookError {
    /// The folder of a new run is not empty.
    #[error("{}: the folder is not empty; resume its run, remove it, or choose another folder", .path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The path is not a run folder.
    #[error("{}: not a run folder ({problem})", .path.display())]
    NotARunFolder {
        /// The path.
        path: PathBuf,
        /// The missing part.
        problem: String,
    },
    /// Another version of the program wrote the folder.
    #[error(
        "{}: written in run folder format {found} by liprl {program}, and this program reads format {supported}; \
         use that version of liprl for it",
        .path.display()
    )]
    Format {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Version of the program that wrote it.
        program: String,
        /// Format that this program reads.
        supported: u64,
    },
    /// Another process writes this run.
    #[error("{}: process {holder} is writing this run; wait for it or stop it first", .path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Id and host of the other process, from the lock.
        holder: String,
    },
    /// A folder of the run is a link, which is read and not written through.
    #[error(
        "{}: a symbolic link, and nothing is written through one; put the folder itself back, or move the whole run \
         folder and link that",
        .path.display()
    )]
    Linked {
        /// The link.
        path: PathBuf,
    },
    /// A file differs from what was written to it.
    #[error("{}: {problem}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The difference.
        problem: String,
    },
    /// The run has checkpoints, all of them damaged.
    #[error("{}: no checkpoint can be used:\n  {}", .path.display(), .reasons.join("\n  "))]
    NoValidCheckpoint {
        /// Folder of the checkpoints.
        path: PathBuf,
        /// Reason for each checkpoint, newest first.
        reasons: Vec<String>,
    },
    /// A checkpoint lacks a part of this name, or a part was given a name that cannot be a file
    /// name.
    #[error("checkpoint part `{name}`: {problem}")]
    BadPart {
        /// Name of the part.
        name: String,
        /// Missing, given twice, or not a file name.
        problem: String,
    },
    /// An operation of the file system failed; the message names the file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
