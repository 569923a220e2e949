use liprl_envs::NumpyRng;
use liprl_numerics::{StreamRng, Streams};
use rand::RngExt;

use super::*;

/// 150 states uniform on [−1, 1]² by NumPy's `default_rng(0)` and the double integrator's LQR
/// expert.
fn double_integrator() -> Points {
    let mut rng = NumpyRng::new(0);
    let x: Vec<f64> = (0..300).map(|_| rng.uniform(-1.0, 1.0)).collect();
    let u = x.chunks_exact(2).map(|x| -(0.917075 * x[0] + 1.635596 * x[1])).collect();
    Points { x, u, obs_dim: 2, act_dim: 1 }
}

fn random(rng: &mut StreamRng, rows: usize, obs_dim: usize, act_dim: usize) -> Points {
    let mut draw = |count: usize| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Points { x: draw(rows * obs_dim), u: draw(rows * act_dim), obs_dim, act_dim }
}

/// Compares with values by cvxpy with Clarabel over all 11,175 pairs.
#[test]
fn the_double_integrator_s_values_are_those_of_the_full_program() {
    let (points, norm) = (double_integrator(), 1.875153);
    for (share, expected, scaled) in
        [(0.25, 0.63918, 0.66610), (0.5, 0.28061, 0.29604), (0.75, 0.068753, 0.074011), (1.0, 0.0, 0.0)]
    {
        let fit = closest(&points, share * norm, Constrained::All).unwrap();
        assert!((fit.mse - expected).abs() < 1e-4 * expected.max(0.01), "{share}: {} {expected}", fit.mse);
        assert!(fit.lower <= fit.mse + 1e-9 && fit.mse - fit.lower < 1e-6, "{share}: {} {}", fit.lower, fit.mse);
        assert!(slope(&points.x, 2, &fit.values, 1) <= share * norm * (1.0 + 1e-12));
        // Scaling the expert down is Lipschitz too, and worse.
        let linear: Vec<f64> = points.u.iter().map(|u| share * u).collect();
        assert!((points.mse(&linear) - scaled).abs() < 1e-4 && points.mse(&linear) >= fit.mse - 1e-9);
    }
}

/// The optimum by Dykstra's projections onto the pairs' constraints, one after the other: slow and
/// independent.
fn dykstra(points: &Points, alpha: f64, sweeps: usize) -> f64 {
    let (n, m) = (points.len(), points.act_dim);
    let mut v = points.u.clone();
    let mut kept = vec![vec![0.0; m]; n * n];
    for _ in 0..sweeps {
        for i in 0..n {
            for j in 0..i {
                let kept = &mut kept[i * n + j];
                // The constraint is on w = vᵢ − vⱼ alone: the projection moves both by opposite
                // halves.
                let w: Vec<f64> = (0..m).map(|k| v[i * m + k] - v[j * m + k] + 2.0 * kept[k]).collect();
                let norm = w.iter().map(|w| w * w).sum::<f64>().sqrt();
                let limit = alpha * distance(points.x(i), points.x(j));
                let share = if norm > limit { 1.0 - limit / norm } else { 0.0 };
                for k in 0..m {
                    let by = 0.5 * share * w[k];
                    v[i * m + k] += kept[k] - by;
                    v[j * m + k] -= kept[k] - by;
                    kept[k] = by;
                }
            }
        }
    }
    points.mse(&v)
}

#[test]
fn random_programs_equal_alternating_projections() {
    let mut rng = Streams::new(3).rng("oracle");
    for (rows, obs_dim, act_dim, alpha) in [(6, 1, 1, 1.0), (9, 2, 1, 0.5), (8, 3, 2, 0.7), (10, 2, 3, 1.5)] {
        let points = random(&mut rng, rows, obs_dim, act_dim);
        let fit = closest(&points, alpha, Constrained::All).unwrap();
        let expected = dykstra(&points, alpha, 20_000);
        assert!((fit.mse - expected).abs() < 1e-6, "{rows} {act_dim}: {} {expected}", fit.mse);
        assert!(slope(&points.x, obs_dim, &fit.values, act_dim) <= alpha * (1.0 + 1e-12));
        assert!(fit.lower <= fit.mse + 1e-9);
    }
}

#[test]
fn two_contradicting_pairs_by_hand() {
    // |v₁ − v₂| ≤ 1 for actions 0 and 3: each moves by 1, so (1 + 1)/2.
    let points = Points { x: vec![0.0, 1.0], u: vec![0.0, 3.0], obs_dim: 1, act_dim: 1 };
    let fit = closest(&points, 1.0, Constrained::All).unwrap();
    assert!((fit.mse - 1.0).abs() < 1e-8 && (fit.values[0] - 1.0).abs() < 1e-8, "{fit:?}");
    // At one observation only the mean is possible, whatever α.
    let points = Points { x: vec![2.0, 2.0], ..points };
    let fit = closest(&points, 1e9, Constrained::All).unwrap();
    assert_eq!((fit.mse, fit.lower, fit.values), (2.25, 2.25, vec![1.5, 1.5]));
}

#[test]
fn edges_alone_give_a_lower_value_and_all_of_them_the_same() {
    let points = random(&mut Streams::new(4).rng("oracle"), 30, 2, 2);
    let all: Vec<(usize, usize)> = (0..30).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
    let some: Vec<(usize, usize)> = all.iter().copied().step_by(7).collect();
    let value = |constrained| closest(&points, 0.5, constrained).unwrap().mse;
    let (full, of_all, of_some) =
        (value(Constrained::All), value(Constrained::Edges(&all)), value(Constrained::Edges(&some)));
    assert!((full - of_all).abs() < 1e-6 && of_some < full - 1e-3, "{full} {of_all} {of_some}");
}

#[test]
fn a_constant_that_is_not_positive_and_finite_is_refused() {
    for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = closest(&double_integrator(), alpha, Constrained::All).unwrap_err().to_string();
        assert!(error.contains("positive and finite"), "{error}");
    }
}
