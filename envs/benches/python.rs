//! The time of a step of an environment in Python: in Python itself, through liprl's worker, and
//! through Gymnasium's vector environments of one. The four alternate. One JSON object a line, in
//! microseconds, medians over rounds; `…_overhead_us` is what is added to `env.step`.
//!
//! `cargo bench -p liprl-envs --bench python -- [--rounds N]`; LIPRL_PYTHON names the interpreter.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a benchmark that cannot go on should say so

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use liprl_envs::python::{self, PythonConfig};
use liprl_envs::{Env, Options};
use serde_json::{Value, json};

/// Blocks of steps in a round, and steps of a block.
const BLOCKS: usize = 15;
const SIZE: usize = 200;
/// Other libraries, besides the environment's own step.
const OTHERS: [&str; 2] = ["SyncVectorEnv", "AsyncVectorEnv"];

fn main() {
    let rounds = std::env::args().skip_while(|argument| argument != "--rounds").nth(1);
    let rounds: usize = rounds.map_or(5, |count| count.parse().expect("--rounds has a number"));
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/peers");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps/venv/bin/python");
    let interpreter = std::env::var_os("LIPRL_PYTHON").map_or(own, PathBuf::from);
    let config = PythonConfig {
        interpreter: Some(interpreter.clone()),
        folder: Some(scripts.clone()),
        ..PythonConfig::default()
    };
    for task in ["trivial", "hopper"] {
        let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for _ in 0..rounds {
            let mut env = make(task, &config);
            times.entry("liprl".to_owned()).or_default().push(median(blocks(&mut *env)));
            drop(env);
            for (library, time) in theirs(&interpreter, &scripts, task) {
                times.entry(library).or_default().push(time);
            }
        }
        let of = |library: &str| median(times[library].clone());
        for library in ["env.step", "liprl"].iter().chain(&OTHERS) {
            print(library, &format!("python_{task}_step_us"), of(library));
        }
        let overhead = |library: &str| of(library) - of("env.step");
        for library in ["liprl"].iter().chain(&OTHERS) {
            print(library, &format!("python_{task}_overhead_us"), overhead(library));
        }
        let share = overhead("liprl") / overhead("AsyncVectorEnv");
        eprintln!("{task}: liprl adds {:.1} µs a step, {share:.2} of what AsyncVectorEnv adds", overhead("liprl"));
    }
}

fn make(task: &str, config: &PythonConfig) -> Box<dyn Env> {
    let options = Options::from([("terminate_when_unhealthy".to_owned(), json!(false))]);
    match task {
        "hopper" => python::make("Hopper-v5", &options, config),
        _ => python::make("trivial:Trivial", &Options::new(), &PythonConfig { is_class: true, ..config.clone() }),
    }
    .unwrap()
}

/// Microseconds per step in each block.
fn blocks(env: &mut dyn Env) -> Vec<f64> {
    let (mut obs, action) = (vec![0.0; 11], [0.25; 3]);
    env.reset(Some(0), &Options::new(), &mut obs).unwrap();
    let mut block = || {
        let start = Instant::now();
        for _ in 0..SIZE {
            if env.step(&action, &mut obs).unwrap().done() {
                env.reset(Some(0), &Options::new(), &mut obs).unwrap();
            }
        }
        start.elapsed().as_secs_f64() / SIZE as f64 * 1e6
    };
    (0..BLOCKS).map(|_| block()).collect()
}

fn theirs(interpreter: &Path, scripts: &Path, task: &str) -> Vec<(String, f64)> {
    let mut command = Command::new(interpreter);
    command.arg(scripts.join("vector_env.py")).args(["--task", task]);
    command.args(["--blocks", &BLOCKS.to_string(), "--size", &SIZE.to_string()]);
    let output = command.output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| (row["library"].as_str().unwrap().to_owned(), row["median"].as_f64().unwrap())).collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn print(library: &str, what: &str, median: f64) {
    println!("{}", json!({ "library": library, "what": what, "threads": 1, "median": median }));
}
