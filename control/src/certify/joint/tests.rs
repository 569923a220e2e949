use rand::RngExt;

use super::*;
use crate::certify::{elimination::Problem, network::testing::*, slopes::sector};
use liprl_numerics::Activation;

/// Two layers, the second also sees the inputs, with some units held to one slope.
fn dense(activation: Activation) -> Joint {
    let mut rng = rng("dense inequality");
    let mut draw = |rows: usize, columns: usize| Mat::from_fn(rows, columns, |_, _| rng.random_range(-0.7..0.7));
    let (first, second, last) = (draw(5, 3), draw(4, 8), draw(2, 12));
    let carry = |own: &Mat<f64>, kept: usize| {
        Mat::from_fn(kept + own.nrows(), own.ncols(), |i, j| match i.checked_sub(kept) {
            Some(i) => own[(i, j)],
            None => f64::from(u8::from(i == j)),
        })
    };
    let all = sector(activation);
    let mut slopes = vec![vec![(1.0, 1.0); 3], vec![(1.0, 1.0); 8]];
    slopes[0].extend([all; 5]);
    slopes[1].extend([all; 4]);
    (slopes[0][4], slopes[1][8], slopes[1][9]) = ((0.2, 0.7), (1.0, 1.0), (0.0, 0.0));
    Joint::new(&[carry(&first, 3), carry(&second, 8)], &[3, 8], &slopes, all, &last)
}

#[test]
fn a_chain_has_the_value_that_layer_after_layer_has() {
    let mut rng = rng("chain");
    for activation in ACTIVATIONS {
        let network = gaussian(&[3, 6, 5, 4, 2], activation, false, &mut rng);
        let (hidden, last) = (&network.weights()[..3], network.last_weight());
        let sectors = network.sectors();
        let joint = Joint::new(hidden, &[0; 3], &sectors, sector(activation), &last);
        // The weights as they are, neither evened out nor divided by their norms.
        let layer = |(weight, sector): (&Mat<f64>, &Vec<(f64, f64)>)| crate::certify::elimination::Layer {
            weight: weight.clone(),
            sector: sector.clone(),
        };
        let layers = hidden.iter().zip(&sectors).map(layer).collect();
        let chain = Problem { layers, last_gram: last.transpose() * &last };
        let t: Vec<f64> =
            joint.greedy().unwrap().unwrap().iter().zip(0..).map(|(t, i)| t + 0.1 * f64::from(i).sin().abs()).collect();
        let (ours, theirs) = (joint.value(&t, 9.0).unwrap().unwrap(), chain.value(&t, 9.0).unwrap().unwrap());
        assert!((ours.rho / theirs.rho - 1.0).abs() < 1e-9, "{activation:?}: {} {}", ours.rho, theirs.rho);
        for (a, b) in ours.gradient.iter().zip(&theirs.gradient) {
            assert!((a - b).abs() < 1e-8 * ours.rho, "{activation:?}: {a} {b}");
        }
    }
}

#[test]
fn the_gradient_equals_finite_differences() {
    for activation in ACTIVATIONS {
        let joint = dense(activation);
        let x: Vec<f64> = joint
            .greedy()
            .unwrap()
            .unwrap()
            .iter()
            .zip(0..)
            .map(|(x, i)| x + 0.05 * f64::from(i).sin().abs())
            .collect();
        assert_eq!(x.len(), 7);
        let value = joint.value(&x, 30.0).unwrap().unwrap();
        for i in 0..x.len() {
            let moved = |by: f64| {
                let mut moved = x.clone();
                moved[i] += by;
                joint.value(&moved, 30.0).unwrap().unwrap().smooth
            };
            let (h, gradient) = (1e-5, value.gradient[i]);
            let difference = (moved(h) - moved(-h)) / (2.0 * h);
            assert!(
                (difference - gradient).abs() < 1e-6 * gradient.abs().max(3e-2),
                "{activation:?} {i}: {difference} {gradient}"
            );
        }
    }
}

#[test]
fn a_bound_too_small_is_not_proven() {
    for activation in ACTIVATIONS {
        let joint = dense(activation);
        let x = joint.greedy().unwrap().unwrap();
        let rho = joint.value(&x, 1.0).unwrap().unwrap().rho;
        assert!(joint.proves(&x, rho * (1.0 + 1e-7)) && !joint.proves(&x, rho * (1.0 - 1e-7)), "{activation:?}");
        assert!(!joint.proves(&x, f64::NAN));
    }
}
