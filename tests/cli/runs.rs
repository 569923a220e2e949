//! Small runs for tests, and comparisons of the files they leave.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use liprl_logbook::{Checkpoints, RunFolder};
use liprl_numerics::{StreamRng, Streams};
use rand::RngExt;
use serde_json::Value;

use crate::support::{finish, liprl, root};

/// A run of a second or two: small networks, a replay that wraps around, logs and checkpoints at
/// odd intervals.
pub(crate) const SMALL: &str = "
env: Pendulum-v1
steps: 2400
eval: {every: 400, episodes: 2}
checkpoint: {every: 150}
log: {every: 70}
";

/// Settings of the small run's agent.
pub(crate) fn small_agent(kind: &str) -> String {
    let noise = match kind {
        "td3" => "  action_noise: {kind: ornstein_uhlenbeck}\n  parameter_noise: {}\n",
        _ => "",
    };
    format!(
        "agent:
  kind: {kind}
  learning_starts: 200
  batch_size: 32
  buffer_size: 1000
  n_step: 3
  actor: &net {{hidden: [32, 32]}}
  critic: *net
  normalise_observations: {{}}
  priorities: {{}}
{noise}"
    )
}

/// A small imitation of the shipped pendulum, with many features switched on.
pub(crate) const SMALL_IMITATION: &str = "
env: InvertedDoublePendulum-v5
steps: 2400
eval: {every: 400, episodes: 2}
checkpoint: {every: 150}
log: {every: 70}
agent:
  kind: gail
  demonstrations: demos/inverted_double_pendulum.hdf5
  policy:
    kind: td3
    n_step: 3
    batch_size: 16
    buffer_size: 1000
    learning_starts: 100
    update_every: 4
    actor: &net {hidden: [16, 16]}
    critic: *net
    action_noise: {kind: ornstein_uhlenbeck}
    parameter_noise: {}
    normalise_observations: {}
    normalise_returns: {pop_art: true}
    priorities: {}
  discriminator: {hidden: [16, 16], batch_size: 16, steps: 2, standardise: true, expert_labels: {uniform: {low: 0.7, high: 1.2}}}
  shaping: {kind: purple, target: 1}
  warm_start: {updates: 50}
";

/// Small networks in a small model of the cart-pole, with rollouts that grow longer. Most of its
/// time goes into fits.
pub(crate) const SMALL_MODEL_BASED: &str = "
env: CartPoleContinuous-v0
steps: 2400
eval: {every: 400, episodes: 2}
checkpoint: {every: 150}
log: {every: 70}
agent:
  kind: mbpo
  policy:
    learning_starts: 200
    updates: 2
    batch_size: 32
    buffer_size: 1000
    actor: &net {hidden: [16, 16]}
    critic: *net
    normalise_observations: {}
  model: {hidden: [16, 16], members: 2, elites: 2, batch_size: 16, max_epochs: 5}
  refit_every: 100
  epoch_steps: 200
  rollouts: 200
  rollout_length: {first_epoch: 2, last_epoch: 6, from: 1, to: 3}
";

/// A config file in a folder.
pub(crate) fn write_config(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("small.yaml");
    std::fs::write(&path, text).expect("the config is written");
    path
}

/// `liprl train` of a config into a folder.
pub(crate) fn train(config: &Path, out: &Path, more: &[&str]) -> Command {
    let paths = [config.as_os_str(), "--out".as_ref(), out.as_os_str()];
    liprl(["train".as_ref()].into_iter().chain(paths).chain(more.iter().map(|arg| arg.as_ref())))
}

/// Trains to the end, which must succeed; returns standard error.
pub(crate) fn train_through(config: &Path, out: &Path, more: &[&str]) -> String {
    let (code, _, stderr) = finish(train(config, out, more));
    assert_eq!(code, 0, "{stderr}");
    stderr
}

/// Trains a config for so many steps in `folder`; returns the run folder.
pub(crate) fn small_run(folder: &Path, config: &str, steps: &str) -> PathBuf {
    let config = write_config(folder, config);
    let run = folder.join("runs/small/seed-0");
    train_through(&config, &run, &["--steps", steps, "--quiet"]);
    run
}

/// Starts a command in the background.
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Waits for the end of a process; returns its exit code and standard error.
pub(crate) fn words_of(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

/// Trains to the end through processes that are killed. Returns how many were, and how many resumed
/// from a checkpoint. Each process is left to commit zero to five checkpoints (of the run's 16) and
/// then some milliseconds more.
pub(crate) fn train_with_kills(config: &Path, run: &Path, moments: &mut StreamRng) -> (u32, u32) {
    let (mut killed, mut resumed_midway) = (0, 0);
    loop {
        let mut child = start(&mut train(config, run, &["--resume"]));
        let last_step = newest_step(run) + 150 * moments.random_range(0..6);
        while child.try_wait().expect("the child can be asked").is_none() && newest_step(run) < last_step {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_secs_f64(moments.random_range(0.0..0.03)));
        // SIGKILL; an error only says that it has ended already.
        let _ = child.kill();
        let status = child.wait().expect("the child ends");
        let mut words = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut words).expect("UTF-8");
        resumed_midway += u32::from(words.contains("resumed at step"));
        if status.success() {
            return (killed, resumed_midway);
        }
        assert_eq!(status.code(), None, "killed, not failed: {words}");
        killed += 1;
    }
}

