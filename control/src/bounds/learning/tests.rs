use proptest::prelude::*;

use super::*;

#[test]
fn a_bound_by_hand() {
    let (sure, guess) = (Constant::certified, Constant::estimated);
    let bound = learning_error(sure(0.1), sure(2.0), sure(1.0), sure(0.05)).unwrap();
    assert!((bound.value - 0.25).abs() < 1e-15 && bound == sure(bound.value));
    assert_eq!(learning_error(sure(0.1), sure(2.0), guess(1.0), sure(0.05)).unwrap(), guess(bound.value));
    assert!((disturbed_error(bound, sure(2.0), 0.2).unwrap().value - 0.65).abs() < 1e-15);
    for (found, problem) in [
        (learning_error(sure(0.1), sure(-2.0), sure(1.0), sure(0.05)), "α: must be a finite number of at least 0"),
        (learning_error(sure(0.1), sure(1.0), sure(-1.0), sure(0.05)), "ℓ*: must be a finite number of at least 0"),
        (disturbed_error(bound, sure(2.0), -0.1), "ε: must be a finite number of at least 0, found -0.1"),
    ] {
        let error = found.unwrap_err().to_string();
        assert!(error.starts_with(problem), "{error}");
    }
}

/// A constant policy is off by ê + ℓ*δ, and measurement errors do not change its action.
#[test]
fn a_constant_policy_has_bounds() {
    let sure = Constant::certified;
    let bound = learning_error(sure(0.1), sure(0.0), sure(1.0), sure(0.05)).unwrap();
    assert!((bound.value - 0.15).abs() < 1e-15);
    assert_eq!(disturbed_error(bound, sure(0.0), 0.2).unwrap(), bound);
}

#[test]
fn contradictions_are_found_and_weighed() {
    // Two answers to one state, and a steep but consistent pair.
    let (states, actions) = ([0.0, 1.0, 0.0, 1.5], [0.0, 2.0, 0.5, 2.0]);
    let pair = forced_error(&states, &actions, 1, 1, 1.0).unwrap().unwrap();
    assert_eq!((pair.rows, pair.forced_error(1.0)), ((0, 1), 0.5));
    let pair = forced_error(&states, &actions, 1, 1, 5.0).unwrap().unwrap();
    assert_eq!((pair.rows, pair.forced_error(5.0)), ((0, 2), 0.25));
    assert_eq!(steepest_pair(&states, &actions, 1, 1).unwrap().unwrap().slope(), f64::INFINITY);
    assert_eq!(forced_error(&[0.0, 1.0], &[0.0, 1.0], 1, 1, 1.0).unwrap(), None);
    assert!(forced_error(&states, &actions, 1, 1, 0.0).is_err() && forced_error(&states, &[1.0], 1, 1, 1.0).is_err());
}

proptest! {
    /// Compares with all pairs.
    #[test]
    fn the_worst_pair_is_the_worst_of_all(numbers in prop::collection::vec(0i32..40, 8..160), alpha in 0.1..3.0f64) {
        let count = numbers.len() / 4;
        let numbers: Vec<f64> = numbers.into_iter().map(|x| 0.1 * f64::from(x)).collect();
        let (states, actions) = numbers[..4 * count].split_at(2 * count);
        let of = |i: usize, j: usize| Pair {
            rows: (i, j),
            states_apart: distance(&states[2 * i..2 * i + 2], &states[2 * j..2 * j + 2]),
            actions_apart: distance(&actions[2 * i..2 * i + 2], &actions[2 * j..2 * j + 2]),
        };
        let pairs = || (0..count).flat_map(|i| (i + 1..count).map(move |j| of(i, j)));
        let expected = pairs().map(|pair| pair.forced_error(alpha)).fold(0.0, f64::max);
        let found = forced_error(states, actions, 2, 2, alpha).unwrap().map_or(0.0, |pair| pair.forced_error(alpha));
        prop_assert!((found - expected).abs() <= 1e-12);
        let expected = pairs().filter(|pair| pair.actions_apart > 0.0).map(|pair| pair.slope()).fold(0.0, f64::max);
        let found = steepest_pair(states, actions, 2, 2).unwrap().map_or(0.0, |pair| pair.slope());
        prop_assert!(found == expected || (found - expected).abs() <= 1e-12 * expected);
    }
}
