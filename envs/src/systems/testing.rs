//! The derivatives of every model against finite differences; for the models' tests.

use crate::model::Model;
use crate::numpy_rng::NumpyRng;

/// Compares Jacobians, gradients and the observation's derivative with central differences at
/// random points, and `state_of` with the inverse of `observe`.
pub(super) fn check(model: &dyn Model, width: &[f64], input: f64) {
    let (n, m, o) = (model.state_dim(), model.input_dim(), model.observation_dim());
    let mut rng = NumpyRng::new(5);
    for _ in 0..200 {
        let x: Vec<f64> = width.iter().map(|w| rng.uniform(-w, *w)).collect();
        let u: Vec<f64> = (0..m).map(|_| rng.uniform(-input, input)).collect();
        let (mut a, mut b) = (vec![0.0; n * n], vec![0.0; n * m]);
        model.jacobians(&x, &u, &mut a, &mut b);
        let f = |x: &[f64], u: &[f64], out: &mut [f64]| model.advance(x, u, out);
        assert_close(&a, &differences(&x, n, |x, out| f(x, &u, out)), "∂f/∂x");
        assert_close(&b, &differences(&u, n, |u, out| f(&x, u, out)), "∂f/∂u");
        let (mut cx, mut cu) = (vec![0.0; n], vec![0.0; m]);
        model.cost_gradient(&x, &u, &mut cx, &mut cu);
        assert_close(&cx, &differences(&x, 1, |x, out| out[0] = model.cost(x, &u)), "∂c/∂x");
        assert_close(&cu, &differences(&u, 1, |u, out| out[0] = model.cost(&x, u)), "∂c/∂u");
        let (mut c, mut obs, mut back) = (vec![0.0; o * n], vec![0.0; o], vec![0.0; n]);
        model.observation_jacobian(&x, &mut c);
        assert_close(&c, &differences(&x, o, |x, out| model.observe(x, out)), "∂o/∂x");
        model.observe(&x, &mut obs);
        model.state_of(&obs, &mut back);
        assert_close(&back, &x, "the state behind an observation");
    }
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{what}: {found} {expected}");
    }
}

fn differences(x: &[f64], outputs: usize, f: impl Fn(&[f64], &mut [f64])) -> Vec<f64> {
    let (mut jacobian, mut moved) = (vec![0.0; outputs * x.len()], x.to_vec());
    let (mut above, mut below) = (vec![0.0; outputs], vec![0.0; outputs]);
    for i in 0..x.len() {
        moved[i] = x[i] + 1e-5;
        f(&moved, &mut above);
        moved[i] = x[i] - 1e-5;
        f(&moved, &mut below);
        moved[i] = x[i];
        for j in 0..outputs {
            jacobian[j * x.len() + i] = (above[j] - below[j]) / 2e-5;
        }
    }
    jacobian
}