/// Waits until a condition holds, however slow the machine is. The deadline only ends a test that
/// hangs.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(3600);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a run that `child` works on has committed a checkpoint of this step or a later one.
pub(crate) fn wait_for_checkpoints(child: &mut Child, run: &Path, least_step: u64) {
    wait_until("a checkpoint", || {
        let reached = newest_step(run) >= least_step;
        let ended = child.try_wait().expect("the child can be asked");
        assert!(reached || ended.is_none(), "{ended:?} before step {least_step} in {}", run.display());
        reached
    });
}

/// Random numbers for moments of a test, from a seed that is printed and that LIPRL_TEST_SEED sets.
pub(crate) fn random_moments() -> StreamRng {
    let given = std::env::var("LIPRL_TEST_SEED").ok().map(|text| text.parse().expect("LIPRL_TEST_SEED is a number"));
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0) >> 32);
    eprintln!("moments of LIPRL_TEST_SEED={seed}");
    Streams::new(seed).rng("moments")
}

/// Kills the process that has locked a run's folder.
pub(crate) fn kill_holder(run: &Path) {
    let holder = std::fs::read_to_string(run.join(".lock")).expect("the lock names its holder");
    let pid = holder.split_whitespace().next().expect("a process");
    assert!(Command::new("kill").args(["-9", pid]).status().expect("kill runs").success());
}

/// The step of the newest checkpoint, 0 without one.
pub(crate) fn newest_step(run: &Path) -> u64 {
    let entries = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let steps = entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("step_")?.parse().ok());
    steps.max().unwrap_or(0)
}

/// Sends a signal by name.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status();
    assert!(status.expect("a shell").success());
}

/// `summary.json`.
pub(crate) fn summary(run: &Path) -> Value {
    let text = std::fs::read_to_string(run.join("summary.json")).expect("summary.json");
    serde_json::from_str(&text).expect("JSON")
}

/// All results of a run that must not depend on interruptions: the newest checkpoint's parts
/// (weights, optimiser, replay, environment, counters), the metrics and TensorBoard's numbers.
/// Clock readings are left out.
pub(crate) fn traces(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut traces = BTreeMap::new();
    let folder = RunFolder::open(run).expect("a run folder");
    let newest = Checkpoints::open(&folder).latest_valid().expect("checkpoints").expect("a checkpoint").checkpoint;
    for name in newest.names() {
        let mut bytes = newest.get(name).expect("a part");
        if name == "session.json" {
            let mut session: Value = serde_json::from_slice(&bytes).expect("JSON");
            let session = session.as_object_mut().expect("an object");
            assert!(session.remove("wall_s").is_some() && session.remove("log").is_some());
            // Given, not a result.
            assert!(session.remove("config").is_some());
            if let Some(Value::Array(entries)) = session["counters"].pointer_mut("/metrics/entries") {
                entries.retain(|entry| !entry["name"].as_str().expect("a name").starts_with("perf/"));
            }
            bytes = serde_json::to_vec(session).expect("JSON");
        }
        traces.insert(format!("checkpoint/{name}"), bytes);
    }
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics.jsonl");
    for (number, line) in metrics.lines().enumerate() {
        let mut event: serde_json::Map<String, Value> = serde_json::from_str(line).expect("a whole line");
        event.retain(|name, _| name != "wall_s" && !name.starts_with("perf/"));
        traces.insert(format!("metrics/{number:05}"), serde_json::to_vec(&event).expect("JSON"));
    }
    traces.insert("tensorboard".to_owned(), tensorboard(run));
    traces
}

/// LIPRL_PYTHON, or the Python of `cargo xtask setup --test`.
pub(crate) fn python() -> PathBuf {
    let python = std::env::var_os("LIPRL_PYTHON").map_or_else(|| root().join(".deps/venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "{} is missing: run `cargo xtask setup --test`", python.display());
    python
}

/// Policies that other libraries write (foreign.py), in a folder of this name in target/tmp.
pub(crate) fn foreign_files(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // It may be left from an earlier run.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut command = Command::new(python());
    command.arg(root().join("tests/cli/foreign.py")).arg(&folder);
    let (code, _, stderr) = finish(command);
    assert_eq!(code, 0, "{stderr}");
    folder
}

/// Scalars and histograms as TensorBoard itself reads them.
fn tensorboard(run: &Path) -> Vec<u8> {
    let script = root().join("tests/cli/read_events.py");
    let output = Command::new(python()).arg(script).arg(run).output().expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.len() > 1000, "TensorBoard found almost nothing in {}", run.display());
    output.stdout
}

/// The names of the traces in which two runs differ.
pub(crate) fn differences(one: &Path, other: &Path) -> Vec<String> {
    let (one, other) = (traces(one), traces(other));
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    names.filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

/// Asserts that two runs have the same traces.
pub(crate) fn assert_same_traces(one: &Path, other: &Path) {
    assert_eq!(differences(one, other), Vec::<String>::new());
}
