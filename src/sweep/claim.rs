//! Claims on runs, so that launchers do each run once: one file per claimed run, created
//! atomically.
//!
//! A claim names its machine and process and is rewritten every few seconds. On the same machine it
//! ends with its process; elsewhere it ends when it has not been rewritten for a while, by the file
//! server's clock.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use liprl_logbook::{limits, open_own, own_folder, read_file, write_atomic};
use serde::{Deserialize, Serialize};

/// A claim of another machine that has not been rewritten for this long has ended.
const STALE_AFTER: Duration = Duration::from_secs(120);

/// A process, distinguished from a later one of the same id by its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its start in the kernel's ticks; `None` if the system does not tell.
    pub began: Option<u64>,
}

impl Process {
    /// This process.
    pub fn this() -> Self {
        Self::of(std::process::id())
    }

    /// The process that has this id now.
    pub fn of(pid: u32) -> Self {
        Self { pid, began: began(pid) }
    }

    /// True if it is running; `None` if the system does not tell.
    fn alive(&self) -> Option<bool> {
        self.began.map(|began_then| began(self.pid) == Some(began_then))
    }
}

/// The start of a process on Linux; `None` if it has ended, also as a zombie.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, second and in parentheses, may hold anything.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    rest.nth(18)?.parse().ok()
}

/// The contents of a claim's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// Distinguishes machines, boots and containers of one name.
    machine: String,
    /// The launcher.
    pub launcher: Process,
    /// The process of the run, once it is started.
    pub run: Option<Process>,
    /// Number of times the claim was rewritten.
    beats: u64,
}

impl Holder {
    fn this() -> Self {
        Self { host: host(), machine: machine(), launcher: Process::this(), run: None, beats: 0 }
    }

    /// True if the claim still holds; `age` is that of the file.
    fn holds(&self, age: Duration, stale_after: Duration) -> bool {
        let here = self.machine == machine();
        let processes = [Some(&self.launcher), self.run.as_ref()].into_iter().flatten();
        let alive: Vec<bool> = processes.filter_map(Process::alive).collect();
        if here && !alive.is_empty() { alive.contains(&true) } else { age < stale_after }
    }
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    name.map_or_else(|_| "this machine".to_owned(), |name| name.trim().to_owned())
}

fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").map(|path| path.display().to_string()).unwrap_or_default();
    format!("{} {} {namespace}", host(), boot.trim())
}

/// The claims of one sweep.
#[derive(Clone, Debug)]
pub struct Claims {
    folder: PathBuf,
    stale_after: Duration,
}

/// A run claimed by this process, until this is dropped.
#[derive(Debug)]
pub struct Claim {
    claims: Claims,
    path: PathBuf,
    holder: Holder,
}

impl Claims {
    /// Opens the claims in a folder, which is created if missing. A link in its place is refused.
    pub fn open(folder: &Path) -> io::Result<Self> {
        own_folder(folder)?;
        Ok(Self { folder: folder.to_owned(), stale_after: STALE_AFTER })
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// The holder of the claim on a run, if there is one.
    pub fn holder(&self, id: &str) -> io::Result<Option<Holder>> {
        let path = self.path(id);
        let found = match read_file(&path, limits::RECORD) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => serde_json::from_slice::<Holder>(&other?),
        };
        let age = match self.age(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        // A claim that cannot be read is being written, or its writer was killed in that moment.
        let holder = found.unwrap_or_else(|_| Holder { machine: String::new(), ..Holder::this() });
        Ok(holder.holds(age, self.stale_after).then_some(holder))
    }

    /// Claims a run, unless it is claimed.
    pub fn take(&self, id: &str) -> io::Result<Option<Claim>> {
        // The lock only keeps two launchers from removing one stale claim twice. Without it (some
        // file systems have none) a fresh claim still belongs to one launcher alone.
        let _lock = self.lock()?;
        if self.holder(id)?.is_some() {
            return Ok(None);
        }
        let (path, holder) = (self.path(id), Holder::this());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
            Ok(mut file) => {
                if let Err(error) = file.write_all(&serde_json::to_vec(&holder)?) {
                    // Half a claim would block the run until it is stale.
                    let _ = fs::remove_file(&path);
                    return Err(error);
                }
                Ok(Some(Claim { claims: self.clone(), path, holder }))
            }
        }
    }

    /// Time since a file was written, by the clock of its file system. If nothing can be written
    /// there, as on a full disk or in another user's sweep, by this machine's clock.
    fn age(&self, path: &Path) -> io::Result<Duration> {
        let written = fs::metadata(path)?.modified()?;
        let probe = self.folder.join(format!(".now.{}.tmp", std::process::id()));
        let touched = open_own(&probe, fs::OpenOptions::new().create(true).truncate(true).write(true));
        let now = touched.and_then(|mut file| file.write_all(b".").and_then(|()| file.metadata()?.modified()));
        // Another process of this id may have removed the probe.
        let _ = fs::remove_file(&probe);
        Ok(now.unwrap_or_else(|_| SystemTime::now()).duration_since(written).unwrap_or_default())
    }

    fn lock(&self) -> io::Result<Option<File>> {
        let options = &mut fs::OpenOptions::new();
        let options = options.create(true).truncate(false).write(true);
        let file = open_own(&self.folder.join(".lock"), options)?.into_parts().0;
        match file.lock() {
            Ok(()) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Claim {
    /// Renews the claim and records the run's process. Returns false if the claim was lost: this
    /// process may have slept so long that another launcher took the run.
    ///
    /// # Errors
    /// If it cannot be written; the claim may still be ours.
    pub fn renew(&mut self, run: Option<&Process>) -> io::Result<bool> {
        let _lock = self.claims.lock()?;
        if !self.is_ours() {
            return Ok(false);
        }
        self.holder.run = run.cloned();
        self.holder.beats += 1;
        write_atomic(&self.path, &serde_json::to_vec(&self.holder)?)?;
        Ok(true)
    }

    fn is_ours(&self) -> bool {
        let there =
            read_file(&self.path, limits::RECORD).ok().and_then(|bytes| serde_json::from_slice::<Holder>(&bytes).ok());
        there.is_some_and(|there| there.machine == self.holder.machine && there.launcher == self.holder.launcher)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A claim that cannot be removed ends with this process anyway.
        if self.is_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
