//! Tests of `examples/own_env.rs`: the registered environment can be trained on and has the options
//! and spaces of its entry.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

#[path = "../examples/own_env.rs"]
#[allow(dead_code)] // its `main` reads this process's arguments
mod own_env;

use std::ffi::OsString;

use liprl_envs::{BatchedEnv, EnvError, Options, make, register, registry};

#[test]
fn a_registered_environment_is_made_and_trained_on_like_any_other() {
    register(own_env::POINT).unwrap();
    assert!(matches!(register(own_env::POINT), Err(EnvError::AlreadyRegistered { .. })));
    assert_eq!(registry().iter().filter(|entry| entry.id == "Point-v0").count(), 1);

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

    let folder = tempfile::tempdir().unwrap();
    let (config, run) = (folder.path().join("point.yaml"), folder.path().join("run"));
    let agent = "{kind: sac, learning_starts: 100, actor: {hidden: [32]}, critic: {hidden: [32]}}";
    std::fs::write(&config, format!("env: {{id: Point-v0, gain: 1}}\nsteps: 1000\nagent: {agent}\n")).unwrap();
    let words: [OsString; 6] =
        ["liprl".into(), "train".into(), config.into(), "--quiet".into(), "--out".into(), run.clone().into()];
    // An `ExitCode` can only be compared by how it is written.
    assert_eq!(format!("{:?}", liprl::main(words)), format!("{:?}", std::process::ExitCode::SUCCESS));
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    // Standing still has −20 E[x²] = −6.7; the best policy is at the origin after a step.
    assert!(summary["final_return"].as_f64().unwrap() > -1.5, "{summary:#}");
}
