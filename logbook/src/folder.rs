//! Creation, opening and locking of run folders.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;

use crate::error::LogbookError;
use crate::json::{read_json, write_json};
use crate::provenance::{FORMAT_VERSION, Provenance, host};
use crate::read::{limits, open_file, read_text};
use crate::summary::RunSummary;
use crate::{clock, disk};

/// Resolved config, below a run folder.
pub const CONFIG_FILE: &str = "config.yaml";
/// Metrics, below a run folder.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// Origin of a run, below its folder.
pub const PROVENANCE_FILE: &str = "provenance.json";
/// State of a run, below its folder.
pub const SUMMARY_FILE: &str = "summary.json";

/// Lock, below a run folder. It holds `<process> on <host>` of the last writer; older programs
/// wrote the process alone.
const LOCK: &str = ".lock";
/// Attempts to take a lock that a reader may hold for an instant, and the time between them.
const READER_TRIES: u32 = 10;
const READER_WAIT: Duration = Duration::from_millis(2);

/// Folder of one run. Opened for writing it holds a lock, so that two programs never write one run.
/// The lock ends with the process, however that ends.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: Option<File>,
}

impl RunFolder {
    /// Creates the folder of a new run, with its config, provenance and a summary that says
    /// `running`. The folder appears in one step, complete.
    ///
    /// # Errors
    /// [`LogbookError::NotEmpty`] if something is there already, [`LogbookError::Io`] if it cannot
    /// be written.
    pub fn create(path: impl AsRef<Path>, config_yaml: &str, provenance: &Provenance) -> Result<Self, LogbookError> {
        let path = std::path::absolute(path.as_ref())?;
        let path = fs::canonicalize(&path).unwrap_or(path);
        let occupied = || LogbookError::NotEmpty { path: path.clone() };
        match fs::read_dir(&path) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(occupied());
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Err(occupied()),
            Err(e) => return Err(e.into()),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(occupied()) };
        fs::create_dir_all(parent)?;
        disk::remove_leftovers(parent, |of| name == of);
        let beside = disk::beside(&path);
        if fs::symlink_metadata(&beside).is_ok() {
            // A killed process of the same number left it.
            disk::remove(&beside)?;
        }
        let filled = fill(&beside, config_yaml, provenance).and_then(|lock| {
            disk::rename(&beside, &path).map_err(|e| match e.kind() {
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => occupied(),
                _ => e.into(),
            })?;
            Ok(lock)
        });
        if filled.is_err() {
            let _ = disk::remove(&beside);
        }
        let lock = filled?;
        disk::sync_folder(parent)?;
        Ok(Self { path, _lock: lock })
    }

    /// Opens a run for reading; it may be running.
    ///
    /// # Errors
    /// [`LogbookError::NotARunFolder`], or [`LogbookError::Format`] if another version of the
    /// program wrote it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LogbookError> {
        let folder = Self { path: std::path::absolute(path.as_ref())?, _lock: None };
        folder.check_format()?;
        Ok(folder)
    }

    /// Opens a run for writing, to resume it.
    ///
    /// # Errors
    /// Those of [`RunFolder::open`], [`LogbookError::Locked`] while another process writes the run,
    /// and [`LogbookError::Linked`], so that no work is done that could not be saved.
    pub fn open_for_writing(path: impl AsRef<Path>) -> Result<Self, LogbookError> {
        let folder = Self::open(path)?;
        let checkpoints = folder.checkpoints_path();
        if let Some(path) = [checkpoints.join("shared"), checkpoints].into_iter().find(|path| path.is_symlink()) {
            return Err(LogbookError::Linked { path });
        }
        let lock = take_lock(&folder.path)?;
        disk::remove_leftovers(&folder.path, |_| true);
        Ok(Self { _lock: lock, ..folder })
    }

    fn check_format(&self) -> Result<(), LogbookError> {
        let not_a_run =
            |problem: &str| LogbookError::NotARunFolder { path: self.path.clone(), problem: problem.to_owned() };
        if !self.path.is_dir() {
            return Err(not_a_run("there is no such folder"));
        }
        let file = self.path.join(PROVENANCE_FILE);
        if fs::symlink_metadata(&file).is_err() {
            return Err(not_a_run("it has no provenance.json"));
        }
        let value: serde_json::Value = read_json(&file)?;
        match value["format_version"].as_u64() {
            Some(FORMAT_VERSION) => Ok(()),
            Some(found) => Err(LogbookError::Format {
                path: self.path.clone(),
                found,
                program: value["program_version"].as_str().unwrap_or("(unknown version)").to_owned(),
                supported: FORMAT_VERSION,
            }),
            None => Err(not_a_run("its provenance.json names no format_version")),
        }
    }

    /// Absolute path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of `config.yaml`.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG_FILE)
    }

    /// Path of `metrics.jsonl`.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS_FILE)
    }

    /// Path of `checkpoints/`, which exists from the first checkpoint on.
    pub fn checkpoints_path(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Resolved config that the run was started with.
    ///
    /// # Errors
    /// If the file is missing or is not UTF-8.
    pub fn config(&self) -> Result<String, LogbookError> {
        Ok(read_text(self.config_path(), limits::CONFIG)?)
    }

    /// Replaces the stored config, for a resumption with other settings (more steps).
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_config(&self, config_yaml: &str) -> Result<(), LogbookError> {
        Ok(disk::write_atomic(self.config_path(), config_yaml.as_bytes())?)
    }

    /// Origin of the run.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub fn provenance(&self) -> Result<Provenance, LogbookError> {
        read_json(&self.path.join(PROVENANCE_FILE))
    }

    /// Replaces the origin, for a resumption by another program.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_provenance(&self, provenance: &Provenance) -> Result<(), LogbookError> {
        write_json(&self.path.join(PROVENANCE_FILE), provenance)
    }

    /// State of the run.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub fn summary(&self) -> Result<RunSummary, LogbookError> {
        read_json(&self.path.join(SUMMARY_FILE))
    }

    /// Replaces the summary in one step.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_summary(&self, summary: &RunSummary) -> Result<(), LogbookError> {
        write_json(&self.path.join(SUMMARY_FILE), summary)
    }

    /// True if a process holds the lock of the run; `None` if the file system does not tell.
    pub fn is_locked(&self) -> Option<bool> {
        let file = match open_file(self.path.join(LOCK), limits::RECORD) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(false),
            opened => opened.ok()?.into_parts().0,
        };
        // A shared lock for an instant, which `take_lock` waits for.
        match file.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        }
    }

    /// True if the last writer of the run is known to be gone: it ran on this machine, and it does
    /// not hold the lock. Where locks do not tell, no process has its number now.
    pub fn writer_is_gone(&self) -> bool {
        let holder = read_text(self.path.join(LOCK), limits::RECORD).unwrap_or_default();
        let here = host();
        let (id, here) = match holder.trim().split_once(" on ") {
            Some((id, host)) => (id, host == here),
            // Older programs wrote no host; the machine that started the run is the best guess.
            None => (holder.trim(), self.provenance().is_ok_and(|made| made.host == here)),
        };
        let gone = || id.parse::<u32>().is_ok_and(disk::is_gone);
        here && self.is_locked().map_or_else(gone, |locked| !locked)
    }

    /// Appends a line to `run.log`, after the time.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append_log(&self, line: &str) -> Result<(), LogbookError> {
        let mut file = disk::open_own(&self.path.join("run.log"), fs::OpenOptions::new().create(true).append(true))?;
        let text = format!("{} {}\n", clock::utc(clock::unix_seconds()), line.replace('\n', "\n  "));
        Ok(file.write_all(text.as_bytes())?)
    }
}

