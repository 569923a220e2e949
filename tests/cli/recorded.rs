//! Feedback policies from demonstrations of a task that is not there: `env: demonstrations`.

use std::path::PathBuf;

use liprl_agents::demos::{DemoMeta, Demonstrations, Episode};
use liprl_envs::{BoxSpace, EnvSpec, Options, Step};
use serde_json::Value;

use crate::support::{run_in, temporary, text};

const CONFIG: &str = "
env: demonstrations
steps: 1500
eval: {every: 500, certificate: {time_limit: 0}}
checkpoint: {every: 500}
agent:
  kind: feedback
  demonstrations: hand.hdf5
  network: {hidden: [16], lr: 1e-2}
  constraint: {kind: by_construction, alpha: 2}
";

/// u = −(x₀ + x₁)/2 of −1 to 1 in units of 3: an action of 3 is the output 1.
fn demonstrations(space: Option<BoxSpace>) -> Demonstrations {
    let mut episodes = Vec::new();
    for number in 0..6 {
        let obs = |step: u32| [f64::from(step) / 20.0 - 0.5, f64::from(number) / 5.0 - 0.5];
        let mut episode = Episode::begin(None, &obs(0), &[]);
        for step in 0..20 {
            let action = [-1.5 * (obs(step)[0] + obs(step)[1])];
            let result = Step { reward: 1.0, terminated: false, truncated: step == 19 };
            episode.push(&action, &result, &obs(step + 1), &[]);
        }
        episodes.push(episode);
    }
    let env = EnvSpec {
        id: "AdroitHandPen-v1".to_owned(),
        max_episode_steps: Some(20),
        options: Options::new(),
        python: None,
    };
    let meta = DemoMeta { env: Some(env), action_space: space, ..DemoMeta::default() };
    Demonstrations { meta, episodes, ..Demonstrations::default() }
}

fn project(space: Option<BoxSpace>) -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = temporary();
    demonstrations(space).write(path.join("hand.hdf5")).expect("written");
    std::fs::write(path.join("config.yaml"), CONFIG).expect("written");
    (folder, path)
}

#[test]
fn a_policy_is_learned_certified_and_exported_without_its_task() {
    let (_folder, path) = project(Some(BoxSpace::uniform(1, -3.0, 3.0)));
    let (code, _, stderr) = run_in(&path, &["train", "config.yaml", "--out", "run"]);
    assert!(code == 0 && stderr.contains("at the demonstrations, no evaluation without an environment"), "{stderr}");
    let metrics = std::fs::read_to_string(path.join("run/metrics.jsonl")).expect("metrics");
    let value = |name: &str| {
        let mut values = metrics.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?[name].as_f64());
        values.next_back()
    };
    // The law's constant, 1.5 √2, is a little above α: its error is small, but not 0.
    let error = value("lipschitz/demonstration_mse").expect("an error");
    assert!(error < 1e-2, "{error}");
    assert!(value("lipschitz/certificate/product").is_some() && value("eval/return_mean").is_none(), "{metrics}");
    let summary = std::fs::read_to_string(path.join("run/summary.json")).expect("a summary");
    assert!(summary.contains("\"done\"") && summary.contains("\"best_step\": null"), "{summary}");

    let (code, json, stderr) = run_in(&path, &["certify", "run", "--json", "--time-limit", "5"]);
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(report["points"], 120);
    let bounds = report["bounds"].as_array().expect("bounds");
    let regions: Vec<&str> = bounds.iter().filter_map(|bound| bound["region"].as_str()).collect();
    assert!(regions.contains(&"everywhere") && regions.contains(&"data"), "{regions:?}");
    for bound in bounds {
        let (lower, upper) = (bound["lower"].as_f64().expect("a bound"), bound["upper"].as_f64().expect("a bound"));
        assert!(lower <= upper && lower > 0.5, "{bound}");
    }
    let data = bounds.iter().find(|bound| bound["region"] == "data").expect("the data's box");
    let side = |name: &str, k: usize| data["boxes"][0][name][k].as_f64().expect("a number");
    for (name, wanted) in [("low", [-0.5, -0.5]), ("high", [0.45, 0.5])] {
        assert!((0..2).all(|k| (side(name, k) - wanted[k]).abs() < 1e-12), "{data}");
    }

    // The policy file alone does not have the data, but the spaces.
    let policy = std::fs::read_dir(path.join("run/checkpoints")).expect("checkpoints");
    let policy = policy.filter_map(|entry| Some(entry.ok()?.path().join("policy.safetensors"))).max().expect("one");
    std::fs::copy(policy, path.join("policy.safetensors")).expect("copied");
    let (code, _, stderr) = run_in(&path, &["certify", "policy.safetensors"]);
    assert!(code == 2 && stderr.contains("name demonstrations by --data FILE"), "{stderr}");
    let with_data = ["certify", "policy.safetensors", "--data", "hand.hdf5", "--method", "product", "--json"];
    let (code, json, stderr) = run_in(&path, &with_data);
    assert!(code == 0 && json.contains("\"points\": 120"), "{json}{stderr}");
    let (code, told, stderr) = run_in(&path, &["export", "policy.safetensors", "--to", "npz", "--out", "policy.npz"]);
    assert!(code == 0 && told.contains("(demonstrations, step 1500), 2 → 1"), "{told}{stderr}");

    for args in [
        &["eval", "run"][..],
        &["eval", "policy.safetensors"],
        &["record", "run", "--episodes", "1", "--out", "x.hdf5"],
        &["certify", "run", "--closed-loop"],
        &["tradeoff", "run", "--out", "x.png"],
    ] {
        let (code, _, stderr) = run_in(&path, args);
        let words = "was learned from demonstrations of AdroitHandPen-v1 alone (`env: demonstrations`)";
        assert!(code == 2 && stderr.contains(words), "{args:?}: {stderr}");
    }
}

