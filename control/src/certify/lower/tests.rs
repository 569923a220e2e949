use liprl_numerics::Activation;

use super::*;
use crate::certify::network::testing::*;

#[test]
fn climbing_reaches_a_constant_that_is_known() {
    // 1 + tanh'(x) along x₁ + x₂ is largest at 0: f = 2 tanh(x₁ + x₂), constant 2 √2.
    let network = by_hand(&[(&[1.0, 1.0], &[-3.0]), (&[2.0], &[0.0])], 2, Activation::Tanh);
    let mut rng = rng("climb");
    for (norm, expected) in [(Norm::L2, 8f64.sqrt()), (Norm::Linf, 4.0)] {
        let found = lower_bound(&network, norm, &LowerOptions::default(), &mut rng).unwrap();
        assert!(found.lower <= expected && found.lower > expected * (1.0 - 1e-3), "{found:?}");
        assert!((found.at[0] + found.at[1] - 3.0).abs() < 0.1, "{found:?}");
    }
}

#[test]
fn a_box_keeps_the_search_inside() {
    let network = by_hand(&[(&[1.0, 1.0], &[-3.0]), (&[2.0], &[0.0])], 2, Activation::Tanh);
    let region = Region::around(&[0.0, 0.0], &[0.5, 0.5]).unwrap();
    let options = LowerOptions { region: Some(&region), points: &[5.0, 5.0], ..LowerOptions::default() };
    let found = lower_bound(&network, Norm::L2, &options, &mut rng("box")).unwrap();
    // The steepest corner is (½, ½): 2 √2 (1 − tanh²(−2)).
    let expected = 8f64.sqrt() * (1.0 - 2f64.tanh().powi(2));
    assert!(region.contains(&found.at) && found.lower <= expected && found.lower > 0.999 * expected, "{found:?}");
}

#[test]
fn wrong_dimensions_are_refused() {
    let network = by_hand(&[(&[1.0, 1.0], &[0.0])], 2, Activation::Relu);
    let region = Region::around(&[0.0], &[1.0]).unwrap();
    let in_box = LowerOptions { region: Some(&region), ..LowerOptions::default() };
    let points = LowerOptions { points: &[1.0; 3], ..LowerOptions::default() };
    for options in [in_box, points] {
        assert!(lower_bound(&network, Norm::L2, &options, &mut rng("wrong")).is_err());
    }
}
