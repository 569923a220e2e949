use liprl_numerics::Activation;

use super::*;
use crate::certify::{
    branch::{LocalOptions, local_bound},
    network::testing::*,
};

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
fn slopes_far_from_zero_are_lower_bounds_too() {
    // tanh(x + z) at x = 0: 1/cosh²(z), where 1 − tanh² has no digit left.
    for z in [0.5f32, 15.0, 19.0, 30.0] {
        let network = by_hand(&[(&[1.0], &[z]), (&[1.0], &[0.0])], 1, Activation::Tanh);
        let region = Region::around(&[0.0], &[0.0]).unwrap();
        let in_box = LowerOptions { region: Some(&region), ..LowerOptions::default() };
        let exact = f64::from(z).cosh().recip().powi(2);
        for norm in [Norm::L2, Norm::Linf] {
            let lower = lower_bound(&network, norm, &in_box, &mut rng("far")).unwrap().lower;
            assert!(lower <= exact && lower > exact * (1.0 - 1e-8), "{z}: {lower} {exact}");
            let bound = local_bound(&network, &region, norm, &LocalOptions::default()).unwrap();
            assert!(
                bound.upper >= exact && bound.upper < exact * (1.0 + 1e-8) && bound.lower <= exact,
                "{z}: {bound:?}"
            );
        }
    }
}

#[test]
fn terms_that_cancel_leave_bounds_on_the_right_side() {
    // (m − 1)(m + 1) m − m m m = −m for x > 0: the two products have 71 bits.
    for m in [4096.0f32, 1_048_577.0, 11_184_813.0] {
        let layers: [(&[f32], &[f32]); 3] =
            [(&[m, m], &[0.0; 2]), (&[m + 1.0, 0.0, 0.0, m], &[0.0; 2]), (&[m - 1.0, -m], &[0.0])];
        let network = by_hand(&layers, 1, Activation::Relu);
        let region = Region::new(vec![1.0], vec![2.0]).unwrap();
        let in_box = LowerOptions { region: Some(&region), ..LowerOptions::default() };
        for norm in [Norm::L2, Norm::Linf] {
            let lower = lower_bound(&network, norm, &in_box, &mut rng("cancel")).unwrap().lower;
            let bound = local_bound(&network, &region, norm, &LocalOptions::default()).unwrap();
            let exact = f64::from(m);
            assert!(lower <= exact && bound.lower <= exact && exact <= bound.upper, "{m}: {lower} {bound:?}");
            assert!(m > 1e5 || (lower > 0.999 * exact && bound.upper < 1.001 * exact), "{m}: {lower} {bound:?}");
        }
    }
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
