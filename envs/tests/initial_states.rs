//! The generator behind resets against NumPy, bit for bit.

mod python;

use liprl_envs::NumpyRng;
use python::Python;
use serde_json::{Value, json};

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

/// 200,000 normals reach all three ways out of the ziggurat: inside, the edges, the tail.
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
