use liprl_numerics::{Init, Mlp};
use rand::RngExt;

use super::*;
use crate::certify::network::{Input, OutputMap, testing::*};

fn bound(network: &Network, region: &Region, norm: Norm) -> Bound {
    local_bound(network, region, norm, &LocalOptions::default()).unwrap()
}

#[test]
fn the_hand_example_is_exact_after_splitting() {
    let two = by_hand(&[(&[1.0, -1.0, 1.0, 1.0], &[0.0, 0.0]), (&[1.0, 1.0], &[0.0])], 2, Activation::Relu);
    let region = Region::around(&[1.0, 0.0], &[0.6, 0.6]).unwrap();
    let found = bound(&two, &region, Norm::Linf);
    assert!(found.finished() && (found.upper - 2.0).abs() < 1e-5, "{found:?}");
    // The two unsure neurons have four patterns; the rows (1, ±1) and (2, 0) sum to 2.
    let mut refiner = Refiner { network: &two, norm: Norm::Linf, lower: 0.0, deadline: None };
    let root = Leaf { bound: 9.0, output: Some(0), region, splits: Vec::new(), sdp: None, cuts: Vec::new() };
    let root = refiner.evaluate(root).unwrap().unwrap();
    assert!((root.bound - 2.0).abs() < 1e-12 && (refiner.lower - 2.0).abs() < 1e-8);
}

#[test]
fn a_kink_that_no_halving_moves_is_exact_at_once() {
    // Only the first neuron is unsure, and ‖[[d, 1], [d, −1]]‖₂ = √2 for d in [0, 1]. Further
    // inputs without effect change nothing.
    for inputs in [2, 6, 7] {
        let mut first = vec![0.0; 3 * inputs];
        (first[0], first[inputs + 1], first[2 * inputs + 1]) = (1.0, 1.0, 10.0);
        let last: &[f32] = &[1.0, 1.0, 10.0, 1.0, -1.0, 10.0];
        let network = by_hand(&[(&first, &[0.0, 10.0, -100.0]), (last, &[0.0; 2])], inputs, Activation::Relu);
        let region = Region::around(&vec![0.1; inputs], &vec![0.5; inputs]).unwrap();
        let found = bound(&network, &region, Norm::L2);
        let ratio = found.upper / 2f64.sqrt();
        assert!(found.finished() && (1.0..1.0 + 1e-6).contains(&ratio), "{inputs}: {found:?}");
        assert!(found.lower <= 2f64.sqrt() && found.lower > 1.414, "{inputs}: {found:?}");
    }
}

#[test]
fn a_tanh_at_the_end_is_searched_where_no_kink_is_left() {
    // With s the mean of the inputs, within ± ½, and h = relu(s + 1) = s + 1, the outputs are
    // tanh(s − ½) and tanh(s + ½). No s has both at their steepest: ‖J‖₂ = √(sech⁴(s − ½) + sech⁴(s
    // + ½))/√8, less than √2/√8 = ½.
    let mlp = Mlp::new(8, &[1], 2, Activation::Relu, false, Init::Uniform);
    let params: Vec<f32> = [vec![0.125f32; 8], vec![1.0, 1.0, 1.0], vec![-1.5, -0.5]].concat();
    let network = Network::new("tanh", &mlp, &params, &[Input::RAW; 8], OutputMap::Tanh(vec![1.0; 2])).unwrap();
    let region = Region::around(&[0.0; 8], &[0.5; 8]).unwrap();
    let slope = |z: f64| 1.0 - z.tanh().powi(2);
    let means = (0..=10_000).map(|step| f64::from(step) / 10_000.0 - 0.5);
    let exact = means.map(|s| slope(s - 0.5).hypot(slope(s + 0.5))).fold(0.0, f64::max) / 8f64.sqrt();
    let options = LocalOptions { leaves: 2000, ..LocalOptions::default() };
    let found = local_bound(&network, &region, Norm::L2, &options).unwrap();
    assert!(found.upper >= exact, "{found:?} {exact}");
    assert!(!found.finished() || found.upper < exact * (1.0 + 1e-5), "{found:?} {exact}");
    // Every coordinate halved once, which takes 255 cuts, s is known to ½: worst is s within ± ¼,
    // √2 sech²(¼)/√8 = 0.4700.
    assert!(found.upper < 0.4701, "{found:?}");
}