/// A run that was stopped and resumed ends with the same numbers as one that was not.
#[test]
fn it_resumes_exactly() {
    let (_folder, path) = project(Some(BoxSpace::uniform(1, -3.0, 3.0)));
    for (out, steps) in [("whole", "1000"), ("parts", "500")] {
        let (code, _, stderr) = run_in(&path, &["train", "config.yaml", "--out", out, "--steps", steps, "--quiet"]);
        assert_eq!(code, 0, "{stderr}");
    }
    let (code, _, stderr) =
        run_in(&path, &["train", "config.yaml", "--out", "parts", "--steps", "1000", "--resume", "--quiet"]);
    assert_eq!(code, 0, "{stderr}");
    let agent = |run: &str| {
        let checkpoints = std::fs::read_dir(path.join(run).join("checkpoints")).expect("checkpoints");
        let newest = checkpoints.filter_map(|entry| Some(entry.ok()?.path())).max().expect("one");
        std::fs::read(newest.join("agent.safetensors")).expect("an agent")
    };
    assert!(agent("whole") == agent("parts"), "the agents differ");
}

/// Without bounds in the file, the least and the largest action stand for them: −1.5 · 0.95 and 1.5.
#[test]
fn actions_without_bounds_take_those_of_the_data() {
    let (_folder, path) = project(None);
    let (code, _, stderr) = run_in(&path, &["train", "config.yaml", "--out", "run", "--steps", "500"]);
    assert!(code == 0 && stderr.contains("the least and the largest of each coordinate stand for them"), "{stderr}");
    let out = path.join("policy.npz");
    let (code, _, stderr) = run_in(&path, &["export", "run", "--to", "npz", "--out", text(&out)]);
    assert_eq!(code, 0, "{stderr}");
    let about = std::fs::read(out).expect("a file");
    let about = String::from_utf8_lossy(&about).into_owned();
    assert!(about.contains("\"action_low\":[-1.42499") && about.contains("\"action_high\":[1.5]"), "{about}");
}

#[test]
fn agents_and_settings_that_need_an_environment_are_refused_at_their_place() {
    let (_folder, path) = project(None);
    for (sets, words) in [
        (&["agent={kind: gail, demonstrations: hand.hdf5}"][..], "`env`: `demonstrations` is for the agent `feedback`"),
        (&["agent={kind: sac}"], "`env`: `demonstrations` is for the agent `feedback`"),
        (&["agent.expert={kind: lqr}", "agent.queries={kind: dagger}"], "`agent.expert`: cannot act"),
        (&["stop_at_return=3"], "`stop_at_return`: is never reached"),
        (&["eval.simulator_jacobian=3"], "`eval.simulator_jacobian`: has no simulator"),
    ] {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["check", "config.yaml"].into_iter().chain(sets).collect();
        let (code, _, stderr) = run_in(&path, &args);
        assert!(code == 2 && stderr.contains(words), "{stderr}\nshould say: {words}");
    }
}
