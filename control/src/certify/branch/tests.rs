use liprl_numerics::{Init, Mlp};

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
    let refiner = Refiner { network: &two, norm: Norm::Linf, halving: false };
    let root = Leaf { bound: 9.0, output: Some(0), region, splits: Vec::new(), branch: None };
    let root = refiner.evaluate(root).unwrap().unwrap();
    assert!((root.bound - 3.0).abs() < 1e-12);
    let branch = root.branch.unwrap();
    for child in root.children(branch) {
        assert!((refiner.evaluate(child).unwrap().unwrap().bound - 2.0).abs() < 1e-12);
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
