//! `cargo xtask lab`: a crate of `liprl new`, outside the repository, as its README says.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use fs_err as fs;

use crate::process::{cargo, clear_defaults, show};

/// Writes a crate by `liprl new` in a temporary folder and runs every command of its README.
pub(crate) fn check(root: &Path) -> Result<()> {
    show(&mut cargo(root, &["build", "--release"]))?;
    let folder = tempfile::tempdir()?;
    let mut new = Command::new(root.join("target/release/liprl"));
    show(clear_defaults(root, new.current_dir(folder.path()).args(["new", "my-lab"])))?;
    let lab = folder.path().join("my-lab");
    let readme = fs::read_to_string(lab.join("README.md"))?;
    let commands = readme.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    for command in commands.context("the README of a new crate has no commands")?.lines() {
        let mut shell = Command::new("bash");
        show(clear_defaults(root, shell.current_dir(&lab).args(["-c", command])))?;
    }
    Ok(())
}
