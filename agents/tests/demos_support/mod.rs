//! Helpers of the tests of demonstrations.

#![allow(dead_code, reason = "each test uses some of them")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use liprl_agents::demos::{DemoMeta, Demonstrations, Episode};
use liprl_envs::{Options, make};
use liprl_numerics::Streams;
use rand::RngExt;
use serde_json::{Value, json};

/// The Python of the test environment.
pub(crate) fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::env::var_os("LIPRL_PYTHON").map_or(root.join(".deps/venv/bin/python"), Into::into)
}

/// Runs demos.py with Minari's datasets in `folder`.
pub(crate) fn python(folder: &Path, request: &Value) -> Value {
    python_of("demos.py", folder, request)
}

/// Runs a script beside the tests with Minari's datasets in `folder`.
pub(crate) fn python_of(script: &str, folder: &Path, request: &Value) -> Value {
    let program = program();
    let output = Command::new(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script))
        .arg(request.to_string())
        .env("MINARI_DATASETS_PATH", folder)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask setup --test`", program.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// Pendulum under random torques that are exact in f32, as those of a policy are.
pub(crate) fn pendulum(episodes: u64) -> Demonstrations {
    let mut env = make("Pendulum-v1", &Options::new()).unwrap();
    let (mut rng, mut obs) = (Streams::new(0).rng("actions"), vec![0.0; 3]);
    let episodes = (0..episodes).map(|seed| {
        env.reset(Some(seed), &Options::new(), &mut obs).unwrap();
        let mut episode = Episode::begin(Some(seed), &obs, &[]);
        loop {
            let action = [f64::from(rng.random_range(-2.0..2.0_f32))];
            let step = env.step(&action, &mut obs).unwrap();
            episode.push(&action, &step, &obs, &[("torque", action[0])]);
            if step.done() {
                return episode;
            }
        }
    });
    let episodes = episodes.collect();
    let meta = DemoMeta {
        env: Some(env.spec().clone()),
        observation_space: Some(env.observation_space().clone()),
        action_space: Some(env.action_space().clone()),
        extra: json!({"algorithm_name": "random", "program": "liprl"}).as_object().unwrap().clone(),
        ..DemoMeta::default()
    };
    Demonstrations { meta, episodes, ..Demonstrations::default() }
}
