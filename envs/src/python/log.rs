//! The file that takes what a worker prints: a nameless one at first, then `python.log` of the run
//! folder.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Name of the log in a run folder.
pub(super) const LOG_FILE: &str = "python.log";
/// The most bytes of its end that are read for a message.
const MOST_READ: u64 = 4096;

/// All that a worker prints.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    /// Its place; `None` while it has no name.
    path: Option<PathBuf>,
    /// Length at which this worker began.
    start: u64,
}

impl Log {
    /// A log without a name, which vanishes with the worker.
    pub(super) fn nameless() -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, path: None, start: 0 })
    }

    /// A handle for the worker's standard error.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Goes on in a folder's `python.log`, with what was printed so far.
    pub(super) fn move_to(&mut self, folder: &Path) -> io::Result<()> {
        let path = folder.join(LOG_FILE);
        let mut file = File::options().read(true).append(true).create(true).open(&path)?;
        let start = file.metadata()?.len();
        file.write_all(&self.read(self.start)?)?;
        *self = Self { file, path: Some(path), start };
        Ok(())
    }

    /// Appends a line of this program's.
    pub(super) fn note(&mut self, bytes: &[u8]) {
        // A log never stops a run.
        let _ = self.file.write_all(bytes);
    }

    /// The last lines that the worker printed.
    pub(super) fn tail(&self, lines: usize) -> Vec<String> {
        let length = self.file.metadata().map_or(0, |data| data.len());
        let text = self.read(self.start.max(length.saturating_sub(MOST_READ))).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
    }

    /// Everything that the worker printed.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.read(self.start).unwrap_or_default()).into_owned()
    }

    /// The log's place, if it has one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The bytes from a place on. The worker writes at the same handle, so its position stays.
    fn read(&self, from: u64) -> io::Result<Vec<u8>> {
        let length = self.file.metadata()?.len().saturating_sub(from);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }
}
