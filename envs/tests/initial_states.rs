//! Initial states: the generator against NumPy bit for bit, and its states against Gymnasium's.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

mod python;

use liprl_envs::{NumpyRng, Options, make, registry};
use python::Python;
use serde_json::{Value, json};

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Draws 200,000 normals, which reach all three branches of the ziggurat: inside, the edges, the
/// tail.
#[test]
fn uniform_and_normal_numbers_are_numpys_to_the_last_bit() {
    let mut python = Python::start();
    for seed in [0, 1, 4_294_967_296, u64::MAX] {
        let count = 200_000;
        let answer = python.ask(&json!({"work": "random_numbers", "seed": seed, "count": count}));
        let mut rng = NumpyRng::new(seed);
        let uniform: Vec<_> = (0..count).map(|_| rng.uniform(-0.3, 0.7)).collect();
        assert_eq!(uniform, numbers(&answer["uniform"]), "seed {seed}");
        let mut rng = NumpyRng::from_words(rng.words());
        let normal: Vec<_> = (0..count).map(|_| rng.standard_normal()).collect();
        assert!(normal.iter().any(|x| x.abs() > 3.66), "the tail was not reached");
        assert_eq!(normal, numbers(&answer["normal"]), "seed {seed}");
    }
}

/// Environments that Gymnasium does not have.
const OWN: [&str; 7] = [
    "CartPoleContinuous-v0",
    "Linear-v0",
    "DoubleIntegrator-v0",
    "Oscillator-v0",
    "UprightPendulum-v0",
    "PendulumSwingUp-v0",
    "QuadraticCartPole-v0",
];

/// Compares, for every task, mean and standard deviation of each observed coordinate over 2,000
/// resets from different seeds.
#[test]
fn initial_states_have_gymnasiums_moments() {
    let mut python = Python::start();
    let count = 2000;
    for entry in registry().into_iter().filter(|entry| !OWN.contains(&entry.id)) {
        let answer = python.ask(&json!({"work": "initial_states", "id": entry.id, "seed": 1, "count": count}));
        let mut env = make(entry.id, &Options::new()).unwrap();
        let dim = env.observation_space().dim();
        let (mut obs, mut sum, mut squares) = (vec![0.0; dim], vec![0.0; dim], vec![0.0; dim]);
        for i in 0..count {
            env.reset((i == 0).then_some(2), &Options::new(), &mut obs).unwrap();
            for (i, x) in obs.iter().enumerate() {
                sum[i] += x;
                squares[i] += x * x;
            }
        }
        let n = f64::from(count);
        for (i, (mean, std)) in numbers(&answer["mean"]).iter().zip(numbers(&answer["std"])).enumerate() {
            let our_mean = sum[i] / n;
            let our_std = (squares[i] / n - our_mean * our_mean).max(0.0).sqrt();
            let error = std * (2.0 / n).sqrt();
            let at = format!("{} obs[{i}]", entry.id);
            assert!((our_mean - mean).abs() <= 5.0 * error + 1e-9, "{at}: mean {our_mean}, Gymnasium {mean}");
            assert!((our_std - std).abs() <= 0.1 * std + 1e-6, "{at}: deviation {our_std}, Gymnasium {std}");
        }
    }
}
