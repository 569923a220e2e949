//! Names in the folder of checkpoints.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::error::LogbookError;

/// Name of a checkpoint: `step_000100000`.
pub(super) fn folder_name(step: u64) -> String {
    format!("step_{step:09}")
}

/// End of the name of a checkpoint while another of its step takes its place.
pub(super) const REPLACED: &str = ".replaced";

/// Committed checkpoints in order of step. One that is being replaced comes before its successor.
pub(super) fn committed(root: &Path) -> Result<Vec<(u64, PathBuf)>, LogbookError> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(step) = name.strip_prefix("step_") else { continue };
        let (step, replaced) = step.strip_suffix(REPLACED).map_or((step, false), |step| (step, true));
        if let Ok(step) = step.parse::<u64>() {
            found.push((step, !replaced, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(step, _, path)| (step, path)).collect())
}
