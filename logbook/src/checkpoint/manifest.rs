//! Manifest: a checkpoint's table of contents, by which every byte of it can be verified.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::error::LogbookError;

/// File name of the manifest.
pub(super) const FILE: &str = "manifest.json";
/// Layout of checkpoints.
const FORMAT_VERSION: u64 = 1;

/// Table of contents, see the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format_version: u64,
    pub(super) step: u64,
    pub(super) parts: BTreeMap<String, Part>,
    /// Checksum of the manifest's bytes with 0 in this place.
    crc32c: u32,
}

/// One file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Part {
    /// Path relative to the checkpoint's folder.
    pub(super) file: String,
    pub(super) bytes: u64,
    pub(super) crc32c: u32,
    /// Version of a shared part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u64>,
}

/// Shared parts known to be whole, by name and version.
pub(super) type SharedParts = HashMap<(String, u64), Part>;

impl Manifest {
    pub(super) fn new(step: u64, parts: BTreeMap<String, Part>) -> Self {
        Self { format_version: FORMAT_VERSION, step, parts, crc32c: 0 }
    }

    /// Bytes of the file. Equal contents give equal bytes, so that even a changed space is found.
    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let mut sealed = Self { crc32c: 0, ..self.clone() };
        sealed.crc32c = crc32c::crc32c(&serde_json::to_vec_pretty(&sealed)?);
        Ok(serde_json::to_vec_pretty(&sealed)?)
    }

    /// Reads and verifies a manifest file.
    pub(super) fn read(path: &Path) -> Result<Self, LogbookError> {
        let damaged = |problem: String| LogbookError::Damaged { path: path.to_owned(), problem };
        let bytes = fs::read(path)?;
        let version =
            serde_json::from_slice::<serde_json::Value>(&bytes).ok().and_then(|v| v["format_version"].as_u64());
        if let Some(found) = version.filter(|&v| v != FORMAT_VERSION) {
            return Err(damaged(format!("checkpoint format {found}, and this program reads format {FORMAT_VERSION}")));
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|e| damaged(format!("damaged or cut off: {e}")))?;
        if manifest.encode()? != bytes {
            return Err(damaged("its checksum does not match".to_owned()));
        }
        Ok(manifest)
    }
}

impl Part {
    /// Part for `bytes` written to `file`.
    pub(super) fn of(file: String, bytes: &[u8], version: Option<u64>) -> Self {
        Self { file, bytes: bytes.len() as u64, crc32c: crc32c::crc32c(bytes), version }
    }

    /// Compares the file below `checkpoint` with the part, in blocks.
    pub(super) fn verify(&self, checkpoint: &Path) -> Result<(), LogbookError> {
        let path = checkpoint.join(&self.file);
        let mut file = fs::File::open(&path)?;
        let mut buffer = vec![0; 256 * 1024];
        let (mut length, mut checksum) = (0, 0);
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            length += read as u64;
            checksum = crc32c::crc32c_append(checksum, &buffer[..read]);
        }
        self.compare(&path, length, checksum)
    }

    /// Bytes of the file, verified.
    pub(super) fn read(&self, checkpoint: &Path) -> Result<Vec<u8>, LogbookError> {
        let path = checkpoint.join(&self.file);
        let bytes = fs::read(&path)?;
        self.compare(&path, bytes.len() as u64, crc32c::crc32c(&bytes))?;
        Ok(bytes)
    }

    fn compare(&self, path: &Path, length: u64, checksum: u32) -> Result<(), LogbookError> {
        let problem = if length != self.bytes {
            format!("has {length} bytes, {} were written", self.bytes)
        } else if checksum != self.crc32c {
            "its checksum does not match what was written".to_owned()
        } else {
            return Ok(());
        };
        Err(LogbookError::Damaged { path: path.to_owned(), problem })
    }
}
