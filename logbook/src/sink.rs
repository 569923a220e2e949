//! A buffered file that only grows. Its failures are reported once and never stop a run.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;

use crate::disk::open_own;

/// Time after a flush until the next write flushes again, so that readers see recent entries.
const FLUSH_AFTER: Duration = Duration::from_secs(5);
/// Buffered bytes that cause a flush.
const FLUSH_AT: usize = 64 * 1024;
/// Bytes that wait for room on a full disk; entries beyond them are lost.
const WAIT_AT_MOST: usize = 8 * 1024 * 1024;

/// A file under construction, see the module.
#[derive(Debug)]
pub(crate) struct Sink {
    path: PathBuf,
    file: fs::File,
    /// Bytes of whole entries in the file.
    written: u64,
    buffer: Vec<u8>,
    flushed: Instant,
    state: SinkState,
}

#[derive(Debug, PartialEq)]
enum SinkState {
    Good,
    /// The last write failed. Entries wait in the buffer; `lost` did not fit into it.
    Failing {
        lost: u64,
    },
    /// The file was moved or removed; nothing is written again.
    Gone,
}

impl Sink {
    /// Creates the file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = fs::OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Self::over(path, file, 0))
    }

    /// Opens an existing file and cuts it to `bytes`.
    pub(crate) fn reopen(path: &Path, bytes: u64) -> io::Result<Self> {
        let file = open_own(path, fs::OpenOptions::new().append(true))?;
        if file.metadata()?.len() != bytes {
            file.set_len(bytes)?;
        }
        Ok(Self::over(path, file, bytes))
    }

    fn over(path: &Path, file: fs::File, written: u64) -> Self {
        let path = path.to_owned();
        Self { path, file, written, buffer: Vec::new(), flushed: Instant::now(), state: SinkState::Good }
    }

    /// Bytes of whole entries in the file.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Name of the file within its folder.
    pub(crate) fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Adds one entry. Returns a warning to pass on.
    pub(crate) fn append(&mut self, entry: &[u8]) -> Option<String> {
        match &mut self.state {
            SinkState::Gone => return None,
            SinkState::Failing { lost } if self.buffer.len() + entry.len() > WAIT_AT_MOST => *lost += 1,
            _ => self.buffer.extend_from_slice(entry),
        }
        let due =
            self.flushed.elapsed() >= FLUSH_AFTER || (self.state == SinkState::Good && self.buffer.len() >= FLUSH_AT);
        if due { self.flush() } else { None }
    }

    /// Writes out the buffer. Returns a warning to pass on.
    pub(crate) fn flush(&mut self) -> Option<String> {
        if self.state == SinkState::Gone {
            return None;
        }
        self.flushed = Instant::now();
        if !self.still_there() {
            self.state = SinkState::Gone;
            self.buffer = Vec::new();
            return Some(format!(
                "{} was removed while the run was writing it; the run goes on without it",
                self.path.display()
            ));
        }
        match self.write_out() {
            Ok(()) => {
                self.written += self.buffer.len() as u64;
                self.buffer.clear();
                match std::mem::replace(&mut self.state, SinkState::Good) {
                    SinkState::Failing { lost: 0 } => {
                        Some(format!("{} is being written again; nothing is missing", self.path.display()))
                    }
                    SinkState::Failing { lost } => {
                        Some(format!("{} is being written again; {lost} entries are missing", self.path.display()))
                    }
                    _ => None,
                }
            }
            Err(e) => {
                // A torn entry would hide all later ones from readers.
                let _ = self.file.set_len(self.written);
                let first = self.state == SinkState::Good;
                if first {
                    self.state = SinkState::Failing { lost: 0 };
                }
                first.then(|| format!("{e}; the run goes on, and writes this later if it can"))
            }
        }
    }

    /// Flushes and waits until the file is on the disk. Returns a warning to pass on.
    pub(crate) fn sync(&mut self) -> Option<String> {
        let warning = self.flush();
        if self.state == SinkState::Good
            && let Err(e) = self.file.sync_data()
        {
            return Some(e.to_string());
        }
        warning
    }

    fn write_out(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        #[cfg(test)]
        if let Err(killed) = crate::disk::fault::point() {
            self.file.write_all(&self.buffer[..self.buffer.len() / 2])?;
            return Err(killed);
        }
        self.file.write_all(&self.buffer)
    }

    /// True if the path still names the open file. Writes to a removed file would succeed and be
    /// lost.
    fn still_there(&self) -> bool {
        let Ok(at_path) = fs::metadata(&self.path) else { return false };
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            self.file.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (at_path.dev(), at_path.ino()))
        }
        #[cfg(not(unix))]
        {
            at_path.is_file()
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::fault;

    #[test]
    fn a_full_disk_is_reported_once_and_so_is_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = Sink::create(&path).unwrap();
        assert_eq!(sink.append(b"one\n"), None);
        assert_eq!(sink.flush(), None);
        fault::set(Some(0));
        sink.append(b"two\n");
        assert!(sink.flush().unwrap().contains("killed here"));
        assert_eq!(fs::read(&path).unwrap(), b"one\n", "no half entry stays");
        sink.append(b"three\n");
        assert_eq!(sink.flush(), None, "told once");
        fault::set(None);
        assert!(sink.flush().unwrap().contains("nothing is missing"));
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\nthree\n");
        assert_eq!(sink.written(), 14);
    }

    #[test]
    fn a_lasting_failure_keeps_a_bounded_backlog() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = Sink::create(&path).unwrap();
        fault::set(Some(0));
        let entry = vec![b'x'; 1024 * 1024];
        let warnings: Vec<_> = (0..12).filter_map(|_| sink.append(&entry)).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        fault::set(None);
        assert!(sink.flush().unwrap().contains("4 entries are missing"));
        assert_eq!(fs::metadata(&path).unwrap().len(), 8 * 1024 * 1024);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_a_log_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("log"), folder.path().join("thesis.tex"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let problem = Sink::reopen(&path, 0).unwrap_err().to_string();
        assert!(problem.contains("log`: it is a symbolic link"), "{problem}");
        assert!(Sink::create(&path).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn a_removed_or_replaced_file_is_reported_once_and_not_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = Sink::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        sink.append(b"one\n");
        assert!(sink.flush().unwrap().contains("removed"));
        sink.append(b"two\n");
        assert_eq!(sink.flush(), None);
        assert!(!path.exists());

        let mut sink = Sink::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "someone else's").unwrap();
        sink.append(b"one\n");
        assert!(sink.flush().is_some());
        assert_eq!(fs::read_to_string(&path).unwrap(), "someone else's");
    }
}
