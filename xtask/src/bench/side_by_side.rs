//! `cargo xtask bench --side-by-side`: the speed of two runs of a sweep together, against one
//! alone.

use std::path::Path;

use anyhow::{Context, Result};
use fs_err as fs;

use super::table::{Sample, median};
use crate::process::{cargo, show};

const FOLDER: &str = "target/bench-side-by-side";
/// One thread each, SAC on a cheap task, an update at every step after learning starts.
const SWEEP: &str = "base: ../../configs/sac/pendulum.yaml\n\
    set: {threads: 1, steps: 4000, agent.learning_starts: 500, log.every: 250, eval.every: 4000, checkpoint.every: 4000}\n";

/// Runs sweeps of one and of two runs alternately and prints their steps per second and the ratio.
pub(crate) fn run(root: &Path) -> Result<()> {
    let folder = root.join(FOLDER);
    let mut ratios = Vec::new();
    for round in 1..=super::ROUNDS {
        let alone = rate(root, &folder, 1)?;
        let together = rate(root, &folder, 2)?;
        ratios.push(together / alone);
        println!(
            "round {round}: one run {alone:.1} steps/s; two runs {together:.1} together; ratio {:.2}",
            together / alone
        );
    }
    println!(
        "two runs side by side do {:.2} times the work of one (median of {})",
        median(ratios).unwrap_or(f64::NAN),
        super::ROUNDS
    );
    Ok(())
}

/// Environment steps per second of so many runs side by side, summed, after learning starts.
fn rate(root: &Path, folder: &Path, runs: u64) -> Result<f64> {
    crate::cache::remove(folder)?;
    fs::create_dir_all(folder)?;
    let seeds: Vec<String> = (0..runs).map(|seed| seed.to_string()).collect();
    let sweep = folder.join("sweep.yaml");
    fs::write(&sweep, format!("{SWEEP}seeds: [{}]\n", seeds.join(", ")))?;
    let out = folder.join("out");
    let mut command = cargo(root, &["run", "--release", "--quiet", "--", "sweep"]);
    show(command.arg(&sweep).arg("--out").arg(&out).args(["--jobs", &runs.to_string()]))?;
    let of_run = |seed: &String| -> Result<f64> {
        let metrics = fs::read_to_string(out.join("pendulum").join(format!("seed-{seed}")).join("metrics.jsonl"))?;
        Ok(Sample::of_run(&metrics, 1).context("a run logged no speed")?.rate())
    };
    seeds.iter().map(of_run).sum()
}
