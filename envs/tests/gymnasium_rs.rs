//! The `gymnasium-rs` crate's CartPole behind its time limit, through the adapter and directly.
#![cfg(feature = "gymnasium-rs")]
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use gymnasium_rs::core::Env as Foreign;
use gymnasium_rs::envs::cartpole::CartPole;
use gymnasium_rs::wrappers::timelimit::TimeLimitWrapper;
use liprl_envs::gymnasium_rs::{GymnasiumRs, discrete};
use liprl_envs::{BoxSpace, Env, EnvError, Options};

const LIMIT: i32 = 120;

fn cart_pole() -> GymnasiumRs {
    GymnasiumRs::start("CartPole", discrete, |session| {
        session.run(&mut TimeLimitWrapper::new(&mut CartPole::new(), LIMIT));
    })
    .unwrap()
}

/// Pushes the cart under the pole, which keeps the pole up for ever.
fn balance(obs: &[f64]) -> f64 {
    obs[2] + 0.5 * obs[3] + 0.05 * obs[0] + 0.1 * obs[1]
}

/// Observations, rewards and flags of an episode through the adapter.
fn episode(env: &mut GymnasiumRs, seed: u64, policy: fn(&[f64]) -> f64) -> Vec<(Vec<f64>, f64, bool, bool)> {
    let mut obs = vec![0.0; 4];
    env.reset(Some(seed), &Options::new(), &mut obs).unwrap();
    let mut record = vec![(obs.clone(), 0.0, false, false)];
    while record.last().is_some_and(|(.., terminated, truncated)| !terminated && !truncated) {
        let step = env.step(&[policy(&obs)], &mut obs).unwrap();
        record.push((obs.clone(), step.reward, step.terminated, step.truncated));
    }
    assert!(matches!(env.step(&[0.0], &mut obs), Err(EnvError::NeedsReset { .. })));
    record
}

/// As `episode` without the adapter: the sign chooses between the two moves.
fn direct(seed: i32, policy: fn(&[f64]) -> f64) -> Vec<(Vec<f64>, f64, bool, bool)> {
    let mut cart = CartPole::new();
    let mut env = TimeLimitWrapper::new(&mut cart, LIMIT);
    let mut obs: Vec<f64> = env.reset_seed(seed).0.iter().map(|x| f64::from(*x)).collect();
    let mut record = vec![(obs.clone(), 0.0, false, false)];
    while record.last().is_some_and(|(.., terminated, truncated)| !terminated && !truncated) {
        let (next, reward, terminated, truncated, _) = env.step(if policy(&obs) < 0.0 { 0 } else { 1 });
        obs = next.iter().map(|x| f64::from(*x)).collect();
        record.push((obs.clone(), f64::from(reward), terminated, truncated));
    }
    record
}

#[test]
fn cart_pole_is_the_same_through_the_adapter() {
    let mut env = cart_pole();
    assert_eq!(*env.action_space(), BoxSpace::uniform(1, -1.0, 1.0));
    for seed in 0..5 {
        let balanced = episode(&mut env, seed, balance);
        assert_eq!(balanced, direct(seed as i32, balance));
        assert_eq!((balanced.len(), balanced.last().unwrap().3), (LIMIT as usize + 1, true), "it reaches the limit");
        let fallen = episode(&mut env, seed, |_| 0.0);
        assert_eq!(fallen, direct(seed as i32, |_| 0.0));
        assert!(fallen.last().unwrap().2, "a constant push lets the pole fall");
    }
}

#[test]
fn saved_in_an_episode_it_goes_on_the_same() {
    let (mut env, mut obs) = (cart_pole(), vec![0.0; 4]);
    env.reset(Some(3), &Options::new(), &mut obs).unwrap();
    env.reset(None, &Options::new(), &mut obs).unwrap();
    for _ in 0..40 {
        env.step(&[balance(&obs)], &mut obs).unwrap();
    }
    let (state, here) = (env.save(), obs.clone());
    let mut rest = |env: &mut GymnasiumRs| {
        obs.clone_from(&here);
        let mut record = Vec::new();
        for _ in 0..200 {
            let step = env.step(&[balance(&obs)], &mut obs).unwrap();
            record.push((obs.clone(), step.truncated));
            if step.done() {
                env.reset(None, &Options::new(), &mut obs).unwrap();
            }
        }
        record
    };
    let expected = rest(&mut env);
    assert!(expected[79].1, "40 and 80 steps are the time limit's 120");
    let mut fresh = cart_pole();
    fresh.restore(&state).unwrap();
    assert_eq!(rest(&mut fresh), expected);
    for length in 0..state.len() {
        assert!(matches!(fresh.restore(&state[..length]), Err(EnvError::BadState { .. })));
    }
}

/// That crate's CartPole unwraps the values it reads from the reset's options.
#[test]
fn a_panic_of_the_environment_is_an_error() {
    let mut env = cart_pole();
    let options = Options::from([("low".to_owned(), "nothing".into())]);
    let error = env.reset(Some(0), &options, &mut [0.0; 4]).unwrap_err().to_string();
    assert!(error.starts_with("CartPole: the environment stopped: called `Option::unwrap()`"), "{error}");
    assert!(env.reset(Some(0), &Options::new(), &mut [0.0; 4]).is_err());
}
