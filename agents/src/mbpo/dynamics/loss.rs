//! Losses of a member's outputs: squared errors, or a Gaussian's negative log-likelihood with bounded
//! log-variance (Chua et al. 2018, appendix A.1; the authors' code of Janner et al. 2019).
//!
//! With D predicted coordinates, B rows and the outputs (μ, ℓ):
//!
//! ℓ₁ = max − softplus(max − ℓ),  ℓ₂ = min + softplus(ℓ₁ − min),
//!
//! L = Σ over members of mean over rows and coordinates of (μ − y)² e^{−ℓ₂} + ℓ₂
//!     + 0.01 Σ max − 0.01 Σ min + Σ c/2 ‖W‖².
//!
//! A deterministic model has L = Σ over members of mean (μ − y)², and the decay. `autograd` is the
//! specification, on any float type; the rest is written by hand.

use liprl_nets::Autograd;
use liprl_numerics::Mlp;
use tch::{Kind, Tensor};

use super::log_variance::{Bounded, LogVarianceBounds};

/// The weight that pulls the bounds inwards.
pub const BOUND_WEIGHT: f64 = 0.01;

/// Numbers of at most e^{80} whose product is a finite f64.
const FACTORS: usize = 8;

/// L by autograd. `params` is one flat tensor as `Parameters` has it, `x [E, B, inputs]`, `y [E, B, D]`.
pub fn autograd(mlp: &Mlp, gaussian: bool, decay: &[f64], params: &Tensor, x: &Tensor, y: &Tensor) -> Tensor {
    let (members, dims) = (x.size()[0], y.size()[2]);
    let bounds = params.narrow(0, members * mlp.len() as i64, if gaussian { 2 * dims } else { 0 });
    let mut total = Tensor::zeros([], (params.kind(), params.device()));
    for member in 0..members {
        let own = params.narrow(0, member * mlp.len() as i64, mlp.len() as i64);
        let (output, y) = (mlp.forward(&own, &x.get(member)), y.get(member));
        total += if gaussian {
            let (max, min) = (bounds.narrow(0, 0, dims), bounds.narrow(0, dims, dims));
            let log_var = bounded(&output.narrow(1, dims, dims), &max, &min);
            ((output.narrow(1, 0, dims) - y).square() * (-&log_var).exp() + log_var).mean(None::<Kind>)
        } else {
            (output - y).square().mean(None::<Kind>)
        };
        for (layer, c) in mlp.layers.iter().zip(decay) {
            let weight = own.narrow(0, layer.start as i64, (layer.inputs * layer.outputs) as i64);
            total += weight.square().sum(None::<Kind>) * (0.5 * c);
        }
    }
    if gaussian {
        let (max, min) = (bounds.narrow(0, 0, dims).sum(None::<Kind>), bounds.narrow(0, dims, dims).sum(None::<Kind>));
        total += (max - min) * BOUND_WEIGHT;
    }
    total
}

/// ℓ₂ by autograd.
fn bounded(log_var: &Tensor, max: &Tensor, min: &Tensor) -> Tensor {
    let below = max - (max - log_var).softplus();
    min + (below - min).softplus()
}

/// Adds Σ (μ − y)² of rows of outputs against `target`, both `[R, D]`, to `sum`. `slopes` takes the
/// gradient of `share` times it (1 over rows and coordinates of the whole batch).
pub fn squared(output: &[f32], target: &[f32], share: f64, slopes: &mut [f32], sum: &mut f64) {
    let factor = (2.0 * share) as f32;
    for ((slope, output), target) in slopes.iter_mut().zip(output).zip(target) {
        let error = output - target;
        *sum += f64::from(error * error);
        *slope = factor * error;
    }
}

/// Adds the likelihood term of rows of outputs `[R, 2D]` against `target [R, D]` to `sum`. `slopes`
/// takes the gradient of `share` times it; that of the bounds is added to `bound_slopes [2D]`.
pub fn gaussian(
    output: &[f32],
    target: &[f32],
    bounds: &LogVarianceBounds,
    share: f64,
    slopes: &mut [f32],
    sum: &mut f64,
    bound_slopes: &mut [f64],
) {
    let dims = bounds.len();
    let (max_slopes, min_slopes) = bound_slopes.split_at_mut(dims);
    let share32 = share as f32;
    bounds.shares(output, slopes);
    let least: f64 = bounds.min().iter().map(|min| f64::from(*min)).sum();
    let rows = output.chunks_exact(2 * dims).zip(slopes.chunks_exact_mut(2 * dims)).zip(target.chunks_exact(dims));
    for ((output, slopes), target) in rows {
        *sum += least;
        // Few enough factors that the product stays in f64: one logarithm for all of them.
        for start in (0..dims).step_by(FACTORS) {
            let mut product = 1.0;
            for j in start..dims.min(start + FACTORS) {
                let Bounded { odds, precision, to_raw, to_below } = bounds.bounded(j, slopes[dims + j]);
                product *= 1.0 + f64::from(odds);
                let error = output[j] - target[j];
                let weighted = error * precision;
                *sum += f64::from(weighted * error);
                slopes[j] = 2.0 * share32 * weighted;
                // ∂/∂ℓ₂, then along ℓ₂ → ℓ₁ → ℓ and to the bounds beside each.
                let slope = share32 * (1.0 - weighted * error);
                slopes[dims + j] = slope * to_below * to_raw;
                max_slopes[j] += f64::from(slope * to_below * (1.0 - to_raw));
                min_slopes[j] += f64::from(slope * (1.0 - to_below));
            }
            *sum += product.ln();
        }
    }
}
