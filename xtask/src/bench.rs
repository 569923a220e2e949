//! `cargo xtask bench`: liprl and other libraries on the same work, alternately, written to
//! docs/results/benchmarks.md.

mod machine;
pub(crate) mod side_by_side;
mod table;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use fs_err as fs;

use crate::process::{cargo, show, show_and_keep, words};
use crate::setup;
use table::Sample;

/// The page that is written.
const PAGE: &str = "docs/results/benchmarks.md";

/// liprl's program that prints one [`Sample`] per line, and the scripts that do so for others, for
/// the same work.
const OURS: &[&str] = &["bench", "--package", "liprl-agents", "--bench", "sac"];
const THEIRS: &[&str] = &["benches/peers/sac.py", "benches/peers/mbpo.py"];

/// The authors' code of off-policy GAIL on the work of [`IMITATION`], where its folder is given.
const AUTHORS: &str = "benches/peers/liayn.py";

/// Off-policy GAIL with the environment, complete and without one part at a time.
const IMITATION: &[&str] = &["bench", "--package", "liprl-agents", "--bench", "gail"];

/// Arguments for the time that the critic's regularisers add to an update.
const REGULARISERS: &[&str] = &["--", "--regularisers", "1", "--updates", "100", "--repeats", "3"];

/// The parts of model-based policy optimisation, one network against seven and SAC inside against
/// SAC alone.
const MODEL_BASED: &[&str] = &["bench", "--package", "liprl-agents", "--bench", "mbpo"];

/// Steps of an environment in Python, against Gymnasium's vector environments of one.
const PYTHON_ENVS: &[&str] = &["bench", "--package", "liprl-envs", "--bench", "python"];

/// The whole program on the same work; its speed is read from the metrics it logs.
const END_TO_END: &[&str] = &["run", "--release", "--quiet", "--", "train", "configs/sac/half_cheetah.yaml"];
const END_TO_END_RUN: &str = "target/bench-run";

/// Criterion benches.
const PARTS: &[&[&str]] = &[
    &["bench", "--package", "liprl-agents", "--bench", "replay"],
    &["bench", "--package", "liprl-envs", "--bench", "stepping"],
];

/// Rounds of a race; the sides alternate, because a machine's speed drifts by the hour.
const ROUNDS: usize = 3;

/// Runs everything and writes the page. `liayn` is a clone of the authors' code of arXiv 2006.16785,
/// which nothing downloads; without one its row is left out.
pub(crate) fn run(root: &Path, liayn: Option<&str>) -> Result<()> {
    if let Some(clone) = liayn
        && !Path::new(clone).join("agents/sam_agent.py").is_file()
    {
        bail!("{clone} is not a clone of https://github.com/lionelblonde/liayn-pytorch");
    }
    setup::run(root, setup::Options { cuda: false, test: liayn.is_some(), peers: true })?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut samples = Vec::new();
    for round in 1..=ROUNDS {
        for threads in [1, 2].into_iter().filter(|threads| *threads <= cores) {
            println!("\nround {round} of {ROUNDS}, threads: {threads}");
            let count = threads.to_string();
            samples.extend(measure(cargo(root, OURS).args(["--", "--threads", &count]))?);
            samples.push(end_to_end(root, threads)?);
            samples.extend(measure(cargo(root, IMITATION).args(["--", "--threads", &count, "--repeats", "3"]))?);
            samples.extend(measure(cargo(root, MODEL_BASED).args(["--", "--threads", &count, "--repeats", "3"]))?);
            samples.extend(measure(cargo(root, OURS).args(REGULARISERS).args(["--threads", &count]))?);
            // SBX takes every core it may run on, so the number of threads is set by pinning.
            for script in THEIRS {
                let mut theirs = Command::new("taskset");
                theirs.args(["--cpu-list", &format!("0-{}", threads - 1)]).current_dir(root);
                theirs.arg(root.join(".deps/venv-peers/bin/python")).args([script, "--threads", &count]);
                samples.extend(measure(&mut theirs)?);
            }
            if let Some(clone) = liayn {
                let mut theirs = Command::new(root.join(".deps/venv/bin/python"));
                theirs.args([AUTHORS, clone, "--threads", &count]).current_dir(root);
                samples.extend(measure(&mut theirs)?);
            }
        }
    }
    let mut python = cargo(root, PYTHON_ENVS);
    samples.extend(measure(python.env("LIPRL_PYTHON", root.join(".deps/venv-peers/bin/python")))?);
    let criterion = root.join("target/criterion-page");
    crate::cache::remove(&criterion)?;
    for part in PARTS {
        let mut bench = cargo(root, part);
        let (good, _) = show_and_keep(bench.env("CRITERION_HOME", &criterion))?;
        if !good {
            bail!("{} failed", words(&bench));
        }
    }
    let page = format!(
        "# Benchmarks\n\nMade by `cargo xtask bench`: {}.\n\n## Against other libraries\n\nThe median of {ROUNDS} \
         alternating rounds. Each library runs in its own process,\nthe others pinned to as many cores as threads. \
         Rates are per second; `…_us` are microseconds,\n`…_hours_…` hours. `time_over_plain` is an update's time over \
         that of plain SAC.\n\n{}\n## Parts\n\n{}",
        machine::describe(root),
        table::races(&samples),
        table::criterion(&criterion)?
    );
    let file = root.join(PAGE);
    fs::create_dir_all(root.join("docs/results"))?;
    fs::write(&file, page)?;
    println!("\n{}", file.display());
    Ok(())
}

/// The samples among the lines a program prints.
fn measure(command: &mut Command) -> Result<Vec<Sample>> {
    let (good, lines) = show_and_keep(command)?;
    let samples: Vec<Sample> = lines.iter().filter_map(|line| Sample::parse(line)).collect();
    if !good || samples.is_empty() {
        bail!("{} measured nothing", words(command));
    }
    Ok(samples)
}

/// Environment steps per second of `liprl train` with one update a step, once it learns.
fn end_to_end(root: &Path, threads: usize) -> Result<Sample> {
    let run = root.join(END_TO_END_RUN);
    crate::cache::remove(&run)?;
    let mut train = cargo(root, END_TO_END);
    train.args(["--steps", "3000", "--quiet", "--threads", &threads.to_string(), "--out", END_TO_END_RUN]);
    show(train.args(["--set", "agent.learning_starts=1000", "--set", "log.every=500", "--set", "eval.every=3000"]))?;
    let metrics = fs::read_to_string(run.join("metrics.jsonl"))?;
    Sample::of_run(&metrics, threads as u64).with_context(|| format!("{} logged no speed", words(&train)))
}
