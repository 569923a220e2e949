//! A sweep to try things on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::runs::{SMALL, small_agent, write_config};
use crate::support::{finish, liprl};

/// A folder with a small base config and a sweep over it, `experiment: try`.
pub(crate) struct SweepFixture {
    pub(crate) folder: tempfile::TempDir,
}

impl SweepFixture {
    /// Writes the base and a sweep file with these keys besides `base` and `experiment`.
    pub(crate) fn new(sweep: &str) -> Self {
        let fixture = Self { folder: tempfile::tempdir().expect("a folder") };
        write_config(fixture.folder.path(), &format!("{SMALL}{}", small_agent("sac")));
        fixture.write(sweep);
        fixture
    }

    /// Replaces the sweep file.
    pub(crate) fn write(&self, sweep: &str) {
        std::fs::write(self.file(), format!("base: small.yaml\nexperiment: try\n{sweep}")).expect("written");
    }

    pub(crate) fn base(&self) -> PathBuf {
        self.folder.path().join("small.yaml")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("sweep.yaml")
    }

    /// The sweep's folder.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// A path in the sweep's folder.
    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.out().join(name)
    }

    /// `liprl sweep` of the file.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let (file, out) = (self.file(), self.out());
        let args = ["sweep".as_ref(), file.as_os_str(), "--out".as_ref(), out.as_os_str()];
        liprl(args.into_iter().chain(more.iter().map(|arg| arg.as_ref())))
    }

    /// Launches, expects an exit code and returns standard error.
    pub(crate) fn launch(&self, more: &[&str], code: i32) -> String {
        let (found, _, stderr) = finish(self.command(more));
        assert_eq!(found, code, "{stderr}");
        stderr
    }

    /// Variant and seed → id, as the dry run lists them.
    pub(crate) fn plan(&self) -> BTreeMap<(String, String), String> {
        let (code, stdout, stderr) = finish(self.command(&["--dry-run"]));
        assert_eq!(code, 0, "{stderr}");
        listed(&stdout)
    }

    /// The names of the variants, in order.
    pub(crate) fn variants(&self) -> Vec<String> {
        let mut names: Vec<String> = self.plan().into_keys().map(|(variant, _)| variant).collect();
        names.dedup();
        names
    }

    /// Exit code and standard output of `liprl sweep status`.
    pub(crate) fn status(&self) -> (i32, String) {
        let (code, stdout, stderr) = finish(liprl(["sweep".as_ref(), "status".as_ref(), self.out().as_os_str()]));
        assert_eq!(stderr, "");
        (code, stdout)
    }
}

/// The rows of a dry run: variant and seed → id.
pub(crate) fn listed(dry_run: &str) -> BTreeMap<(String, String), String> {
    let rows = dry_run.lines().skip(1).take_while(|line| !line.is_empty());
    let words = rows.map(|row| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words.map(|words| ((words[0].clone(), words[1].clone()), words[3].clone())).collect()
}
