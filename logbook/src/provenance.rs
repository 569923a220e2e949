//! `provenance.json`: the origin of a run, so that it can be repeated.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::clock;

/// Layout of run folders that this program writes and reads, stored in `provenance.json`. It grows
/// when an older program could no longer read a run.
pub const FORMAT_VERSION: u64 = 1;

/// Origin of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Layout of the run folder, see [`FORMAT_VERSION`].
    pub format_version: u64,
    /// Version of the program.
    pub program_version: String,
    /// Commit of the source tree that the program was built in, at the start of the run; `None`
    /// without a tree.
    pub git_commit: Option<String>,
    /// True if that tree had uncommitted changes.
    pub git_dirty: Option<bool>,
    /// `release` or `debug`.
    pub profile: String,
    /// Name → version of the libraries that results may depend on.
    pub libraries: BTreeMap<String, String>,
    /// Operating system and architecture.
    pub platform: String,
    /// Name of the machine.
    pub host: String,
    /// Model of the processor.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Graphics card, of a run that uses one.
    pub gpu: Option<String>,
    /// libtorch threads of the run.
    pub threads: usize,
    /// Command line, word by word.
    pub command_line: Vec<String>,
    /// Setting → SHA-256 of the file that it names, at the start of the run: demonstrations, an
    /// expert's policy, a task's model.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// Of an environment in Python: interpreter, version, Gymnasium's description of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<serde_json::Value>,
    /// Start of the run, UTC.
    pub started: String,
    /// Later origins: one for each resumption with another program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ProvenanceChange>,
}

/// Origin of the steps from a resumption on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenanceChange {
    /// Environment step at which the run was resumed.
    pub step: u64,
    /// Time of the resumption, UTC.
    pub started: String,
    /// Version of the program.
    pub program_version: String,
    /// Commit, as [`Provenance::git_commit`].
    pub git_commit: Option<String>,
    /// Uncommitted changes, as [`Provenance::git_dirty`].
    pub git_dirty: Option<bool>,
    /// Libraries, as [`Provenance::libraries`].
    pub libraries: BTreeMap<String, String>,
}

impl Provenance {
    /// Collects the facts about this process. `program_version` is the caller's
    /// `env!("CARGO_PKG_VERSION")`, `source` its `env!("CARGO_MANIFEST_DIR")`, `libraries` the
    /// names and versions of what it links, `threads` the run's libtorch threads.
    pub fn collect(
        program_version: &str,
        source: impl AsRef<Path>,
        libraries: &[(&str, &str)],
        threads: usize,
        gpu: Option<String>,
    ) -> Self {
        let source = source.as_ref();
        Self {
            format_version: FORMAT_VERSION,
            program_version: program_version.to_owned(),
            git_commit: git(source, &["rev-parse", "HEAD"]),
            git_dirty: git(source, &["status", "--porcelain", "--untracked-files=no"]).map(|s| !s.is_empty()),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            libraries: libraries.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            host: host(),
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            gpu,
            threads,
            command_line: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
            inputs: BTreeMap::new(),
            python: None,
            started: clock::utc(clock::unix_seconds()),
            changes: Vec::new(),
        }
    }

    /// Compares the newest origin with `now`, that of a resumption at `step`, and appends `now` if
    /// it differs. Returns the differences in words.
    pub fn resume(&mut self, now: &Self, step: u64) -> Vec<String> {
        let now = now.as_change(step);
        let before = self.changes.last().cloned().unwrap_or_else(|| self.as_change(0));
        let program = |of: &ProvenanceChange| {
            let commit = of.git_commit.as_deref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
            let dirty = if of.git_dirty == Some(true) { " with changes" } else { "" };
            format!("liprl {}{commit}{dirty}", of.program_version)
        };
        let mut differences = Vec::new();
        let mut compare = |name: &str, before: &str, now: &str| {
            if before != now {
                differences.push(format!("{name}: was {before}, now {now}"));
            }
        };
        compare("program", &program(&before), &program(&now));
        for (name, version) in &now.libraries {
            compare(name, before.libraries.get(name).map_or("not there", String::as_str), version);
        }
        if !differences.is_empty() {
            self.changes.push(now);
        }
        differences
    }

    fn as_change(&self, step: u64) -> ProvenanceChange {
        ProvenanceChange {
            step,
            started: self.started.clone(),
            program_version: self.program_version.clone(),
            git_commit: self.git_commit.clone(),
            git_dirty: self.git_dirty,
            libraries: self.libraries.clone(),
        }
    }
}

/// Git's answer about the tree at `source`; `None` without git, or if the tree is gone or is not
/// the root of a repository.
fn git(source: &Path, arguments: &[&str]) -> Option<String> {
    if !source.join(".git").exists() {
        return None;
    }
    let output = Command::new("git")
        .arg("-C")
        .arg(source)
        .args(arguments)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .output()
        .ok()
        .filter(|o| o.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn cpu() -> String {
    let info = fs_err::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

/// Name of the machine, as far as the system tells it without the network.
pub(crate) fn host() -> String {
    fs_err::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|s| s.trim().to_owned())
        .filter(|s| !s.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