#[test]
fn a_limit_of_leaves_leaves_a_valid_bound() {
    let mut rng = rng("limits");
    let network = gaussian(&[9, 12, 12, 2], Activation::Relu, false, &mut rng);
    let region = Region::around(&[0.0; 9], &[1.0; 9]).unwrap();
    let mut last = f64::INFINITY;
    for leaves in [0, 10, 100, 400] {
        let options = LocalOptions { leaves, ..LocalOptions::default() };
        let found = local_bound(&network, &region, Norm::Linf, &options).unwrap();
        // No time limit was given that could have come first.
        assert!(leaves > 10 || found.ended == Ended::LeafLimit, "{leaves}: {found:?}");
        assert!(found.upper <= last * (1.0 + 1e-12), "more leaves, no larger bound: {} {last}", found.upper);
        last = found.upper;
    }
    let late = LocalOptions { time_limit: Some(Duration::ZERO), ..LocalOptions::default() };
    assert_eq!(local_bound(&network, &region, Norm::Linf, &late).unwrap().ended, Ended::TimeLimit);
    assert!(
        last < 0.95
            * local_bound(&network, &region, Norm::Linf, &LocalOptions { leaves: 0, ..LocalOptions::default() })
                .unwrap()
                .upper
    );
}

#[test]
fn a_box_of_another_dimension_is_refused() {
    let network = by_hand(&[(&[1.0], &[0.0])], 1, Activation::Relu);
    let region = Region::around(&[0.0; 2], &[1.0; 2]).unwrap();
    assert!(local_bound(&network, &region, Norm::L2, &LocalOptions::default()).is_err());
}

#[test]
fn a_gap_that_no_cut_closes_is_told() {
    // At x = 0 exactly, the slope of relu can be anything between 0 and 1.
    let network = by_hand(&[(&[1.0], &[0.0]), (&[1.0], &[0.0])], 1, Activation::Relu);
    let found = bound(&network, &Region::around(&[0.0], &[0.0]).unwrap(), Norm::L2);
    assert!(found.ended == Ended::Indivisible && (found.upper - 1.0).abs() < 1e-8 && found.lower == 0.0, "{found:?}");
}

#[test]
fn bounds_of_smooth_networks_close_in_with_the_square_of_the_box() {
    let mut rng = rng("smooth");
    // Slopes apart from their inputs leave 1.2 and more. ELU's second derivative jumps at 0, so its
    // bounds are a little wider.
    for (activation, squashed, at_once, later) in [
        (Activation::Tanh, false, 1.06, 1.01),
        (Activation::Swish, true, 1.06, 1.01),
        (Activation::Tanh, true, 1.06, 1.01),
        (Activation::Elu, false, 1.1, 1.03),
    ] {
        let network = gaussian(&[4, 32, 32, 2], activation, squashed, &mut rng);
        for radius in [0.01, 0.1] {
            let region = Region::around(&[0.1, -0.2, 0.3, 0.0], &[radius; 4]).unwrap();
            for norm in [Norm::L2, Norm::Linf] {
                let once = LocalOptions { leaves: 0, ..LocalOptions::default() };
                let few = LocalOptions { leaves: 300, ..LocalOptions::default() };
                let root = local_bound(&network, &region, norm, &once).unwrap();
                let refined = local_bound(&network, &region, norm, &few).unwrap();
                for _ in 0..2000 {
                    let ends = region.low().iter().zip(region.high());
                    let x: Vec<f64> = ends.map(|(low, high)| rng.random_range(*low..=*high)).collect();
                    let found = operator_norm(network.jacobian(&x).unwrap().as_ref(), norm).unwrap();
                    assert!(found <= refined.upper && refined.upper <= root.upper, "{found} {refined:?}");
                }
                if radius < 0.05 {
                    assert!(root.upper < refined.lower * at_once, "{root:?} {refined:?}");
                    assert!(refined.upper < refined.lower * later, "{refined:?}");
                }
            }
        }
    }
}
