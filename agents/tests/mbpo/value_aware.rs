//! The value-aware model error in closed form, and its bound.

use liprl_agents::mbpo::value_aware_error;
use liprl_numerics::Streams;

use super::normal;

/// The error's upper bound γ² K² mean ‖ŝ' − s'‖² for a K-Lipschitz value; `distances` are the rows'
/// ‖ŝ' − s'‖.
fn lipschitz_bound(gamma: f64, constant: f64, distances: &[f64]) -> f64 {
    let squares: f64 = distances.iter().map(|distance| distance * distance).sum();
    (gamma * constant).powi(2) * squares / distances.len().max(1) as f64
}

/// A linear task s' = A s + B a and model ŝ' = Â s + B̂ a with the value w·s: with s, a standard
/// normal, the error is γ² (‖(Â − A)ᵀ w‖² + ‖(B̂ − B)ᵀ w‖²), and σ² ‖w‖² γ² more if the model adds
/// noise of deviation σ.
#[test]
fn the_value_aware_error_of_a_linear_task_is_its_closed_form() {
    let (gamma, w, sigma) = (0.95, [0.7, -1.2, 0.4], 0.3);
    let (da, db) = ([[0.1, -0.2, 0.05], [0.0, 0.3, 0.1], [-0.1, 0.0, 0.2]], [[0.2, -0.1], [0.1, 0.1], [0.0, 0.3]]);
    let closed: f64 = (0..3)
        .map(|j| (0..3).map(|i| da[i][j] * w[i]).sum::<f64>().powi(2))
        .chain((0..2).map(|j| (0..3).map(|i| db[i][j] * w[i]).sum::<f64>().powi(2)))
        .sum::<f64>()
        * gamma
        * gamma;
    let norm2: f64 = w.iter().map(|w| w * w).sum();
    let mut rng = Streams::new(9).rng("closed form");
    let mut draw = || f64::from(normal(&mut rng));
    let count = 200_000;
    let (mut real, mut mean, mut drawn, mut distances) = (vec![], vec![], vec![], vec![]);
    for _ in 0..count {
        let (s, a) = ([draw(), draw(), draw()], [draw(), draw()]);
        let value: f64 = draw(); // V(s'): only differences count
        let miss: Vec<f64> = (0..3)
            .map(|i| (0..3).map(|j| da[i][j] * s[j]).sum::<f64>() + (0..2).map(|j| db[i][j] * a[j]).sum::<f64>())
            .collect();
        let change: f64 = miss.iter().zip(w).map(|(miss, w)| miss * w).sum();
        let noise: f64 = w.iter().map(|w| w * sigma * draw()).sum();
        real.push(value);
        mean.push(value + change);
        drawn.push(value + change + noise);
        distances.push(miss.iter().map(|x| x * x).sum::<f64>().sqrt());
    }
    // The square of a normal number has deviation √2 times its mean: five standard errors.
    let tolerance = 5.0 * (2.0 / f64::from(count)).sqrt();
    let error = value_aware_error(gamma, &real, &mean).unwrap();
    assert!((error / closed - 1.0).abs() < tolerance, "{error} {closed}");
    let noisy = value_aware_error(gamma, &real, &drawn).unwrap();
    let expected = closed + (gamma * sigma).powi(2) * norm2;
    assert!((noisy / expected - 1.0).abs() < tolerance, "{noisy} {expected}");
    assert!(error <= lipschitz_bound(gamma, norm2.sqrt(), &distances));
    assert!(value_aware_error(gamma, &real, &mean[1..]).is_err());
}

/// On a bumpy task, with V(s) = sin(3 s₀) + |s₁|, which is √10-Lipschitz: |T*Q − T̂*Q| ≤ γ K ‖ŝ' − s'‖
/// pointwise, so the error is at most the bound. The bound is tight if the value is linear along the
/// miss.
#[test]
fn the_gap_between_the_bellman_operators_is_within_the_lipschitz_bound() {
    let (gamma, k) = (0.99, 10f64.sqrt());
    let value = |s: [f64; 2]| (3.0 * s[0]).sin() + s[1].abs();
    let mut rng = Streams::new(4).rng("bumpy");
    let mut draw = || f64::from(normal(&mut rng));
    let (mut real, mut imagined, mut distances) = (vec![], vec![], vec![]);
    for _ in 0..10_000 {
        let next = [(draw() * 2.0).sin(), draw()];
        let miss = [0.3 * draw(), 0.3 * draw().powi(3)];
        let guess = [next[0] + miss[0], next[1] + miss[1]];
        let distance = (miss[0].powi(2) + miss[1].powi(2)).sqrt();
        let gap = (gamma * (value(guess) - value(next))).abs();
        assert!(gap <= gamma * k * distance + 1e-12);
        real.push(value(next));
        imagined.push(value(guess));
        distances.push(distance);
    }
    let error = value_aware_error(gamma, &real, &imagined).unwrap();
    assert!(error > 0.0 && error <= lipschitz_bound(gamma, k, &distances));
    let linear: Vec<f64> = distances.iter().map(|distance| k * distance).collect();
    let tight = value_aware_error(gamma, &vec![0.0; linear.len()], &linear).unwrap();
    assert!((tight / lipschitz_bound(gamma, k, &distances) - 1.0).abs() < 1e-12);
}
