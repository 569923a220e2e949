//! Writer of a checkpoint, which removes old ones at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::layout::{REPLACED, committed, folder_name};
use super::manifest::{self, Manifest, Part, SharedParts};
use crate::disk;
use crate::error::LogbookError;

/// Checkpoints that stay after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Number of the newest, at least one.
    pub last: usize,
    /// Step of the best so far, which stays too.
    pub best: Option<u64>,
}

/// A checkpoint under construction. Dropped without [`CheckpointWriter::commit`] it leaves nothing
/// behind.
#[derive(Debug)]
pub struct CheckpointWriter<'a> {
    root: &'a Path,
    known: &'a mut SharedParts,
    step: u64,
    /// Temporary folder, while it exists.
    beside: Option<PathBuf>,
    parts: BTreeMap<String, Part>,
}

impl<'a> CheckpointWriter<'a> {
    pub(super) fn begin(root: &'a Path, known: &'a mut SharedParts, step: u64) -> Result<Self, LogbookError> {
        let beside = root.join(format!(".{}.tmp", folder_name(step)));
        for folder in [root, &root.join("shared")] {
            if !folder.exists() {
                disk::create_folder(folder)?;
                disk::sync_folder(folder.parent().unwrap_or(folder))?;
            }
        }
        // Remains of a kill: half written or half removed.
        remove_matching(root, |name| name.starts_with('.'))?;
        disk::create_folder(&beside)?;
        Ok(Self { root, known, step, beside: Some(beside), parts: BTreeMap::new() })
    }

    /// Adds a part that belongs to this checkpoint alone.
    ///
    /// # Errors
    /// If the name was used or cannot be a file name (letters, digits, `.`, `-`, `_`, not first a
    /// dot), or the disk is full.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), LogbookError> {
        self.check_name(name)?;
        let Some(beside) = &self.beside else { return Ok(()) };
        disk::write_synced(&beside.join(name), bytes)?;
        self.parts.insert(name.to_owned(), Part::of(name.to_owned(), bytes, None));
        Ok(())
    }

    /// Adds a part that an earlier checkpoint of this run may already hold. `bytes` is called only
    /// if no checkpoint holds this version, which has to change whenever the bytes do.
    ///
    /// # Errors
    /// Those of [`CheckpointWriter::put`].
    pub fn put_shared(
        &mut self,
        name: &str,
        version: u64,
        bytes: impl FnOnce() -> Vec<u8>,
    ) -> Result<(), LogbookError> {
        self.check_name(name)?;
        let key = (name.to_owned(), version);
        let part = match self.known.get(&key) {
            Some(part) if self.root.join("shared").join(base(&part.file)).exists() => part.clone(),
            _ => {
                let bytes = bytes();
                let file = self.free_name(name, version);
                disk::write_synced(&self.root.join("shared").join(&file), &bytes)?;
                let part = Part::of(format!("../shared/{file}"), &bytes, Some(version));
                self.known.insert(key, part.clone());
                part
            }
        };
        self.parts.insert(name.to_owned(), part);
        Ok(())
    }

    /// Completes the checkpoint and removes those that `keep` does not name. Checkpoints of later
    /// steps go too: they belong to steps that were given up when an earlier one was resumed.
    ///
    /// # Errors
    /// If something cannot be written. The earlier checkpoints are then still there.
    pub fn commit(mut self, keep: Keep) -> Result<(), LogbookError> {
        let Some(beside) = self.beside.clone() else { return Ok(()) };
        let root = self.root;
        let manifest = Manifest::new(self.step, std::mem::take(&mut self.parts)).encode()?;
        disk::write_synced(&beside.join(manifest::FILE), &manifest)?;
        disk::sync_folder(&beside)?;
        disk::sync_folder(&root.join("shared"))?;
        let place = root.join(folder_name(self.step));
        if place.exists() {
            let aside = root.join(folder_name(self.step) + REPLACED);
            if aside.exists() {
                disk::remove(&aside)?;
            }
            disk::rename(&place, &aside)?;
        }
        disk::rename(&beside, &place)?;
        self.beside = None;
        disk::sync_folder(root)?;
        self.tidy(root, keep)
    }

    /// Removes unwanted checkpoints, then the shared parts that no other checkpoint names.
    fn tidy(&mut self, root: &Path, keep: Keep) -> Result<(), LogbookError> {
        let all = committed(root)?;
        // Of two checkpoints of one step, the later replaces the earlier.
        let current: BTreeMap<u64, PathBuf> = all.iter().filter(|(step, _)| *step <= self.step).cloned().collect();
        let mut kept: BTreeSet<u64> = current.keys().rev().take(keep.last.max(1)).copied().collect();
        kept.extend(keep.best);
        let mut named = BTreeSet::new();
        for (step, path) in all {
            if current.get(&step) != Some(&path) || !kept.contains(&step) {
                // A half removed checkpoint would look damaged under its own name.
                let aside = root.join(format!(".{}", path.file_name().unwrap_or_default().to_string_lossy()));
                disk::rename(&path, &aside)?;
            } else if let Ok(manifest) = Manifest::read(&path.join(manifest::FILE)) {
                named.extend(manifest.parts.into_values().map(|part| base(&part.file).to_owned()));
            }
        }
        remove_matching(root, |name| name.starts_with('.'))?;
        remove_matching(&root.join("shared"), |name| !named.contains(name))?;
        self.known.retain(|_, part| named.contains(base(&part.file)));
        Ok(())
    }

    fn check_name(&self, name: &str) -> Result<(), LogbookError> {
        let problem = if self.parts.contains_key(name) {
            "given twice"
        } else if name.is_empty()
            || name.starts_with('.')
            || name == manifest::FILE
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        {
            "not a name for a file"
        } else {
            return Ok(());
        };
        Err(LogbookError::BadPart { name: name.to_owned(), problem: problem.to_owned() })
    }

    /// A free file name. An existing file may be damaged, or from steps that were given up.
    fn free_name(&self, name: &str, version: u64) -> String {
        let shared = self.root.join("shared");
        let mut n = 0;
        loop {
            let file = format!("{name}-v{version}.{n}");
            if !shared.join(&file).exists() {
                return file;
            }
            n += 1;
        }
    }
}

impl Drop for CheckpointWriter<'_> {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            let _ = disk::remove(beside);
        }
    }
}

/// Removes the entries of `folder` with `unwanted` names.
fn remove_matching(folder: &Path, unwanted: impl Fn(&str) -> bool) -> Result<(), LogbookError> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if unwanted(&entry.file_name().to_string_lossy()) {
            disk::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// File name at the end of a path.
fn base(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}
