//! Control systems: dynamics against Gymnasium's, costs by hand, and matrices that do not fit.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

mod python;

use liprl_envs::systems::{CartPole, Model, Pendulum};
use liprl_envs::{Env, NumpyRng, Options, make};
use python::Python;
use serde_json::{Value, json};

fn options(value: Value) -> Options {
    serde_json::from_value(value).unwrap()
}

fn started(id: &str, given: Value, state: &[f64]) -> (Box<dyn Env>, Vec<f64>) {
    let mut env = make(id, &options(given)).unwrap();
    let mut obs = vec![0.0; env.observation_space().dim()];
    env.reset(Some(0), &options(json!({ "state": state })), &mut obs).unwrap();
    (env, obs)
}

fn refusal(id: &str, given: Value) -> String {
    make(id, &options(given)).err().unwrap().to_string()
}

#[test]
fn the_pendulum_is_gymnasiums() {
    let (mut own, mut obs) = started("PendulumSwingUp-v0", json!({}), &[2.5, -0.7]);
    let mut gymnasium = make("Pendulum-v1", &Options::new()).unwrap();
    let mut expected = vec![0.0; 3];
    gymnasium.reset(Some(3), &Options::new(), &mut expected).unwrap();
    let (mut rng, model) = (NumpyRng::new(1), Pendulum::default());
    let mut x = [0.0; 2];
    // Start from the initial state of Gymnasium's task, which its observation gives to f32.
    model.state_of(&expected, &mut x);
    own.reset(None, &options(json!({ "state": x })), &mut obs).unwrap();
    for _ in 0..200 {
        let action = [rng.uniform(-3.0, 3.0)];
        let (step, other) = (own.step(&action, &mut obs).unwrap(), gymnasium.step(&action, &mut expected).unwrap());
        assert!((step.reward - other.reward).abs() < 1e-3, "{step:?} {other:?}");
        assert!(obs.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3), "{obs:?} {expected:?}");
        assert_eq!((step.terminated, step.truncated), (other.terminated, other.truncated));
    }
    assert!(gymnasium.model().is_some() && own.model().is_some());
    assert!(make("Hopper-v5", &Options::new()).unwrap().model().is_none());
}

/// Compares 300 random steps with CartPole-v1 of Python's Gymnasium, whose force is ±10.
#[test]
fn the_cart_pole_is_gymnasiums() {
    let answer = Python::start().ask(&json!({"work": "cart_pole_steps", "count": 300}));
    let rows: Vec<Vec<f64>> = serde_json::from_value(answer).unwrap();
    assert_eq!(rows.len(), 300);
    let model = CartPole::default();
    let mut next = [0.0; 4];
    for row in rows {
        model.advance(&row[..4], &row[4..5], &mut next);
        assert!(next.iter().zip(&row[5..]).all(|(a, b)| (a - b).abs() < 1e-12), "{next:?} {row:?}");
    }
}

#[test]
fn steps_and_rewards_by_hand() {
    let (mut env, obs) = started("DoubleIntegrator-v0", json!({"r": 0.1, "q": [[2, 0.5], [0.5, 1]]}), &[1.0, -2.0]);
    let mut next = obs.clone();
    assert_eq!(obs, [1.0, -2.0]);
    let step = env.step(&[3.0], &mut next).unwrap();
    // x + dt v + ½ dt² u, v + dt u; 2·1 + 2·0.5·(−2) + 4 + 0.1·9.
    assert!((next[0] - 0.815).abs() < 1e-12 && (next[1] + 1.7).abs() < 1e-12, "{next:?}");
    assert!((step.reward + 4.9).abs() < 1e-12 && !step.done());

    // The same system from matrices: two inputs that pull one mass, continuous in time.
    let given =
        json!({"a": [[0, 1], [0, 0]], "b": [[0, 0], [2, 1]], "q": 0, "r": [1, 2], "dt": 0.1, "max_episode_steps": 1});
    let (mut env, mut obs) = started("Linear-v0", given, &[1.0, -2.0]);
    assert_eq!(env.action_space().dim(), 2);
    let step = env.step(&[1.0, 1.0], &mut obs).unwrap();
    assert!((obs[0] - 0.815).abs() < 1e-12 && (obs[1] + 1.7).abs() < 1e-12, "{obs:?}");
    assert!((step.reward + 3.0).abs() < 1e-12 && step.truncated);

    // The cost wraps the angle and clips the force; the option ends the episode.
    let given = json!({"terminate_when_lost": true, "observation": "trig"});
    let (mut env, mut obs) = started("QuadraticCartPole-v0", given, &[0.0, 0.0, 2.0 * std::f64::consts::PI, 0.0]);
    assert!((obs[2] - 1.0).abs() < 1e-12 && obs[3].abs() < 1e-12);
    let step = env.step(&[25.0], &mut obs).unwrap();
    assert!((step.reward + 100.0).abs() < 1e-9 && step.terminated);
}

