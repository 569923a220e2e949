//! Tests of `examples/lab`: its kinds are known to configs and errors, can be trained with and have
//! the options and spaces of their entries.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

#[path = "../examples/lab/main.rs"]
#[allow(dead_code)] // its `main` reads this process's arguments
mod lab;

use std::ffi::OsString;
use std::path::Path;

use liprl::config::{Config, schema};
use liprl_envs::{BatchedEnv, Options, make, registry};

/// Runs a command, which has to succeed.
fn run(words: &[&str]) {
    let words = ["liprl"].iter().chain(words).map(OsString::from);
    // An `ExitCode` can only be compared by how it is written.
    assert_eq!(format!("{:?}", liprl::main(words)), format!("{:?}", std::process::ExitCode::SUCCESS));
}

fn final_return(run: &Path) -> f64 {
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    summary["final_return"].as_f64().unwrap()
}

#[test]
fn kinds_of_another_crate_are_like_any_others() {
    lab::extensions().register().unwrap();
    let again = lab::extensions().register().unwrap_err().to_string();
    assert!(again.contains("Point-v0"), "{again}");
    assert_eq!(registry().iter().filter(|entry| entry.id == "Point-v0").count(), 1);
    the_environment_is_made();
    configs_know_the_kinds();
    an_expert_is_trained_recorded_and_imitated();
}

fn the_environment_is_made() {
    // NumPy's default_rng(0).uniform(-1, 1) is the first observation; the limit is the entry's.
    let mut env = make("Point-v0", &Options::new()).unwrap();
    let mut obs = [0.0];
    env.reset(Some(0), &Options::new(), &mut obs).unwrap();
    assert_eq!(obs, [0.273_923_374_642_908_6]);
    assert_eq!(env.spec().max_episode_steps, Some(20));
    assert_eq!(env.step(&[1.0], &mut obs).unwrap().reward, -(0.773_923_374_642_908_6_f64.powi(2)));
    assert_eq!(BatchedEnv::make("Point-v0", &Options::new(), 4, 2).unwrap().count(), 4);
    let misspelt = Options::from([("gian".to_owned(), 1.0.into())]);
    let error = make("Point-v0", &misspelt).err().unwrap().to_string();
    assert_eq!(error, "Point-v0: option `gian`: there is no such option, did you mean `gain`?");
}

fn configs_know_the_kinds() {
    let text = include_str!("../examples/lab/configs/point.yaml");
    let config = Config::parse("point.yaml", text, &[]).unwrap();
    assert_eq!(config.agent.kind(), "restless");
    // Defaults of the settings are written, and read again.
    let written = config.to_yaml().unwrap();
    assert!(written.contains("batch_size: 256") && written.contains("lambda: 0.001"), "{written}");
    assert_eq!(Config::parse("written.yaml", &written, &[]).unwrap(), config);
    for (from, to, words) in [
        ("bonus: 0.01", "bouns: 0.01", "point.yaml:5:3: unknown key `bouns` in `agent`"),
        ("bonus: 0.01", "bonus: -1", "point.yaml:5:10: `agent.bonus` is "),
        ("lambda: 0.001", "lambda: a", "point.yaml:10:53: `agent.policy.value_regulariser.lambda` is the text `a`"),
        ("restless", "restles", "expected one of sac, td3, gail, mbpo, feedback, restless"),
        ("small_values", "smal_values", "expected one of none, robust, gradient_penalty, small_values"),
    ] {
        let error = Config::parse("point.yaml", &text.replace(from, to), &[]).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let schema = schema().to_string();
    assert!(schema.contains("reward per unit of distance") && schema.contains("Largest size of a shaped reward"));
}

fn an_expert_is_trained_recorded_and_imitated() {
    let folder = tempfile::tempdir().unwrap();
    let [expert, imitated, file] = ["expert", "imitated", "expert.hdf5"].map(|name| folder.path().join(name));
    let [expert_name, imitated_name, file_name] = [&expert, &imitated, &file].map(|path| path.to_str().unwrap());
    let configs = format!("{}/examples/lab/configs", env!("CARGO_MANIFEST_DIR"));
    run(&["train", &format!("{configs}/point.yaml"), "--quiet", "--out", expert_name]);
    run(&["record", expert_name, "--episodes", "5", "--out", file_name]);
    let demonstrations = format!("agent.demonstrations={file_name}");
    run(&["train", &format!("{configs}/imitate.yaml"), "--quiet", "--set", &demonstrations, "--out", imitated_name]);
    // Standing still has −20 E[x²] = −6.7; the best policy is at the origin after a step.
    for run in [&expert, &imitated] {
        assert!(final_return(run) > -2.0, "{}: {}", run.display(), final_return(run));
    }
    let metrics = std::fs::read_to_string(expert.join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("train/squared_value") && metrics.contains("train/moved"));
}
