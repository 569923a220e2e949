//! Checkpoints: complete learner states, of which a killed, cut off or corrupted newest one never
//! costs more than the way back to the one before it.
//!
//! ```text
//! checkpoints/
//!   step_000100000/manifest.json   every part's name, size and CRC-32C, and the manifest's own
//!   step_000100000/<part>
//!   shared/<part>-v<version>.<n>   large parts that several checkpoints refer to: a replay buffer's chunks, written only when they changed
//! ```
//! A checkpoint is written into `.step_….tmp`, synced, and renamed: a folder named `step_…` is
//! complete. A shared part is never changed once written, and removed when no manifest names it.

mod layout;
mod manifest;
mod writer;

use std::path::{Path, PathBuf};

use crate::{LogbookError, RunFolder};
use layout::{committed, folder_name};
use manifest::{Manifest, SharedParts};
pub use writer::{CheckpointWriter, Keep};

/// A run's checkpoints.
#[derive(Debug)]
pub struct Checkpoints {
    root: PathBuf,
    /// The shared parts of the checkpoint this process resumed from, and those it wrote. What else
    /// lies on the disk may be damaged, or belong to steps that were given up.
    known: SharedParts,
}

/// The newest checkpoint that is whole.
#[derive(Debug)]
pub struct Recovered {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Why each newer one was passed over, for the user's eyes; usually empty.
    pub warnings: Vec<String>,
}

impl Checkpoints {
    /// The checkpoints of a run, of which there may be none yet.
    pub fn open(folder: &RunFolder) -> Self {
        Self { root: folder.checkpoints_path(), known: SharedParts::new() }
    }

    /// Starts a checkpoint of environment step `step`. Nothing counts before
    /// [`CheckpointWriter::commit`].
    ///
    /// # Errors
    /// When the folder cannot be written, or the run folder is gone: it is not made anew.
    pub fn begin(&mut self, step: u64) -> Result<CheckpointWriter<'_>, LogbookError> {
        CheckpointWriter::begin(&self.root, &mut self.known, step)
    }

    /// The newest checkpoint all of whose bytes are as they were written; `None` when none was ever
    /// committed.
    ///
    /// # Errors
    /// [`LogbookError::NoValidCheckpoint`] when there are some and each is damaged, with the
    /// reasons.
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

    /// The checkpoint of one step, verified.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn load(&self, step: u64) -> Result<Checkpoint, LogbookError> {
        let found = committed(&self.root)?.into_iter().rev().find(|(s, _)| *s == step);
        Checkpoint::open(found.map_or_else(|| self.root.join(folder_name(step)), |(_, path)| path))
    }
}

/// A committed checkpoint, to read.
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

    /// The environment step it was taken at.
    pub fn step(&self) -> u64 {
        self.manifest.step
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its parts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.manifest.parts.keys().map(String::as_str)
    }

    /// The bytes of one part.
    ///
    /// # Errors
    /// When there is no such part, or its file has changed since it was opened.
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
