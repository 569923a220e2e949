//! JSON files of the run folder and of sweeps.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk;
use crate::error::LogbookError;
use crate::read::{limits, read_file};

/// Reads a JSON file.
///
/// # Errors
/// [`LogbookError::Damaged`] for a file of another content, [`LogbookError::Io`] for a missing one.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, LogbookError> {
    let bytes = read_file(path, limits::RECORD)?;
    serde_json::from_slice(&bytes).map_err(|e| LogbookError::Damaged { path: path.to_owned(), problem: e.to_string() })
}

/// Replaces a file by the JSON of `value`, indented, in one step.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), LogbookError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
    bytes.push(b'\n');
    Ok(disk::write_atomic(path, &bytes)?)
}
