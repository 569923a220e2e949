//! `cargo xtask demo`: from a bare machine to a trained policy and its learning curve.

use std::path::Path;

use anyhow::{Context, Result};
use fs_err as fs;
use serde_json::Value;

use crate::process::{cargo, show};
use crate::setup;

/// What is trained, where it goes, and the picture of it; from the clone's root.
const CONFIG: &str = "configs/sac/inverted_pendulum.yaml";
const RUN: &str = "runs/demo/sac/seed-0";
const PICTURE: &str = "runs/demo/learning_curve.png";

/// Runs the demonstration. A run that was finished is shown again; one that was interrupted goes on.
pub(crate) fn run(root: &Path) -> Result<()> {
    setup::run(root, setup::Options { cuda: false, test: false, peers: false })?;
    println!("building liprl (the first time, libtorch's bindings take some minutes)");
    show(&mut cargo(root, &["build", "--release"]))?;

    let mut train = cargo(root, &["run", "--release", "--quiet", "--", "train", CONFIG, "--out", RUN]);
    if root.join(RUN).exists() {
        train.arg("--resume");
    }
    show(&mut train)?;
    show(&mut cargo(root, &["run", "--release", "--quiet", "--", "plot", RUN, "--out", PICTURE]))?;

    let summary = fs::read_to_string(root.join(RUN).join("summary.json"))?;
    let summary: Value = serde_json::from_str(&summary).context("summary.json is damaged")?;
    let (run, picture) = (root.join(RUN), root.join(PICTURE));
    println!();
    println!("return      {} (1000 is the most this task gives)", summary["final_return"]);
    println!("run folder  {}", run.display());
    println!("picture     {}", picture.display());
    println!("TensorBoard {} --logdir {}", tensorboard(root), root.join("runs/demo").display());
    Ok(())
}

/// TensorBoard as it can be started here.
fn tensorboard(root: &Path) -> String {
    let own = root.join(".deps/venv/bin/tensorboard");
    if own.exists() { own.display().to_string() } else { "pip install tensorboard && tensorboard".to_owned() }
}
