//! Networks and comparisons for tests that hold a hand-written form against autograd.
#![allow(clippy::panic)] // assertions for tests

use tch::Tensor;

use crate::NetworkConfig;

/// The networks of [`numerics`](liprl_numerics::testing::networks) with 32-19 units, or 32-18.
pub fn networks() -> Vec<NetworkConfig> {
    let all = liprl_numerics::testing::networks().into_iter();
    let config = |(activation, layer_norm, init)| NetworkConfig {
        hidden: liprl_numerics::testing::widths(activation, &[32, 19]),
        activation,
        layer_norm,
        init,
        ..NetworkConfig::default()
    };
    all.map(config).collect()
}

/// Asserts equality to 1e-5 of the larger, or of 0.1 for means that nearly cancel.
pub fn assert_close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-5 * a.abs().max(b.abs()).max(0.1), "{a} and {b}");
}

/// Asserts equality of each component to 1e-5 of the longest one.
pub fn assert_gradient(by_hand: &[f32], autograd: &Tensor) {
    let autograd = Vec::<f32>::try_from(autograd.contiguous());
    let Ok(autograd) = autograd else { panic!("not a flat f32 tensor: {autograd:?}") };
    assert_eq!(by_hand.len(), autograd.len());
    let largest = autograd.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    assert!(largest > 0.0);
    for (i, (a, b)) in by_hand.iter().zip(&autograd).enumerate() {
        assert!((a - b).abs() <= 1e-5 * largest, "component {i}: {a} by hand, {b} by autograd, largest {largest}");
    }
}

/// Asserts equality to 1e-3: after a few Adam steps, whose first ones divide rounding errors by
/// gradients as small as they are.
pub fn assert_nearly<T: Copy + Into<f64>>(a: &[T], b: &[T]) {
    assert_eq!(a.len(), b.len());
    for (&a, &b) in a.iter().zip(b) {
        let (a, b): (f64, f64) = (a.into(), b.into());
        assert!((a - b).abs() <= 1e-3 * a.abs().max(b.abs()).max(0.1), "{a} and {b}");
    }
}
