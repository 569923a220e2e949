//! Writer of a checkpoint, which removes old ones at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::layout::{REPLACED, committed, folder_name};
use super::manifest::{self, Manifest, Part, SHARED, SharedParts};
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
    told: &'a mut BTreeSet<PathBuf>,
    warnings: Vec<String>,
    step: u64,
    /// Temporary folder, while it exists.
    beside: Option<PathBuf>,
    parts: BTreeMap<String, Part>,
}

impl<'a> CheckpointWriter<'a> {
    pub(super) fn begin(
        root: &'a Path,
        known: &'a mut SharedParts,
        told: &'a mut BTreeSet<PathBuf>,
        step: u64,
    ) -> Result<Self, LogbookError> {
        disk::own_folder(root)?;
        disk::own_folder(&root.join("shared"))?;
        let mut writer = Self { root, known, told, warnings: Vec::new(), step, beside: None, parts: BTreeMap::new() };
        // Remains of a kill: half written or half removed.
        writer.discard_matching(root, |name| name.starts_with('.'));
        let beside = free(root, &format!(".{}.tmp", folder_name(step)));
        disk::create_folder(&beside)?;
        writer.beside = Some(beside);
        Ok(writer)
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
            Some(part) if is_there(&self.root.join("shared").join(base(&part.file))) => part.clone(),
            _ => {
                let bytes = bytes();
                let file = self.free_name(name, version);
                disk::write_synced(&self.root.join("shared").join(&file), &bytes)?;
                let part = Part::of(format!("{SHARED}{file}"), &bytes, Some(version));
                self.known.insert(key, part.clone());
                part
            }
        };
        self.parts.insert(name.to_owned(), part);
        Ok(())
    }

    /// Completes the checkpoint and removes those that `keep` does not name. Checkpoints of later
    /// steps go too: they belong to steps that were given up when an earlier one was resumed.
    /// Returns a warning for each entry that could not be removed, once in the life of
    /// [`super::Checkpoints`].
    ///
    /// # Errors
    /// If something cannot be written. The earlier checkpoints are then still there.
    pub fn commit(mut self, keep: Keep) -> Result<Vec<String>, LogbookError> {
        let Some(beside) = self.beside.clone() else { return Ok(Vec::new()) };
        let root = self.root;
        let manifest = Manifest::new(self.step, std::mem::take(&mut self.parts)).encode()?;
        disk::write_synced(&beside.join(manifest::FILE), &manifest)?;
        disk::sync_folder(&beside)?;
        disk::sync_folder(&root.join("shared"))?;
        let place = root.join(folder_name(self.step));
        if is_there(&place) {
            let aside = root.join(folder_name(self.step) + REPLACED);
            if is_there(&aside) && disk::remove(&aside).is_err() {
                disk::rename(&aside, &hidden(root, &aside))?;
            }
            disk::rename(&place, &aside)?;
        }
        disk::rename(&beside, &place)?;
        self.beside = None;
        disk::sync_folder(root)?;
        self.tidy(root, keep);
        Ok(std::mem::take(&mut self.warnings))
    }

    /// Removes unwanted checkpoints, then the shared parts that no other checkpoint names. The new
    /// checkpoint is complete without that, so a failure is a warning.
    fn tidy(&mut self, root: &Path, keep: Keep) {
        let all = match committed(root) {
            Ok(all) => all,
            Err(error) => return self.warn(root, &error),
        };
        // Of two checkpoints of one step, the later replaces the earlier.
        let current: BTreeMap<u64, PathBuf> = all.iter().filter(|(step, _)| *step <= self.step).cloned().collect();
        let mut kept: BTreeSet<u64> = current.keys().rev().take(keep.last.max(1)).copied().collect();
        kept.extend(keep.best);
        let mut named = BTreeSet::new();
        for (step, path) in all {
            if current.get(&step) != Some(&path) || !kept.contains(&step) {
                // A half removed checkpoint would look damaged under its own name.
                match disk::rename(&path, &hidden(root, &path)) {
                    Ok(()) => continue,
                    Err(error) => self.warn(&path, &error),
                }
            }
            if let Ok(manifest) = Manifest::read(&path.join(manifest::FILE)) {
                named.extend(manifest.parts.into_values().map(|part| base(&part.file).to_owned()));
            }
        }
        self.discard_matching(root, |name| name.starts_with('.'));
        self.discard_matching(&root.join("shared"), |name| !named.contains(name));
        self.known.retain(|_, part| named.contains(base(&part.file)));
    }

    /// Removes the entries of `folder` with `unwanted` names. A link is removed itself, not the
    /// files behind it.
    fn discard_matching(&mut self, folder: &Path, unwanted: impl Fn(&str) -> bool) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.warn(folder, &error),
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // A file server's name for a removed file that is still being read; it goes by itself.
            if unwanted(&name)
                && !name.starts_with(".nfs")
                && let Err(error) = disk::remove(&path)
            {
                self.warn(&path, &error);
            }
        }
    }

    fn warn(&mut self, path: &Path, error: &dyn std::fmt::Display) {
        if self.told.insert(path.to_owned()) {
            self.warnings.push(format!("an old checkpoint cannot be tidied away; the run goes on: {error}"));
        }
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
        let names = (0_u64..).map(|n| format!("{name}-v{version}.{n}"));
        names.into_iter().find(|file| !is_there(&shared.join(file))).unwrap_or_default()
    }
}

impl Drop for CheckpointWriter<'_> {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            let _ = disk::remove(beside);
        }
    }
}

/// True if an entry has this name, be it a link to nowhere.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Path of a name in `root` that nothing has: the name itself, or with a number behind it.
fn free(root: &Path, name: &str) -> PathBuf {
    let numbered = (1_u64..).map(|n| root.join(format!("{name}.{n}")));
    std::iter::once(root.join(name)).chain(numbered).find(|path| !is_there(path)).unwrap_or_default()
}

/// Free hidden name for an entry of `root`.
fn hidden(root: &Path, path: &Path) -> PathBuf {
    free(root, &format!(".{}", path.file_name().unwrap_or_default().to_string_lossy()))
}

/// File name at the end of a path.
fn base(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}
