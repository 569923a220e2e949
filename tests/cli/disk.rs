//! Runs on a full disk: a small file system in memory is filled up while they work. Where mounting
//! is not permitted, these tests print that they are skipped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::runs::{
    SMALL, assert_same_traces, newest_step, small_agent, start, summary, train, train_through, wait_for_checkpoints,
    write_config,
};
use crate::support::{finish, liprl};

/// A file system of some megabytes, unmounted after the test.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// Mounts it; `None`, with a message, if that is not permitted.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        eprintln!("skipped: mounting a file system is not permitted here");
        None
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }

    /// Fills the disk to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.ballast()).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.ballast()).expect("removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

const STEPS: &str = "7000";

/// The small config and an undisturbed run of it in another folder.
fn undisturbed(folder: &Path, seed: &str) -> (PathBuf, PathBuf) {
    let config = write_config(folder, &format!("{SMALL}{}", small_agent("sac")));
    let whole = folder.join(format!("whole-{seed}"));
    train_through(&config, &whole, &["--steps", STEPS, "--seed", seed]);
    (config, whole)
}

#[test]
fn a_run_on_a_full_disk_says_so_and_is_resumed_exactly_once_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (config, whole) = undisturbed(folder.path(), "0");
    let run = disk.folder.path().join("run");
    let mut child = start(&mut train(&config, &run, &["--steps", STEPS]));
    wait_for_checkpoints(&mut child, &run, 150);
    disk.fill();
    let output = child.wait_with_output().expect("it ends");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    let newest = newest_step(&run);
    for part in ["No space left on device", "Make room on that disk", "run/", "--resume goes on from it"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(words.contains(&format!("The last good checkpoint is that of step {newest} ")), "{words}");
    disk.empty();
    train_through(&config, &run, &["--steps", STEPS, "--resume"]);
    assert_same_traces(&whole, &run);
}

#[test]
fn a_sweep_on_a_full_disk_fails_with_the_reason_and_is_resumed() {
    let Some(disk) = Disk::mount() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (_, whole) = undisturbed(folder.path(), "1");
    let file = folder.path().join("sweep.yaml");
    std::fs::write(&file, format!("base: small.yaml\nseeds: [0, 1]\nset: {{steps: {STEPS}}}\n")).expect("written");
    let out = disk.folder.path().join("out");
    let sweep = |more: &[&str]| {
        let words = ["sweep".as_ref(), file.as_os_str(), "--out".as_ref(), out.as_os_str()];
        liprl(words.into_iter().chain(more.iter().map(|word| word.as_ref())))
    };
    let mut launcher = start(&mut sweep(&["--jobs", "2"]));
    let runs = ["small/seed-0", "small/seed-1"].map(|run| out.join(run));
    runs.iter().for_each(|run| wait_for_checkpoints(&mut launcher, run, 150));
    disk.fill();
    let output = launcher.wait_with_output().expect("it ends");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("No space left on device"), "{words}");
    // On the full disk no run is begun, and the file is named.
    let (code, _, words) = finish(sweep(&["--resume"]));
    assert!(code == 1 && words.contains("No space left on device") && words.contains("out/"), "{code}: {words}");
    disk.empty();
    let (code, _, words) = finish(sweep(&["--resume", "--retries", "5"]));
    assert_eq!(code, 0, "{words}");
    assert!(runs.iter().all(|run| summary(run)["status"] == "done"));
    assert_same_traces(&whole, &runs[1]);
}
