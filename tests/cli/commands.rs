//! The commands that read runs, and those that list.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::runs::{SMALL, python, small_agent, small_run};
use crate::support::{finish, liprl, text};

#[test]
fn eval_repeats_itself_and_equals_what_record_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &format!("{SMALL}{}", small_agent("sac")), "900");
    let eval = |seed: &str| {
        let (code, json, stderr) = finish(liprl(["eval", text(&run), "--episodes", "3", "--seed", seed, "--json"]));
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str::<Value>(&json).expect("JSON")
    };
    let report = eval("7");
    assert_eq!(report, eval("7"));
    assert_ne!(report["return_mean"], eval("8")["return_mean"]);
    let returns: Vec<f64> = report["episodes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|episode| episode["return"].as_f64().expect("a number"))
        .collect();
    assert_eq!(returns.len(), 3);
    let mean = returns.iter().sum::<f64>() / 3.0;
    assert!((mean - report["return_mean"].as_f64().expect("a number")).abs() < 1e-9);

    let out = folder.path().join("demos/pendulum.hdf5");
    let args = ["record", text(&run), "--episodes", "3", "--seed", "7", "--out", text(&out)];
    let (code, _, stderr) = finish(liprl(args));
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = finish(liprl(args));
    assert!(code == 2 && stderr.contains("exists already"), "a recording is not overwritten: {stderr}");
    assert_eq!(minari_returns(&out, "pendulum-v0"), returns);

    let (code, listing, stderr) = finish(liprl(["demos", "inspect", text(&out)]));
    assert_eq!(code, 0, "{stderr}");
    assert!(listing.starts_with("Pendulum-v1: 3 episodes, 600 steps\nobservation 3, action 1\n"), "{listing}");
    for total in returns {
        assert!(listing.contains(&format!(" {total:.2}\n")), "{listing}");
    }
}

/// Returns as Minari itself reads them, after it has made the environment and checked one reward.
fn minari_returns(file: &Path, dataset: &str) -> Vec<f64> {
    let script = "
import json, sys, minari, numpy
data = minari.load_dataset(sys.argv[1])
env = data.recover_environment()
totals = []
for episode in data.iterate_episodes():
    obs, _ = env.reset(seed=7 + int(episode.id))
    assert numpy.allclose(obs, episode.observations[0], atol=1e-6), (obs, episode.observations[0])
    _, reward, *_ = env.step(episode.actions[0])
    assert abs(reward - episode.rewards[0]) < 1e-5, (reward, episode.rewards[0])
    totals.append(float(sum(episode.rewards)))
print(json.dumps(totals))
";
    let mut command = Command::new(python());
    command.args(["-c", script, dataset]).env("MINARI_DATASETS_PATH", file.parent().expect("a folder"));
    let (code, stdout, stderr) = finish(command);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).expect("JSON")
}

#[test]
fn eval_takes_a_checkpoint_and_refuses_other_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &format!("{SMALL}{}", small_agent("sac")), "900");
    let (code, words, stderr) =
        finish(liprl(["eval", text(&run.join("checkpoints/step_000000900")), "--episodes", "1"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(words.starts_with("Pendulum-v1: return ") && words.contains("step_000000900"), "{words}");
    let policy = folder.path().join("policy.safetensors");
    std::fs::copy(run.join("checkpoints/step_000000900/policy.safetensors"), &policy).expect("copied");
    let (code, same, stderr) = finish(liprl(["eval", text(&policy), "--episodes", "1"]));
    assert_eq!(
        (code, same.split(" (").next()),
        (0, words.split(" (").next()),
        "a policy file runs by itself: {stderr}"
    );
    let (code, _, stderr) = finish(liprl(["eval", text(folder.path())]));
    assert!(code == 2 && stderr.contains("is a folder of runs; name one of them"), "{stderr}");
    let empty = tempfile::tempdir().expect("a folder");
    let (code, _, stderr) = finish(liprl(["eval", text(empty.path())]));
    assert!(code == 2 && stderr.contains("neither a run folder"), "{stderr}");
}

#[test]
fn demos_inspect_refuses_other_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nothing.hdf5");
    std::fs::write(&path, "not HDF5").expect("written");
    let (code, _, stderr) = finish(liprl(["demos", "inspect", text(&path)]));
    assert!(code == 1 && stderr.contains("nothing.hdf5"), "{stderr}");
}

#[test]
fn plot_draws_the_runs_evaluations() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &format!("{SMALL}{}", small_agent("sac")), "900");
    let picture = folder.path().join("curve.png");
    let (code, _, stderr) = finish(liprl(["plot", text(&run), "--out", text(&picture)]));
    assert_eq!(code, 0, "{stderr}");
    assert!(std::fs::read(&picture).expect("a picture").starts_with(b"\x89PNG"));
    let table = std::fs::read_to_string(picture.with_extension("csv")).expect("a table");
    for step in ["400", "800", "900"] {
        assert!(table.lines().any(|line| line.split(',').any(|cell| cell == step)), "{table}");
    }
}

#[test]
fn envs_lists_every_task_with_its_options() {
    let (code, json, stderr) = finish(liprl(["envs", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let list: Vec<Value> = serde_json::from_str(&json).expect("JSON");
    let ant = list.iter().find(|entry| entry["id"] == "Ant-v5").expect("Ant-v5");
    assert_eq!(ant["observation_space"]["low"].as_array().expect("bounds").len(), 105);
    assert_eq!(ant["action_space"]["high"], serde_json::json!([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]));
    let (_, text, _) = finish(liprl(["envs"]));
    for entry in &list {
        assert!(text.contains(entry["id"].as_str().expect("a text")), "{text}");
    }
    assert!(text.contains("include_cfrc_ext_in_observation: true"), "{text}");
}

#[test]
fn wrong_words_are_bad_usage_and_help_is_not() {
    assert_eq!(finish(liprl(["trian"])).0, 2);
    assert_eq!(finish(liprl(["train"])).0, 2);
    assert_eq!(finish(liprl(["eval", "runs/x", "--episodes", "0"])).0, 2);
    let (code, help, _) = finish(liprl(["--help"]));
    assert_eq!(code, 0);
    insta::assert_snapshot!(help);
}
