//! The simulator's derivative by finite differences, against MuJoCo's own.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

mod python;

use liprl_envs::{Env, NumpyRng, Options, jacobian, make};
use python::Python;
use serde_json::{Value, json};

const INCREMENT: f64 = 1e-6;

/// The environment after a reset from `seed` and all of `actions` but the last.
fn after(id: &str, options: &Value, seed: u64, actions: &[Vec<f64>]) -> (Box<dyn Env>, Vec<f64>) {
    let mut env = make(id, &serde_json::from_value(options.clone()).unwrap()).unwrap();
    let mut obs = vec![0.0; env.observation_space().dim()];
    env.reset(Some(seed), &Options::new(), &mut obs).unwrap();
    for action in &actions[..actions.len() - 1] {
        env.step(action, &mut obs).unwrap();
    }
    (env, obs)
}

fn actions(id: &str, seed: u64, count: usize) -> Vec<Vec<f64>> {
    let env = make(id, &Options::new()).unwrap();
    let mut rng = NumpyRng::derived(seed, 2);
    (0..count).map(|_| env.action_space().high.iter().map(|high| high * rng.uniform(-1.0, 1.0)).collect()).collect()
}

#[test]
fn differences_of_one_simulation_step_are_mujoco_s() {
    let mut python = Python::start();
    // The observation shows all positions, and none is a quaternion, so both use the same
    // coordinates. MuJoCo's own differences do not support the Runge–Kutta integrator that some of
    // these models ask for.
    let folder = tempfile::tempdir().unwrap();
    for (id, model) in [("HalfCheetah-v5", "half_cheetah"), ("Hopper-v5", "hopper"), ("Swimmer-v5", "swimmer")] {
        let text = std::fs::read_to_string(format!("{}/{model}.xml", env!("LIPRL_MUJOCO_ASSETS"))).unwrap();
        let file = folder.path().join(format!("{model}.xml"));
        std::fs::write(&file, text.replace("integrator=\"RK4\"", "integrator=\"Euler\"")).unwrap();
        let options = &json!({"xml_file": file, "frame_skip": 1, "exclude_current_positions_from_observation": false});
        for seed in [0, 5] {
            let actions = actions(id, seed, 20);
            let work = json!({"work": "transition", "id": id, "options": options, "seed": seed, "actions": actions, "increment": INCREMENT});
            let theirs: Vec<f64> = serde_json::from_value(python.ask(&work)["jacobian"].take()).unwrap();
            let (mut env, _) = after(id, options, seed, &actions);
            let ours = jacobian(&mut *env, actions.last().unwrap(), INCREMENT).unwrap().unwrap();
            assert_eq!(ours.len(), theirs.len(), "{id}");
            let largest = theirs.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
            let furthest = ours.iter().zip(&theirs).fold(0.0f64, |furthest, (a, b)| furthest.max((a - b).abs()));
            assert!(furthest < 1e-4 * largest, "{id} seed {seed}: {furthest} of {largest}");
        }
    }
}

#[test]
fn measuring_leaves_the_environment_as_it_was() {
    for id in ["Hopper-v5", "Ant-v5", "Humanoid-v5"] {
        let actions = actions(id, 3, 4);
        let (mut env, mut obs) = after(id, &json!({}), 3, &actions);
        let before = env.save();
        let matrix = jacobian(&mut *env, &actions[3], INCREMENT).unwrap().unwrap();
        assert_eq!(env.save(), before, "{id}");
        // A coordinate that is not a state variable has a column of zeros; every state variable has
        // an effect.
        let (rows, columns) = (obs.len(), obs.len() + actions[0].len());
        let state =
            make(id, &Options::new()).map(|mut env| (0..rows).take_while(|&i| env.nudge(i, 0.0)).count()).unwrap();
        for column in 0..columns {
            let caused = (0..rows).any(|row| matrix[row * columns + column] != 0.0);
            assert_eq!(caused, column < state || column >= rows, "{id} column {column}");
        }
        env.step(&actions[3], &mut obs).unwrap();
    }
}

#[test]
fn a_task_that_does_not_show_its_state_has_no_derivative_in_observations() {
    let (mut env, _) = after("Pendulum-v1", &json!({}), 0, &actions("Pendulum-v1", 0, 3));
    assert_eq!(jacobian(&mut *env, &[0.5], INCREMENT).unwrap(), None);
}
