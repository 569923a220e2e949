use liprl_numerics::Streams;
use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::tables::{Constrained, closest};

/// A table whose values are α-Lipschitz, from random actions.
fn table(seed: u64, rows: usize, obs_dim: usize, act_dim: usize, alpha: f64) -> Table {
    let mut rng = Streams::new(seed).rng("table");
    let mut draw = |count: usize| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    let points = Points { x: draw(rows * obs_dim), u: draw(rows * act_dim), obs_dim, act_dim };
    let values = closest(&points, alpha, Constrained::All).unwrap().values;
    Table::new(Points { u: values, ..points }, alpha).unwrap()
}

fn at(table: &mut Table, x: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; table.points.act_dim];
    table.value(x, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_extension_passes_through_the_table_and_is_lipschitz_everywhere(
        seed in 0u64..1000, rows in 1usize..14, dims in (1usize..4, 1usize..4), alpha in 0.2f64..4.0, spread in 0.01f64..3.0
    ) {
        let (obs_dim, act_dim) = dims;
        let mut table = table(seed, rows, obs_dim, act_dim, alpha);
        for i in 0..rows {
            let (x, v) = (table.points.x(i).to_vec(), table.points.u(i).to_vec());
            prop_assert!(distance(&at(&mut table, &x), &v) < 1e-8);
        }
        let mut rng = Streams::new(seed).rng("queries");
        for _ in 0..20 {
            let x: Vec<f64> = (0..obs_dim).map(|_| rng.random_range(-2.0..2.0)).collect();
            let y: Vec<f64> = x.iter().map(|x| x + spread * rng.random_range(-1.0..1.0)).collect();
            let (fx, fy) = (at(&mut table, &x), at(&mut table, &y));
            prop_assert!(distance(&fx, &fy) <= alpha * distance(&x, &y) * (1.0 + 1e-7) + 1e-9,
                "{} > {}", distance(&fx, &fy), alpha * distance(&x, &y));
        }
    }
}

#[test]
fn values_that_the_solver_finds_only_almost_extend_too() {
    let table = table(169, 9, 1, 2, 1.677_113_643_346_333_6);
    assert!(table.points.worst_pair(table.alpha).unwrap().is_none_or(|pair| pair.forced_error(table.alpha) < 1e-12));
}

/// Compares with exchange steps on the simplex, which do not use supports.
#[test]
fn the_weights_solve_the_program() {
    let mut table = table(7, 12, 2, 2, 0.8);
    for x in [[0.1, -0.3], [1.5, 0.2], [-0.9, -0.9]] {
        table.lift(&x);
        let width = 4;
        let value = |weights: &[f64]| {
            let mut centre = [0.0; 4];
            for (i, w) in weights.iter().enumerate() {
                centre.iter_mut().zip(&table.scratch.lifted[i * width..]).for_each(|(c, p)| *c += w * p);
            }
            dot(&centre, &centre) + dot(weights, &table.scratch.linear)
        };
        let (support, weights) = table.minimise();
        let mut full = vec![0.0; 12];
        support.iter().zip(&weights).for_each(|(&i, w)| full[i] = *w);
        // Exchange steps between all pairs, to a local and so global minimum.
        let mut other = vec![1.0 / 12.0; 12];
        let mut by = 0.25;
        while by > 1e-9 {
            let mut better = false;
            for i in 0..12 {
                for j in 0..12 {
                    let step = f64::min(by, other[i]);
                    let mut trial = other.clone();
                    trial[i] -= step;
                    trial[j] += step;
                    if i != j && step > 0.0 && value(&trial) < value(&other) - 1e-16 {
                        other = trial;
                        better = true;
                    }
                }
            }
            if !better {
                by *= 0.5;
            }
        }
        assert!((value(&full) - value(&other)).abs() < 1e-7, "{} {}", value(&full), value(&other));
        assert!(value(&full) <= value(&other) + 1e-10);
    }
}

#[test]
fn between_two_points_by_hand() {
    // Values (0, 0) and (1, 0) at −1 and 1 with α = ½, the least possible: the segment between
    // them, constant beyond.
    let points = Points { x: vec![-1.0, 1.0], u: vec![0.0, 0.0, 1.0, 0.0], obs_dim: 1, act_dim: 2 };
    let mut table = Table::new(points, 0.5).unwrap();
    for (x, expected) in [(-1.0, 0.0), (0.0, 0.5), (0.5, 0.75), (1.0, 1.0)] {
        assert!(distance(&at(&mut table, &[x]), &[expected, 0.0]) < 1e-9, "{x}");
    }
    // Scalars: the mean of the two cones; far out it is the mean of the values at the ends of their
    // reach.
    let points = Points { x: vec![0.0, 1.0], u: vec![0.0, 1.0], obs_dim: 1, act_dim: 1 };
    let mut table = Table::new(points, 2.0).unwrap();
    // At ½: max(−1, 0) = 0 and min(1, 2) = 1.
    assert_eq!(at(&mut table, &[0.5]), [0.5]);
    // At 2: max(−4, −1) = −1 and min(4, 3) = 3.
    assert_eq!(at(&mut table, &[2.0]), [1.0]);
}

#[test]
fn what_cannot_be_extended_is_refused() {
    let points = Points { x: vec![0.0, 1.0], u: vec![0.0, 3.0], obs_dim: 1, act_dim: 1 };
    let error = Table::new(points.clone(), 1.0).unwrap_err().to_string();
    assert!(error.contains("further apart"), "{error}");
    assert!(Table::new(Points { x: vec![0.0, 0.0], u: vec![1.0, 1.0], ..points }, 1.0).is_err());
    assert!(Table::new(Points { obs_dim: 1, act_dim: 1, ..Points::default() }, 1.0).is_err());
}