/// Writes the files of a new run into `folder` and takes its lock.
fn fill(folder: &Path, config_yaml: &str, provenance: &Provenance) -> Result<Option<File>, LogbookError> {
    fs::create_dir(folder)?;
    let lock = take_lock(folder)?;
    disk::write_synced(&folder.join(CONFIG_FILE), config_yaml.as_bytes())?;
    write_json(&folder.join(SUMMARY_FILE), &RunSummary::default())?;
    write_json(&folder.join(PROVENANCE_FILE), provenance)?;
    Ok(lock)
}

/// Takes the lock of a folder; `None` on file systems without locks.
fn take_lock(folder: &Path) -> Result<Option<File>, LogbookError> {
    let path = folder.join(LOCK);
    let options = &mut fs::OpenOptions::new();
    let mut file = disk::open_own(&path, options.create(true).truncate(false).write(true))?.into_parts().0;
    let mut taken = file.try_lock();
    for _ in 0..READER_TRIES {
        if !matches!(taken, Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(READER_WAIT);
        taken = file.try_lock();
    }
    match taken {
        Ok(()) => {
            file.set_len(0)?;
            file.write_all(format!("{} on {}", std::process::id(), host()).as_bytes())?;
            Ok(Some(file))
        }
        Err(TryLockError::WouldBlock) => {
            let holder = read_text(&path, limits::RECORD).unwrap_or_default();
            Err(LogbookError::Locked { path: folder.to_owned(), holder })
        }
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(TryLockError::Error(e)) => Err(e.into()),
    }
}
