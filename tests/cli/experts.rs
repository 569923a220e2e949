//! Demonstrations by experts made from a system's equations.

use std::path::Path;

use serde_json::Value;

use crate::runs::{train_through, write_config};
use crate::support::{finish, liprl, text};

#[test]
fn experts_are_recorded_where_the_equations_are_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = |task: &str, kind: &str, name: &str| {
        let config = write_config(folder.path(), &format!("env: {task}\nsteps: 100\nagent: {{kind: td3}}\n"));
        let out = folder.path().join(name);
        let (config, out) = (text(&config), text(&out));
        finish(liprl(["record", config, "--expert", kind, "--episodes", "2", "--seed", "3", "--out", out]))
    };
    let (code, words, stderr) = record("DoubleIntegrator-v0", "lqr", "lqr.hdf5");
    assert!(code == 0 && words.contains("2 episodes of DoubleIntegrator-v0, return -"), "{words}{stderr}");
    let (code, words, stderr) = record("{id: PendulumSwingUp-v0, max_episode_steps: 100}", "mpc", "mpc.hdf5");
    assert_eq!(code, 0, "{stderr}");
    let total: f64 =
        words.split("return ").nth(1).and_then(|t| t.split(' ').next()).expect("a return").parse().expect("a number");
    assert!(total > -400.0, "{words}");
    let path = folder.path().join("mpc.hdf5");
    let (code, listing, stderr) = finish(liprl(["demos", "inspect", text(&path)]));
    assert!(code == 0 && listing.contains("2 episodes, 200 steps"), "{listing}{stderr}");

    let (code, _, stderr) = record("MountainCarContinuous-v0", "lqr", "none.hdf5");
    assert!(code == 2 && stderr.contains("no equations that an expert could be made from"), "{code} {stderr}");
    let given = "{id: Linear-v0, a: [[1.5, 0], [0, 0.5]], b: [0, 1]}";
    let (code, _, stderr) = record(given, "lqr", "none.hdf5");
    assert!(code == 1 && stderr.contains("no stabilising solution"), "{code} {stderr}");
}

