//! Saved states: a restored environment continues exactly as the saved one, and a state that does
//! not fit is rejected.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use std::num::NonZeroU32;

use liprl_envs::wrappers::{AbsorbingState, ActionRepeat, ObservationNoise};
use liprl_envs::{BatchedEnv, Env, EnvError, NumpyRng, Options, make, registry};

/// All numbers that an environment returns over some steps, with a reset after each episode. They
/// are compared bit for bit.
fn run(env: &mut dyn Env, actions: &mut NumpyRng, steps: usize) -> Vec<f64> {
    let mut obs = vec![0.0; env.observation_space().dim()];
    let mut action = vec![0.0; env.action_space().dim()];
    let mut record = Vec::new();
    for _ in 0..steps {
        for (a, high) in action.iter_mut().zip(&env.action_space().high) {
            *a = actions.uniform(-high, *high);
        }
        let step = env.step(&action, &mut obs).unwrap();
        record.extend_from_slice(&obs);
        record.extend([step.reward, f64::from(step.terminated), f64::from(step.truncated)]);
        record.extend(env.info().iter().map(|(_, value)| value));
        if step.done() {
            env.reset(None, &Options::new(), &mut obs).unwrap();
            record.extend_from_slice(&obs);
        }
    }
    record
}

fn started(mut env: Box<dyn Env>, seed: u64) -> Box<dyn Env> {
    let mut obs = vec![0.0; env.observation_space().dim()];
    env.reset(Some(seed), &Options::new(), &mut obs).unwrap();
    env
}

/// Saves after different numbers of steps, restores into a fresh environment and into the one that
/// went on, and compares the steps that follow.
fn check(new: impl Fn() -> Box<dyn Env>) {
    let id = new().spec().id.clone();
    let mut env = started(new(), 3);
    for before in [1, 37, 120] {
        run(env.as_mut(), &mut NumpyRng::new(before), before as usize);
        let state = env.save();
        let expected = run(env.as_mut(), &mut NumpyRng::new(9), 60);
        let mut fresh = new();
        fresh.restore(&state).unwrap();
        assert_eq!(run(fresh.as_mut(), &mut NumpyRng::new(9), 60), expected, "{id}, fresh");
        env.restore(&state).unwrap();
        assert_eq!(run(env.as_mut(), &mut NumpyRng::new(9), 60), expected, "{id}, back");
    }
}

#[test]
fn every_task_continues_to_the_bit() {
    for entry in registry() {
        check(|| make(entry.id, &Options::new()).unwrap());
    }
}

#[test]
fn wrappers_continue_to_the_bit() {
    check(|| {
        let hopper = make("Hopper-v5", &Options::new()).unwrap();
        let noisy = Box::new(ObservationNoise::new(hopper, 0.1));
        let repeated = Box::new(ActionRepeat::new(noisy, NonZeroU32::new(2).unwrap()));
        Box::new(AbsorbingState::new(repeated))
    });
}

#[test]
fn the_same_seed_is_the_same_trajectory() {
    for entry in registry() {
        let new = |seed| started(make(entry.id, &Options::new()).unwrap(), seed);
        let run = |seed| run(new(seed).as_mut(), &mut NumpyRng::new(1), 100);
        assert_eq!(run(4), run(4), "{}", entry.id);
        assert_ne!(run(4), run(5), "{}", entry.id);
    }
}

#[test]
fn a_state_cut_short_or_from_elsewhere_is_refused() {
    let hopper = || started(make("Hopper-v5", &Options::new()).unwrap(), 0);
    let state = hopper().save();
    for length in 0..state.len() {
        let error = hopper().restore(&state[..length]).unwrap_err();
        assert!(matches!(error, EnvError::BadState { .. }), "{error}");
    }
    let mut longer = state.clone();
    longer.push(0);
    assert!(matches!(hopper().restore(&longer), Err(EnvError::BadState { .. })));
    let other = started(make("Walker2d-v5", &Options::new()).unwrap(), 0).save();
    let error = hopper().restore(&other).unwrap_err().to_string();
    assert_eq!(error, "Hopper-v5: the saved state does not fit: it was saved by `Walker2d-v5`, not by `Hopper-v5`");
}

#[test]
fn a_batch_continues_to_the_bit() {
    let new = || BatchedEnv::make("InvertedPendulum-v5", &Options::new(), 3, 2).unwrap();
    let record = |batch: &mut BatchedEnv, steps: u32| -> Vec<f64> {
        let mut obs = vec![0.0; 12];
        let mut record = Vec::new();
        for i in 0..steps {
            batch.step(&[f64::from(i).sin(), 0.1, -0.3], &mut obs).unwrap();
            record.extend_from_slice(&obs);
        }
        record
    };
    let mut batch = new();
    batch.reset(Some(8), &mut [0.0; 12]).unwrap();
    record(&mut batch, 25);
    let state = batch.save();
    let expected = record(&mut batch, 40);
    let mut fresh = new();
    fresh.restore(&state).unwrap();
    assert_eq!(record(&mut fresh, 40), expected);
}
