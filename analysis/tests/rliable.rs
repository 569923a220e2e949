//! Estimates and intervals against the real `rliable` package.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint exempts only #[test] functions"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use liprl_analysis::{Bootstrap, ConfidenceInterval, Estimator, Scores};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Python that `cargo xtask setup --test` installs.
fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps/venv/bin/python");
    let python = std::env::var_os("LIPRL_PYTHON").map_or(own, PathBuf::from);
    assert!(python.exists(), "{} is missing: run `cargo xtask setup --test`", python.display());
    python
}

fn rliable(given: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle.py");
    let mut command = Command::new(python());
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs × tasks: skewed, with outliers and a few ties.
fn matrix(runs: usize, tasks: usize, shift: f64, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut score = |task: usize| {
        let u: f64 = rng.random();
        let value = shift + task as f64 * 0.3 + u * u + if u > 0.9 { 3.0 } else { 0.0 };
        (value * 20.0).round() / 20.0
    };
    (0..runs).map(|_| (0..tasks).map(&mut score).collect()).collect()
}

const RESAMPLES: usize = 1000;

#[test]
fn points_to_a_millionth_and_intervals_statistically() {
    let names = ["a", "b", "c", "d"];
    for (runs_x, runs_y, tasks) in [(5, 5, 1), (10, 7, 3)] {
        let (x, y) = (matrix(runs_x, tasks, 0.2, 1), matrix(runs_y, tasks, 0.0, 2));
        let thresholds = [0.1, 0.4, 0.8, 1.2, 3.5];
        let theirs = rliable(&json!({"x": x, "y": y, "gamma": 1.0, "thresholds": thresholds, "resamples": RESAMPLES}));
        // A second pair: one with the tasks' columns rotated by one and doubled, the other raised
        // by one.
        let turned = |row: &Vec<f64>| (0..tasks).map(|task| 2.0 * row[(task + tasks - 1) % tasks]).collect();
        let x_too: Vec<Vec<f64>> = x.iter().map(turned).collect();
        let y_too: Vec<Vec<f64>> = y.iter().map(|row| row.iter().map(|score| score + 1.0).collect()).collect();
        let second = [x_too, y_too].map(|rows| Scores::from_rows(&names[..tasks], &rows).unwrap());
        let (x, y) = (Scores::from_rows(&names[..tasks], &x).unwrap(), Scores::from_rows(&names[..tasks], &y).unwrap());
        // Ends of percentile intervals jump between the few values that resampled estimates have.
        // So theirs, from 1,000 resamples, has to lie between ours of a little more and a little
        // less coverage: 4 standard errors of a 2.5 % tail.
        let with = |coverage| Bootstrap { resamples: 20_000, coverage, ..Bootstrap::default() };
        let (wide, narrow) = (with(0.99), with(0.91));
        let agree = |name: &str, wide: ConfidenceInterval, narrow: ConfidenceInterval, theirs: &Value| {
            let [value, low, high] = [0, 1, 2].map(|i| theirs[i].as_f64().unwrap());
            assert!((wide.value - value).abs() < 1e-6, "{name}, {tasks} tasks: {wide:?}, rliable {value}");
            let within = |low: f64, x: f64, high: f64| low - 1e-9 <= x && x <= high + 1e-9;
            let ends = within(wide.low, low, narrow.low) && within(narrow.high, high, wide.high);
            assert!(ends, "{name}, {tasks} tasks: {wide:?}, {narrow:?}, rliable {theirs}");
        };
        let estimates = [
            ("mean", Estimator::Mean),
            ("median", Estimator::Median),
            ("iqm", Estimator::InterquartileMean),
            ("gap", Estimator::OptimalityGap(1.0)),
        ];
        for (name, estimate) in estimates {
            agree(name, wide.estimate(&x, estimate), narrow.estimate(&x, estimate), &theirs[name]);
        }
        let over_tasks = |bootstrap| Bootstrap { tasks: true, ..bootstrap }.estimate(&x, Estimator::InterquartileMean);
        agree("iqm over tasks", over_tasks(wide), over_tasks(narrow), &theirs["iqm_over_tasks"]);
        let improvement = |bootstrap: Bootstrap| bootstrap.improvement(&x, &y).unwrap();
        agree("improvement", improvement(wide), improvement(narrow), &theirs["improvement"]);
        let effect = |bootstrap: Bootstrap| {
            let pairs = [(&x, &y), (&second[0], &second[1])];
            bootstrap.mean_difference(&pairs, Estimator::InterquartileMean).unwrap()
        };
        agree("mean difference", effect(wide), effect(narrow), &theirs["mean_difference"]);
        let profiles = wide.profile(&x, &thresholds).into_iter().zip(narrow.profile(&x, &thresholds));
        for (index, (wide, narrow)) in profiles.enumerate() {
            agree("profile", wide, narrow, &theirs["profile"][index]);
        }
    }
}
