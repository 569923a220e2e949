//! Checkpoints: complete learner states. If the newest is damaged, the one before it still serves.
//!
//! ```text
//! checkpoints/
//!   step_000100000/manifest.json   every part's name, size and CRC-32C, and the manifest's own
//!   step_000100000/<part>
//!   shared/<part>-v<version>.<n>   large parts that several checkpoints refer to
//! ```
//! A checkpoint is written into `.step_….tmp`, synced, and renamed: a folder named `step_…` is
//! complete. A shared part never changes once written, and is removed when no manifest names it.

mod layout;
mod manifest;
mod writer;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::LogbookError;
use crate::folder::RunFolder;
use layout::{committed, folder_name};
use manifest::{Manifest, SharedParts};
pub use writer::{CheckpointWriter, Keep};

/// Checkpoints of a run.
#[derive(Debug)]
pub struct Checkpoints {
    root: PathBuf,
    /// Shared parts of the checkpoint that this process resumed from, and those it wrote. Other
    /// files may be damaged, or belong to steps that were given up.
    known: SharedParts,
    /// Entries that could not be removed, each told once.
    told: BTreeSet<PathBuf>,
}

/// Newest checkpoint that is whole.
#[derive(Debug)]
pub struct Recovered {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Reasons why newer ones were skipped; usually empty.
    pub warnings: Vec<String>,
}

impl Checkpoints {
    /// Checkpoints of a run, which may have none yet.
    pub fn open(folder: &RunFolder) -> Self {
        Self { root: folder.checkpoints_path(), known: SharedParts::new(), told: BTreeSet::new() }
    }

    /// Starts a checkpoint of environment step `step`. It does not count before
    /// [`CheckpointWriter::commit`].
    ///
    /// # Errors
    /// If the folder cannot be written or is a link, or the run folder is gone: it is not created
    /// again.
    pub fn begin(&mut self, step: u64) -> Result<CheckpointWriter<'_>, LogbookError> {
        CheckpointWriter::begin(&self.root, &mut self.known, &mut self.told, step)
    }

    /// Newest checkpoint whose bytes are all as written; `None` if none was ever committed.
    ///
    /// # Errors
    /// [`LogbookError::NoValidCheckpoint`] if all are damaged, with the reasons.
    pub fn latest_valid(&mut self) -> Result<Option<Recovered>, LogbookError> {
        let mut reasons = Vec::new();
        for (step, path) in committed(&self.root)?.into_iter().rev() {
            match Checkpoint::open(&path) {
                Ok(checkpoint) => {
                    let shared = checkpoint
                        .manifest
                        .parts
                        .iter()
                        .filter_map(|(name, part)| Some(((name.clone(), part.version?), part.clone())));
                    self.known = shared.collect();
                    let warnings = reasons
                        .into_iter()
                        .map(|reason| {
                            format!("a damaged checkpoint is passed over for the one of step {step}: {reason}")
                        })
                        .collect();
                    return Ok(Some(Recovered { checkpoint, warnings }));
                }
                Err(e) => reasons.push(e.to_string()),
            }
        }
        if reasons.is_empty() {
            Ok(None)
        } else {
            Err(LogbookError::NoValidCheckpoint { path: self.root.clone(), reasons })
        }
    }

    /// Step of the newest checkpoint that is whole; `None` without one.
    pub fn newest_whole(&self) -> Option<u64> {
        let found = committed(&self.root).ok()?.into_iter().rev();
        found.filter(|(_, path)| Checkpoint::open(path).is_ok()).map(|(step, _)| step).next()
    }

    /// Checkpoint of one step, verified.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn load(&self, step: u64) -> Result<Checkpoint, LogbookError> {
        let found = committed(&self.root)?.into_iter().rev().find(|(s, _)| *s == step);
        Checkpoint::open(found.map_or_else(|| self.root.join(folder_name(step)), |(_, path)| path))
    }
}

/// A committed checkpoint, for reading.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    manifest: Manifest,
}

impl Checkpoint {
    /// Opens `checkpoints/step_…` and verifies every byte of it.
    ///
    /// # Errors
    /// [`LogbookError::Damaged`] naming the first file that is missing, cut off or changed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LogbookError> {
        let path = path.as_ref().to_owned();
        let manifest = Manifest::read(&path.join(manifest::FILE))?;
        for part in manifest.parts.values() {
            part.verify(&path)?;
        }
        Ok(Self { path, manifest })
    }

    /// Environment step.
    pub fn step(&self) -> u64 {
        self.manifest.step
    }

    /// Folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of its parts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.manifest.parts.keys().map(String::as_str)
    }

    /// Bytes of one part.
    ///
    /// # Errors
    /// If there is no such part, or its file has changed since the checkpoint was opened.
    pub fn get(&self, name: &str) -> Result<Vec<u8>, LogbookError> {
        let part = self.manifest.parts.get(name).ok_or_else(|| LogbookError::BadPart {
            name: name.to_owned(),
            problem: format!("{} has none of this name", self.path.display()),
        })?;
        part.read(&self.path)
    }
}

#[cfg(test)]
mod tests;
