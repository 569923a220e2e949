use rand::RngExt;

use super::*;
use crate::certify::{algebra::operator_norm, bound::Norm, network::testing::*, product::product};

/// The bound on the whole Jacobian, without any splitting.
fn unsplit(network: &Network, region: &Region, norm: Norm) -> f64 {
    let Some(slopes) = slopes_on(network, region, &[]).unwrap() else { return 0.0 };
    let rows: Vec<JacobianRow> = (0..network.outputs()).map(|j| row(network, &slopes, j)).collect();
    match norm {
        Norm::Linf => rows.iter().map(|row| row.norm).fold(0.0, f64::max),
        Norm::L2 => spectral_bound(&rows.into_iter().map(|row| row.entries).collect::<Vec<_>>()).unwrap(),
    }
}

#[test]
fn the_hand_example_without_a_split_is_three() {
    let two = by_hand(&[(&[1.0, -1.0, 1.0, 1.0], &[0.0, 0.0]), (&[1.0, 1.0], &[0.0])], 2, Activation::Relu);
    let region = Region::around(&[1.0, 0.0], &[0.6, 0.6]).unwrap();
    assert!((product(&two, Norm::Linf).unwrap() - 4.0).abs() < 1e-7);
    assert!((unsplit(&two, &region, Norm::Linf) - 3.0).abs() < 1e-12);
    for positive in [true, false] {
        let slopes = slopes_on(&two, &region, &[Split { layer: 0, neuron: 0, positive }]).unwrap().unwrap();
        assert!((row(&two, &slopes, 0).norm - 2.0).abs() < 1e-12);
    }
}

#[test]
fn stable_neurons_leave_the_exact_jacobian() {
    let two = by_hand(&[(&[1.0, -1.0, 1.0, 1.0], &[0.0, 0.0]), (&[1.0, 1.0], &[0.0])], 2, Activation::Relu);
    let region = Region::around(&[1.0, 0.0], &[0.3, 0.3]).unwrap();
    assert!((unsplit(&two, &region, Norm::Linf) - 2.0).abs() < 1e-12);
    assert!((unsplit(&two, &region, Norm::L2) - 2.0).abs() < 1e-12);
}

#[test]
fn no_sampled_jacobian_leaves_its_bounds() {
    let mut rng = rng("jacobians over boxes");
    for activation in ACTIVATIONS {
        for (squashed, radius) in [(false, 0.02), (true, 0.2), (false, 1.0), (true, 3.0)] {
            let network = gaussian(&[3, 10, 8, 6, 2], activation, squashed, &mut rng);
            let centre: Vec<f64> = (0..3).map(|_| rng.random_range(-1.0..1.0)).collect();
            let region = Region::around(&centre, &[radius; 3]).unwrap();
            let slopes = slopes_on(&network, &region, &[]).unwrap().unwrap();
            let rows: Vec<JacobianRow> = (0..2).map(|j| row(&network, &slopes, j)).collect();
            for _ in 0..500 {
                let x: Vec<f64> =
                    region.low().iter().zip(region.high()).map(|(l, h)| rng.random_range(*l..=*h)).collect();
                let Some(jacobian) = network.jacobian(&x) else { continue };
                for (j, row) in rows.iter().enumerate() {
                    for (i, (low, high)) in row.entries.ends().enumerate() {
                        let entry = jacobian[(j, i)];
                        assert!(low - 1e-12 <= entry && entry <= high + 1e-12, "{activation:?}: {entry} {low} {high}");
                    }
                }
                for norm in [Norm::L2, Norm::Linf] {
                    let (found, bound) =
                        (operator_norm(jacobian.as_ref(), norm).unwrap(), unsplit(&network, &region, norm));
                    assert!(found <= bound * (1.0 + 1e-12), "{activation:?} {norm:?}: {found} {bound}");
                }
            }
            // A small box has little to be unsure of.
            let sharp = operator_norm(network.jacobian(&centre).unwrap().as_ref(), Norm::Linf).unwrap();
            assert!(radius > 0.1 || unsplit(&network, &region, Norm::Linf) < 3.0 * sharp, "{activation:?}");
        }
    }
}

#[test]
fn ranges_alone_bound_what_lines_of_slopes_bound_closer() {
    use crate::certify::substitution::Planes;

    let mut rng = rng("ranges");
    for activation in [Activation::Relu, Activation::Tanh] {
        let network = gaussian(&[3, 12, 10, 2], activation, false, &mut rng);
        let region = Region::around(&[0.1, -0.2, 0.3], &[0.2; 3]).unwrap();
        let slopes = slopes_on(&network, &region, &[]).unwrap().unwrap();
        let end: Vec<f64> = network.weights()[2].row(0).iter().copied().collect();
        let backward = Backward::new(1, &end);
        let rows = Rows::Products(1, slopes.relaxed.stages[1].weight.transpose().to_owned(), vec![0.0; 12]);
        let bounds = |planes| {
            let found = slopes.relaxed.substituted(rows.clone(), Some(&backward), planes);
            slopes.relaxed.most(&found)
        };
        let (ranges, chords) = (bounds(Planes::Ranges), bounds(Planes::Chords));
        for _ in 0..500 {
            let x: Vec<f64> = region.ends().map(|(low, high)| rng.random_range(low..=high)).collect();
            let z = &network.trace(&x).z[1];
            for (i, (by_ranges, by_lines)) in ranges.iter().zip(&chords).enumerate() {
                let terms = z.iter().zip(&end).enumerate();
                let a: f64 = terms
                    .map(|(k, (&z, end))| {
                        network.weights()[1][(k, i)] * crate::certify::slopes::slope(activation, z) * end
                    })
                    .sum();
                assert!(a <= by_ranges + 1e-12 && a <= by_lines + 1e-12, "{activation:?} {i}: {a}");
            }
        }
    }
}
