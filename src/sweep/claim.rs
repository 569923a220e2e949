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
use liprl_logbook::write_atomic;
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
    /// Opens the claims in a folder, which is created if missing.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), stale_after: STALE_AFTER })
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// The holder of the claim on a run, if there is one.
    pub fn holder(&self, id: &str) -> io::Result<Option<Holder>> {
        let path = self.path(id);
        let found = match fs::read(&path) {
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
        let probe = self.folder.join(format!(".now.{}", std::process::id()));
        let now = fs::write(&probe, b".").and_then(|()| fs::metadata(&probe)?.modified());
        // Another process of this id may have removed the probe.
        let _ = fs::remove_file(&probe);
        Ok(now.unwrap_or_else(|_| SystemTime::now()).duration_since(written).unwrap_or_default())
    }

    fn lock(&self) -> io::Result<Option<File>> {
        let path = self.folder.join(".lock");
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?.into_parts().0;
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
        let there = fs::read(&self.path).ok().and_then(|bytes| serde_json::from_slice::<Holder>(&bytes).ok());
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
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn claims(folder: &Path) -> Claims {
        Claims::open(folder).unwrap()
    }

    #[test]
    fn a_run_is_claimed_once_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let claims = claims(folder.path());
        let mut claim = claims.take("a").unwrap().unwrap();
        assert!(claims.take("a").unwrap().is_none());
        assert_eq!(claims.holder("a").unwrap().unwrap().launcher, Process::this());
        assert!(claim.renew(Some(&Process::this())).unwrap());
        assert!(claims.take("b").unwrap().is_some());
        drop(claim);
        assert!(claims.holder("a").unwrap().is_none());
        assert!(claims.take("a").unwrap().is_some());
    }

    #[test]
    fn a_claim_can_be_looked_at_where_nothing_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let claims = claims(folder.path());
        let claim = claims.take("a").unwrap().unwrap();
        // Rights do not stop root, a folder of that name does.
        fs::create_dir(folder.path().join(format!(".now.{}", std::process::id()))).unwrap();
        assert_eq!(claims.holder("a").unwrap().unwrap().launcher, Process::this());
        drop(claim);
        assert!(claims.holder("a").unwrap().is_none());
    }

    #[test]
    fn many_at_once_get_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let claims = claims(folder.path());
        for round in 0..50 {
            let id = round.to_string();
            // A claim of a process that is gone has to be cleared away first, in half of the
            // rounds.
            if round % 2 == 0 {
                let gone = Holder { launcher: Process { pid: std::process::id(), began: Some(1) }, ..Holder::this() };
                fs::write(claims.path(&id), serde_json::to_vec(&gone).unwrap()).unwrap();
            }
            let taken = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        if let Some(claim) = claims.take(&id).unwrap() {
                            taken.fetch_add(1, Ordering::Relaxed);
                            std::mem::forget(claim);
                        }
                    });
                }
            });
            assert_eq!(taken.into_inner(), 1, "round {round}");
        }
    }

    #[test]
    fn a_claim_ends_with_its_process_here_and_with_its_heartbeat_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let mut claims = claims(folder.path());
        let write = |claims: &Claims, holder: &Holder| {
            fs::write(claims.path("a"), serde_json::to_vec(holder).unwrap()).unwrap();
        };
        let dead = Process { pid: std::process::id(), began: Some(1) };
        let here = Holder { launcher: dead.clone(), ..Holder::this() };
        write(&claims, &here);
        assert!(claims.holder("a").unwrap().is_none(), "its process is gone");
        write(&claims, &Holder { run: Some(Process::this()), ..here });
        assert!(claims.holder("a").unwrap().is_some(), "the launcher is gone, its run is not");
        write(&claims, &Holder { machine: "elsewhere".to_owned(), launcher: dead, ..Holder::this() });
        assert!(claims.holder("a").unwrap().is_some(), "nothing is known of processes elsewhere");
        claims.stale_after = Duration::ZERO;
        assert!(claims.holder("a").unwrap().is_none(), "its heartbeat is old");
    }

    #[test]
    fn a_lost_claim_is_neither_renewed_nor_removed() {
        let folder = tempfile::tempdir().unwrap();
        let claims = claims(folder.path());
        let mut claim = claims.take("a").unwrap().unwrap();
        let other = Holder { machine: "elsewhere".to_owned(), ..Holder::this() };
        fs::write(claims.path("a"), serde_json::to_vec(&other).unwrap()).unwrap();
        assert!(!claim.renew(None).unwrap());
        drop(claim);
        assert!(claims.path("a").exists());
    }

    #[test]
    fn a_claim_cut_short_holds_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let mut claims = claims(folder.path());
        fs::write(claims.path("a"), b"").unwrap();
        assert!(claims.take("a").unwrap().is_none());
        claims.stale_after = Duration::ZERO;
        assert!(claims.take("a").unwrap().is_some());
    }
}
