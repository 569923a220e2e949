//! Results, messages and exit codes of `liprl train`.

use crate::runs::{SMALL, small_agent, summary, train, train_through, write_config};
use crate::support::finish;

#[test]
fn the_same_seed_gives_the_same_run_and_logs_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent("sac")));
    let weights = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        train_through(&config, &out, &[&["--steps", "600", "--quiet"], more].concat());
        std::fs::read(out.join("checkpoints/step_000000600/agent.safetensors")).expect("weights")
    };
    let first = weights("first", &[]);
    assert!(first == weights("again", &[]), "equal seeds differ");
    assert!(first != weights("other", &["--seed", "1"]), "seeds make no difference");
    let sets = ["log.tensorboard=false", "log.every=13", "eval.every=45", "eval.episodes=3", "checkpoint.every=31"];
    let quiet: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    assert!(first == weights("quiet", &quiet), "logging, evaluating or saving at other times changes the training");
}

#[test]
fn a_run_that_blows_up_says_where_and_names_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let net = "{lr: 1, hidden: [32, 32, 32, 32]}";
    let agent = format!("agent: {{kind: sac, learning_starts: 200, gamma: 1, tau: 1, actor: {net}, critic: {net}}}");
    let config = write_config(folder.path(), &format!("{SMALL}{agent}\n"));
    let run = folder.path().join("run");
    let (code, _, stderr) = finish(train(&config, &run, &[]));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("is not finite"), "{stderr}");
    assert!(stderr.contains("last good checkpoint is that of step"), "{stderr}");
    let summary = summary(&run);
    assert_eq!(summary["status"], "failed");
    assert!(summary["reason"].as_str().expect("a reason").contains("is not finite"), "{summary}");
}

#[test]
fn training_stops_once_the_wanted_return_is_reached() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), &format!("{SMALL}{}stop_at_return: -1e9\n", small_agent("td3")));
    let run = folder.path().join("run");
    let words = train_through(&config, &run, &[]);
    assert!(words.contains("the wanted return is reached"), "{words}");
    assert_eq!(summary(&run)["steps"], 400);
    assert_eq!(summary(&run)["status"], "done");
}

#[test]
fn a_run_folder_can_be_trained_again_from_its_config() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent("sac")));
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    train_through(&config, &first, &["--steps", "400", "--quiet"]);
    train_through(&first.join("config.yaml"), &second, &["--quiet"]);
    let weights = |run: &std::path::Path| std::fs::read(run.join("checkpoints/step_000000400/agent.safetensors"));
    assert!(weights(&first).expect("weights") == weights(&second).expect("weights"));
}

#[test]
fn measuring_the_simulator_only_adds_its_jacobian_norms() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = SMALL.replace("Pendulum-v1", "InvertedPendulum-v5").replace("2400", "800") + &small_agent("sac");
    let plain = write_config(folder.path(), &small);
    train_through(&plain, &folder.path().join("plain"), &[]);
    train_through(&plain, &folder.path().join("measured"), &["--set", "eval.simulator_jacobian=3"]);
    let lines = |run: &str| {
        let text = std::fs::read_to_string(folder.path().join(run).join("metrics.jsonl")).expect("metrics");
        text.lines().map(|line| serde_json::from_str::<serde_json::Map<_, _>>(line).expect("JSON")).collect::<Vec<_>>()
    };
    let mut largest = Vec::new();
    for (plain, mut measured) in lines("plain").into_iter().zip(lines("measured")) {
        largest.extend(measured.get("lipschitz/simulator_jacobian/visited/max").and_then(serde_json::Value::as_f64));
        measured.retain(|name, _| !name.starts_with("lipschitz/simulator"));
        for (name, value) in plain.iter().filter(|(name, _)| *name != "wall_s" && !name.starts_with("perf/")) {
            assert_eq!(Some(value), measured.get(name), "{name}");
        }
    }
    // A cart's position stays, or moves with its velocity, so the largest singular value is at
    // least 1.
    assert!(largest.len() == 2 && largest.iter().all(|norm| (1.0..100.0).contains(norm)), "{largest:?}");
}
