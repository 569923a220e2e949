//! Log files of other programs in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::log::LogKind;
use crate::error::AnalysisError;

/// Log files of each run at or below `path`, by folder. A single file is a run of its own. Links
/// are followed; hidden files and folders are not read.
pub(super) fn of(path: &Path) -> Result<BTreeMap<PathBuf, Vec<PathBuf>>, AnalysisError> {
    if !path.exists() {
        return Err(AnalysisError::Request(format!("{}: there is no such file or folder", path.display())));
    }
    if !fs::metadata(path)?.is_dir() {
        return Ok(BTreeMap::from([(path.to_path_buf(), vec![path.to_path_buf()])]));
    }
    let mut found: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    // A link to a folder around it would never end.
    let mut seen = BTreeSet::from([fs::canonicalize(path)?]);
    let mut todo = vec![path.to_path_buf()];
    while let Some(folder) = todo.pop() {
        let mut entries: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with('.') {
                entries.push(entry.path());
            }
        }
        entries.sort();
        for entry in entries {
            // A link to nothing is not a log.
            let Ok(place) = fs::canonicalize(&entry) else { continue };
            if place.is_dir() {
                if seen.insert(place) {
                    todo.push(entry);
                }
            } else if LogKind::of(&entry).is_some() {
                found.entry(folder.clone()).or_default().push(entry);
            }
        }
    }
    for files in found.values_mut() {
        // Packed beside itself, a file is read once.
        let packed = |path: &Path| path.with_extension("");
        let all: BTreeSet<PathBuf> = files.iter().cloned().collect();
        files.retain(|path| !is_packed(path) || !all.contains(&packed(path)));
    }
    if found.is_empty() { Err(AnalysisError::NoPeerRuns { path: path.to_path_buf() }) } else { Ok(found) }
}

/// True for a file that gzip packed.
pub(super) fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"))
}
