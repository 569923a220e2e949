//! Numbers and derivatives for tests of the crates that build on this one.

use rand_distr::{Distribution, StandardNormal};

use crate::{
    activation::{Activation, Init},
    rng::Streams,
};

/// Standard normal draws `[count]`, equal for equal names.
pub fn numbers(count: usize, name: &str) -> Vec<f32> {
    let mut rng = Streams::new(7).rng(name);
    (0..count).map(|_| StandardNormal.sample(&mut rng)).collect()
}

/// These widths of hidden layers, one less if the activation takes pairs and a width is odd.
pub fn widths(activation: Activation, hidden: &[usize]) -> Vec<usize> {
    hidden.iter().map(|width| if activation == Activation::MaxMin { width & !1 } else { *width }).collect()
}

/// Every activation with and without LayerNorm and with two initialisations.
pub fn networks() -> Vec<(Activation, bool, Init)> {
    let mut all = Vec::new();
    for activation in [
        Activation::Relu,
        Activation::LeakyRelu(0.1),
        Activation::Tanh,
        Activation::Swish,
        Activation::Elu,
        Activation::MaxMin,
    ] {
        let orthogonal = Init::Orthogonal { output_gain: 1.0 };
        all.extend(
            [(false, Init::Uniform), (true, orthogonal), (true, Init::Uniform)].map(|(n, i)| (activation, n, i)),
        );
    }
    all
}

/// The Jacobian of `f(x, out)` at `x` by central differences, row-major `[outputs, inputs]`, for
/// functions without autograd such as a simulator's step. `step` is the distance h that each
/// coordinate moves each way, in its own unit. For smooth f the error is about h² |f'''| / 6 +
/// 1e-16 |f| / h, least near h = 1e-5. If f has a kink or a jump within the step (a contact, a
/// termination), the result is a secant's slope and grows as 1/h.
///
/// Calls `f` twice for each coordinate; returns its first error.
pub fn finite_difference_jacobian<E>(
    mut f: impl FnMut(&[f64], &mut [f64]) -> Result<(), E>,
    x: &[f64],
    outputs: usize,
    step: f64,
) -> Result<Vec<f64>, E> {
    let mut jacobian = vec![0.0; outputs * x.len()];
    let (mut moved, mut above, mut below) = (x.to_vec(), vec![0.0; outputs], vec![0.0; outputs]);
    for i in 0..x.len() {
        let (high, low) = (x[i] + step, x[i] - step);
        moved[i] = high;
        f(&moved, &mut above)?;
        moved[i] = low;
        f(&moved, &mut below)?;
        moved[i] = x[i];
        for j in 0..outputs {
            // high − low is the true step, after rounding.
            jacobian[j * x.len() + i] = (above[j] - below[j]) / (high - low);
        }
    }
    Ok(jacobian)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn differences_are_exact_for_quadratics_and_errors_pass_through() {
        // f = (x₀², x₀ x₁, 3): central differences of a quadratic are exact, whatever the step.
        let f = |x: &[f64], out: &mut [f64]| {
            out.copy_from_slice(&[x[0] * x[0], x[0] * x[1], 3.0]);
            Ok::<_, Infallible>(())
        };
        let jacobian = finite_difference_jacobian(f, &[2.0, -1.0], 3, 0.25).unwrap();
        assert_eq!(jacobian, [4.0, 0.0, -1.0, 2.0, 0.0, 0.0]);
        let mut calls = 0;
        let failing = |_: &[f64], _: &mut [f64]| {
            calls += 1;
            if calls == 2 { Err("the simulator diverged") } else { Ok(()) }
        };
        assert_eq!(finite_difference_jacobian(failing, &[0.0, 0.0], 1, 1e-6), Err("the simulator diverged"));
        assert_eq!(calls, 2);
    }
}