#[test]
fn starts_are_drawn_as_told() {
    let draws = |given: Value| {
        let mut env = make("Oscillator-v0", &options(given)).unwrap();
        let mut obs = vec![0.0; 2];
        env.reset(Some(0), &Options::new(), &mut obs).unwrap();
        let mut all = Vec::new();
        for _ in 0..4000 {
            env.reset(None, &Options::new(), &mut obs).unwrap();
            all.push([obs[0], obs[1]]);
        }
        all
    };
    let boxed = draws(json!({"start_mean": [1, 0], "start_width": [0.5, 2]}));
    assert!(boxed.iter().all(|x| (x[0] - 1.0).abs() <= 0.5 && x[1].abs() <= 2.0));
    assert!(boxed.iter().any(|x| x[0] < 0.51) && boxed.iter().any(|x| x[1] > 1.95));
    let gaussian = draws(json!({"start": "gaussian", "start_width": [3]}));
    let variance = gaussian.iter().map(|x| x[1] * x[1]).sum::<f64>() / 4000.0;
    assert!((variance / 9.0 - 1.0).abs() < 0.1, "{variance}");
}

#[test]
fn what_does_not_fit_is_named() {
    for (given, problem) in [
        (json!({"a": [[1, 2, 3], [4, 5, 6]]}), "`a`: is 2 × 3, must have as many columns as rows"),
        (json!({"a": [[1, 2], [3]]}), "`a`: expected a matrix: a list of rows of one length"),
        (json!({"a": [1, 2]}), "`a`: expected a list of rows, found a plain list"),
        (json!({"b": [1, 2, 3]}), "`b`: is 3 × 1, must have as many rows as `a`"),
        (json!({"q": [1, 2, 3]}), "`q`: is 3 × 3, must be 2 × 2"),
        (json!({"q": [[1, 0.5], [0, 1]]}), "`q`: is not symmetric"),
        (json!({"q": [1, -1]}), "`q`: is not positive semidefinite"),
        (json!({"r": 0}), "`r`: is not positive definite"),
        (json!({"start": "sphere"}), "`start`: expected `box` or `gaussian`, found `sphere`"),
        (json!({"start_width": [1, 2, 3]}), "`start_width`: has 3 numbers for a state of 2"),
        (json!({"start_width": [-1]}), "`start_width`: -1 is negative"),
        (json!({"action_limit": 0}), "`action_limit`: must be above 0, found 0"),
        (json!({"dt": -1}), "`dt`: expected a number of at least 0, found -1"),
    ] {
        let found = refusal("Linear-v0", given);
        assert!(found.starts_with(&format!("Linear-v0: option {problem}")), "{found}");
    }
    assert!(refusal("PendulumSwingUp-v0", json!({"observation": "sin"})).contains("expected `angle` or `trig`"));
    let mut env = make("Linear-v0", &Options::new()).unwrap();
    let error = env.reset(None, &options(json!({"state": [1]})), &mut [0.0; 2]).unwrap_err().to_string();
    assert_eq!(error, "Linear-v0: option `state`: has 1 numbers, the state 2");
}
