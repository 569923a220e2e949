//! The example of a user's own environment, run as it is, and what registering does.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

// The example's `main` registers `Point-v0` in this process.
#[path = "../examples/own_env.rs"]
mod own_env;

use liprl_envs::{BatchedEnv, EnvError, Options, make, register, registry};

#[test]
fn the_example_runs_and_its_environment_is_registered() {
    own_env::main().unwrap();
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
    assert!(matches!(register(registry()[0]), Err(EnvError::AlreadyRegistered { .. })));
}
