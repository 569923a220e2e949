use liprl_numerics::testing::{finite_difference_jacobian, networks, numbers};

use super::*;

#[test]
fn a_normaliser_that_cannot_be_is_refused() {
    let mlp = Mlp::new(3, &[4], 2, Activation::Relu, false, Init::Uniform);
    let load = |clip: f64, variance_floor: f64| {
        let options = NormaliserOptions { clip, variance_floor };
        let normaliser = Some((RunningNormaliser::new(3, options), options));
        Policy::load(&Policy::new(&mlp, numbers(mlp.len(), "params"), 2, normaliser).to_bytes().unwrap())
    };
    assert!(load(5.0, 0.0).is_ok());
    for (clip, variance_floor) in [(-5.0, 1e-8), (0.0, 1e-8), (5.0, -1.0)] {
        let error = load(clip, variance_floor).unwrap_err();
        assert!(matches!(error, ControlError::Numerics(NumericsError::BadState { .. })), "{error}");
        assert!(error.to_string().contains("the clip must be above 0"), "{error}");
    }
}

/// Compares the slope through head, network and normaliser, a clipped coordinate included, and the
/// action with `Policy::act`.
#[test]
fn a_policys_slope_is_that_of_differences() {
    for net @ (activation, layer_norm, init) in networks() {
        let mlp = Mlp::new(4, &[9, 8], 4, activation, layer_norm, init);
        let options = NormaliserOptions { clip: 1.5, ..NormaliserOptions::default() };
        let mut normaliser = RunningNormaliser::new(4, options);
        normaliser.update(&numbers(40, "rows").iter().map(|x| 3.0 * x + 1.0).collect::<Vec<_>>());
        let mut policy = Policy::new(&mlp, numbers(mlp.len(), "params"), 2, Some((normaliser, options)));
        let mut slope = PolicySlope::new(&policy).unwrap();
        let obs = [0.7f32, -1.1, 2.0, 40.0];
        let wide = obs.map(f64::from);
        let (mut action, mut narrow, mut found) = ([0.0; 2], [0.0f32; 2], [0.0; 4]);
        slope.act(&wide, &mut action);
        policy.act(&obs, &mut narrow).unwrap();
        assert!(action.iter().zip(narrow).all(|(a, b)| (a - f64::from(b)).abs() < 1e-5), "{action:?} {narrow:?}");
        slope.pull_back(&[0.4, -1.3], &mut found);
        let f = |x: &[f64], out: &mut [f64]| {
            slope.act(x, &mut action);
            out[0] = 0.4 * action[0] - 1.3 * action[1];
            Ok::<_, std::convert::Infallible>(())
        };
        let expected = finite_difference_jacobian(f, &wide, 1, 1e-6).unwrap();
        assert_eq!(found[3], 0.0);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{net:?}: {found} {expected}");
        }
        // With noise the action is that of a mean, far from the clip's kink, and so is the slope.
        let mut smoothed = slope.clone().with_noise(0.05, 7);
        let mut mean = [0.0; 2];
        smoothed.act(&wide, &mut mean);
        slope.act(&wide, &mut action);
        assert_ne!(mean, action);
        smoothed.pull_back(&[0.4, -1.3], &mut found);
        let f = |x: &[f64], out: &mut [f64]| {
            smoothed.act(x, &mut mean);
            out[0] = 0.4 * mean[0] - 1.3 * mean[1];
            Ok::<_, std::convert::Infallible>(())
        };
        for (found, expected) in found.iter().zip(finite_difference_jacobian(f, &wide, 1, 1e-6).unwrap()) {
            assert!((found - expected).abs() < 1e-5, "{net:?}: {found} {expected}");
        }
    }
}

#[test]
fn leaky_slopes_outside_zero_to_one_are_refused() {
    for (slope, fits) in [(0.0, true), (1.0, true), (-0.1, false), (1.5, false)] {
        let mlp = Mlp::new(2, &[3], 1, Activation::LeakyRelu(slope), false, Init::Uniform);
        let bytes = Policy::new(&mlp, vec![0.1; mlp.len()], 1, None).to_bytes().unwrap();
        match Policy::load(&bytes) {
            Ok(_) => assert!(fits, "{slope}"),
            Err(error) => assert!(!fits && error.to_string().contains("between 0 and 1"), "{error}"),
        }
    }
}