/// Pairs of an expert without a file, DAgger on a planner; a run in two parts equals the run in
/// one.
#[test]
fn policies_are_cloned_from_experts_that_a_config_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let queries = "queries: {kind: dagger, rounds: 3, steps: 20}";
    for (name, task, expert) in [
        ("lqr", "DoubleIntegrator-v0", "expert: {kind: lqr}, expert_episodes: 2, expert_noise: 0.01".to_owned()),
        ("mpc", "PendulumSwingUp-v0", format!("expert: {{kind: mpc, horizon: 30, starts: 1}}, {queries}")),
        ("dart", "Oscillator-v0", "expert: {kind: lqr}, queries: {kind: dart, rounds: 3, steps: 20}".to_owned()),
    ] {
        let yaml = format!(
            "env: {task}\nsteps: 100\nagent: {{kind: feedback, network: {{hidden: [8]}}, {expert}}}\neval: {{every: 50, episodes: 1}}\ncheckpoint: {{every: 50}}\n"
        );
        let config = write_config(folder.path(), &yaml);
        let (whole, parts) = (folder.path().join(name), folder.path().join(format!("{name}-parts")));
        train_through(&config, &whole, &["--quiet"]);
        train_through(&config, &parts, &["--quiet", "--steps", "50"]);
        train_through(&config, &parts, &["--quiet", "--steps", "100", "--resume"]);
        let last =
            |run: &Path| std::fs::read(run.join("checkpoints/step_000000100/agent.safetensors")).expect("a checkpoint");
        assert!(last(&whole) == last(&parts), "{name}");
    }
    // Each expert with each kind of query; only that it trains and resumes from its own checkpoint.
    let path = folder.path().join("lqr");
    let of_run = format!("expert: {{kind: run, path: {}}}", path.display());
    let planner = "expert: {kind: mpc, horizon: 20, starts: 1}".to_owned();
    for (name, task, expert, queries) in [
        ("lqr-dagger", "DoubleIntegrator-v0", "expert: {kind: lqr}".to_owned(), "dagger"),
        ("mpc-dart", "PendulumSwingUp-v0", planner, "dart"),
        ("run-dagger", "DoubleIntegrator-v0", of_run.clone(), "dagger"),
        ("run-dart", "DoubleIntegrator-v0", of_run, "dart"),
    ] {
        let yaml = format!(
            "env: {task}\nsteps: 60\nagent: {{kind: feedback, network: {{hidden: [8]}}, {expert}, queries: {{kind: {queries}, rounds: 2, steps: 20}}}}\n\
             eval: {{every: 30, episodes: 1}}\ncheckpoint: {{every: 30}}\n"
        );
        let config = write_config(folder.path(), &yaml);
        let run = folder.path().join(name);
        train_through(&config, &run, &["--quiet"]);
        let policy =
            |step: &str| std::fs::read(run.join(format!("checkpoints/step_{step}/policy.safetensors"))).expect(name);
        assert!(policy("000000030") != policy("000000060"), "{name}: learnt nothing");
        if name == "run-dagger" {
            let parts = folder.path().join("run-dagger-parts");
            train_through(&config, &parts, &["--quiet", "--steps", "30"]);
            train_through(&config, &parts, &["--quiet", "--steps", "60", "--resume"]);
            crate::runs::assert_same_traces(&run, &parts);
        }
    }
    let run = |yaml: &str| {
        let config = write_config(folder.path(), yaml);
        let (code, _, stderr) = finish(liprl(["check", text(&config)]));
        assert!(code == 1 || code == 2, "{code}");
        stderr
    };
    let cloning = |task: &str, rest: &str| format!("env: {task}\nsteps: 10\nagent: {{kind: feedback, {rest}}}\n");
    let run_of = format!("expert: {{kind: run, path: {}}}, expert_episodes: 1", path.display());
    let stderr = run(&cloning("Oscillator-v0", &run_of));
    assert!(stderr.contains("was trained on DoubleIntegrator-v0, the task is Oscillator-v0"), "{stderr}");
    let stderr = run(&cloning("MountainCarContinuous-v0", "expert: {kind: mpc}, expert_episodes: 1"));
    assert!(stderr.contains("no equations that an expert could be made from"), "{stderr}");
    let unreachable = "{id: Linear-v0, a: [[1.5, 0], [0, 0.5]], b: [0, 1]}";
    let stderr = run(&cloning(unreachable, "expert: {kind: lqr}, expert_episodes: 1"));
    assert!(stderr.contains("agent.expert") && stderr.contains("no stabilising solution"), "{stderr}");
    // The task with other observations; a folder that is not a run.
    let swings = folder.path().join("mpc");
    let of_swings = format!("expert: {{kind: run, path: {}}}, expert_episodes: 1", swings.display());
    let stderr = run(&cloning("{id: PendulumSwingUp-v0, observation: angle}", &of_swings));
    assert!(stderr.contains("is for observations of 3 and actions of 1 numbers, the task has 2 and 1"), "{stderr}");
    let nowhere = folder.path().join("nowhere");
    std::fs::create_dir(&nowhere).expect("made");
    let stderr = run(&cloning(
        "DoubleIntegrator-v0",
        &format!("expert: {{kind: run, path: {}}}, queries: {{kind: dagger}}", nowhere.display()),
    ));
    assert!(
        stderr.contains("nowhere") && stderr.contains("neither a run folder, nor a checkpoint, nor a policy file"),
        "{stderr}"
    );
    let config = write_config(folder.path(), &cloning("DoubleIntegrator-v0", &run_of));
    let (code, _, stderr) = finish(liprl(["check", text(&config)]));
    assert_eq!(code, 0, "{stderr}");

    let (runs, picture) = (folder.path().join("lqr"), folder.path().join("tradeoff.svg"));
    let args = ["tradeoff", text(&runs), "--episodes", "2", "--disturb", "bias:0.1", "--out"];
    let (code, words, stderr) = finish(liprl(args.into_iter().chain([text(&picture)])));
    assert!(code == 0 && words.contains("by_construction 1"), "{words}{stderr}");
    let report: Value =
        serde_json::from_str(&std::fs::read_to_string(picture.with_extension("json")).expect("JSON")).expect("JSON");
    let disturbed = &report["groups"][0]["costs"][1];
    let (cost, bound) = (disturbed["cost"]["mean"].as_f64(), disturbed["b4_cost"]["mean"].as_f64());
    assert!(cost.expect("a cost") > 0.0 && bound.is_none_or(|bound| bound >= cost.expect("a cost")), "{report}");
    assert!((report["expert_constant"].as_f64().expect("‖K‖") - 1.875153).abs() < 1e-5);
    assert!(picture.exists() && picture.with_extension("csv").exists());
}
