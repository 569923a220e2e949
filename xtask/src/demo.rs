//! `cargo xtask demo`: from a bare machine to a policy that imitates an expert, beside one without
//! the gradient penalty and one with a constant reward, which would do if survival were enough.

use std::path::Path;

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde_json::Value;

use crate::process::{cargo, show, words};
use crate::setup;

/// The config, relative to the clone's root.
const CONFIG: &str = "configs/liayn/half_cheetah_fast.yaml";
/// Metadata of the demonstrations, with the expert's return.
const EXPERT: &str = "demos/half_cheetah-v0/data/metadata.json";
/// Overrides of every run.
const SHORT: [&str; 3] = ["steps=25000", "eval.every=2500", "eval.episodes=5"];
/// The runs, side by side: folder and overrides of its own.
const RUNS: [(&str, &[&str]); 3] = [
    ("runs/demo/with_penalty/seed-0", &[]),
    (
        "runs/demo/without_penalty/seed-0",
        &["agent.discriminator.gradient_penalty.scale=0", "agent.discriminator.spectral_norm=false"],
    ),
    ("runs/demo/constant_reward/seed-0", &["agent.reward={kind: constant, value: 1}"]),
];
/// Gradient norm of the learned reward at replayed transitions.
const REWARD_GRADIENT: &str = "lipschitz/reward_gradient/replay/mean";
/// Gradient norm of the discriminator at replayed transitions.
const DISCRIMINATOR_GRADIENT: &str = "lipschitz/discriminator_gradient/replay/mean";
const RETURNS_PICTURE: &str = "runs/demo/return.png";
const GRADIENT_PICTURE: &str = "runs/demo/reward_gradient.png";

/// Runs the demonstration. Finished runs are shown again; interrupted ones are resumed.
pub(crate) fn run(root: &Path) -> Result<()> {
    setup::run(root, setup::Options { cuda: false, test: false, peers: false })?;
    println!("building liprl (the first time, libtorch's bindings take some minutes)");
    show(&mut cargo(root, &["build", "--release"]))?;
    println!(
        "imitating an expert on HalfCheetah-v5: with the gradient penalty (shown), without, and a constant reward"
    );
    let mut trainings = RUNS.map(|(out, sets)| {
        let mut train = cargo(root, &["run", "--release", "--quiet", "--", "train", CONFIG, "--out", out]);
        train.args(SHORT.iter().chain(sets).flat_map(|set| ["--set", set]));
        if root.join(out).exists() {
            train.arg("--resume");
        }
        train
    });
    let [shown, beside @ ..] = &mut trainings;
    let mut others = Vec::new();
    for train in beside {
        let child = train.arg("--quiet").spawn().with_context(|| format!("could not start {}", words(train)))?;
        others.push((words(train), child));
    }
    let outcome = show(shown);
    for (command, mut child) in others {
        let status = child.wait()?;
        if !status.success() {
            bail!("{command} failed ({status})");
        }
    }
    outcome?;

    let expert = fs::read_to_string(root.join(EXPERT))?;
    let expert: Value = serde_json::from_str(&expert).context("the demonstrations' metadata are damaged")?;
    let expert = expert["return_mean"].as_f64().context("the demonstrations' metadata have no `return_mean`")?;
    let line = format!("expert={expert:.1}");
    let plot =
        |more: &[&str]| show(cargo(root, &["run", "--release", "--quiet", "--", "plot", "runs/demo"]).args(more));
    plot(&["--out", RETURNS_PICTURE, "--line", &line])?;
    plot(&["--out", GRADIENT_PICTURE, "--metric", REWARD_GRADIENT])?;

    println!("\n{:18}{:>10}{:>14}{:>14}", "", "return", "mean ‖∇r‖", "mean ‖∇D‖");
    println!("{:18}{expert:>10.1}", "expert");
    for (out, _) in RUNS {
        let metrics = fs::read_to_string(root.join(out).join("metrics.jsonl"))?;
        let last = |metric: &str, digits: usize| {
            last_value(&metrics, metric).map_or("–".to_owned(), |value| format!("{value:.digits$}"))
        };
        let name =
            Path::new(out).iter().nth(2).map(|name| name.to_string_lossy().replace('_', " ")).unwrap_or_default();
        let (total, reward) = (last("eval/return_mean", 1), last(REWARD_GRADIENT, 3));
        println!("{name:18}{total:>10}{reward:>14}{:>14}", last(DISCRIMINATOR_GRADIENT, 3));
    }
    println!();
    println!("run folders {}", root.join("runs/demo").display());
    println!(
        "pictures    {}\n            {}",
        root.join(RETURNS_PICTURE).display(),
        root.join(GRADIENT_PICTURE).display()
    );
    println!("TensorBoard {} --logdir {}", tensorboard(root), root.join("runs/demo").display());
    Ok(())
}

/// The last value of a metric in `metrics.jsonl`.
fn last_value(metrics: &str, metric: &str) -> Option<f64> {
    let events = metrics.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.into_iter().find_map(|event| event.get(metric)?.as_f64())
}

/// The command of TensorBoard on this machine.
fn tensorboard(root: &Path) -> String {
    let own = root.join(".deps/venv/bin/tensorboard");
    if own.exists() { own.display().to_string() } else { "pip install tensorboard && tensorboard".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_is_that_of_the_last_line_that_has_one() {
        let metrics = "{\"step\":1,\"a\":0.5}\n{\"step\":2,\"a\":1.5,\"b\":3}\n{\"step\":3,\"b\":null}\n{\"step\":4";
        assert_eq!(last_value(metrics, "a"), Some(1.5));
        assert_eq!(last_value(metrics, "b"), Some(3.0));
        assert_eq!(last_value(metrics, "c"), None);
    }
}
