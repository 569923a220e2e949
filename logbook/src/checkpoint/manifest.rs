//! Manifest: a checkpoint's table of contents, by which every byte of it can be verified.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::error::LogbookError;
use crate::read::{limits, open_file, read_file};

/// File name of the manifest.
pub(super) const FILE: &str = "manifest.json";
/// Beginning of the path of a shared part.
pub(super) const SHARED: &str = "../shared/";
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
        let bytes = read_file(path, limits::LIST)?;
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
        let (path, mut file) = self.open(checkpoint)?;
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
        let (path, file) = self.open(checkpoint)?;
        let mut bytes = Vec::with_capacity(self.bytes as usize);
        file.take(self.bytes).read_to_end(&mut bytes)?;
        self.compare(&path, bytes.len() as u64, crc32c::crc32c(&bytes))?;
        Ok(bytes)
    }

    /// Opens the file below `checkpoint`, which has the length of the part.
    fn open(&self, checkpoint: &Path) -> Result<(PathBuf, fs::File), LogbookError> {
        let path = self.path(checkpoint)?;
        let file = open_file(&path, u64::MAX)?;
        self.compare(&path, file.metadata()?.len(), self.crc32c)?;
        Ok((path, file))
    }

    /// Path of the file: in the checkpoint's folder, or in `shared/` beside it.
    fn path(&self, checkpoint: &Path) -> Result<PathBuf, LogbookError> {
        let is_name = |name: &str| !name.is_empty() && name != ".." && !name.contains('/');
        let (name, shared) = self.file.strip_prefix(SHARED).map_or((&*self.file, false), |name| (name, true));
        match checkpoint.parent() {
            _ if !is_name(name) => {
                let problem = format!("it names the part `{}`, which is outside the checkpoints", self.file);
                Err(LogbookError::Damaged { path: checkpoint.join(FILE), problem })
            }
            // The parts that a linked checkpoint shares are beside the link.
            Some(root) if shared && checkpoint.is_symlink() => Ok(root.join("shared").join(name)),
            _ => Ok(checkpoint.join(&self.file)),
        }
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
