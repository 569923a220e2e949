//! Proven Lipschitz constants of a perceptron, layer by layer, in the Euclidean norm.
//!
//! A composition's constant is at most the product of its parts' (Szegedy et al. 2014, section
//! 4.3):
//!
//! - a linear layer: ‖W‖₂, its largest singular value, exactly;
//! - an activation, coordinate by coordinate: the largest |φ'|;
//! - LayerNorm: ‖diag(scale) P‖₂ / √ε, P taking off the mean, exactly (see `layer_norm_constant`).
//!
//! The product is a bound for every input, usually a loose one. All of it is computed in f64: what
//! is called exact or proven is so up to a relative 1e-13 or thereabouts.

use liprl_numerics::{Activation, Mlp, NORM_EPS, SWISH_CONSTANT};
use tch::{Device, Kind, Tensor};

use crate::NetsError;

/// The most by which one layer stretches distances, factor by factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerBound {
    /// ‖W‖₂.
    pub weight: f64,
    /// LayerNorm's constant; 1 without it.
    pub norm: f64,
    /// The activation's constant; 1 after the last layer.
    pub activation: f64,
}

impl LayerBound {
    /// The layer's constant.
    pub fn product(&self) -> f64 {
        self.weight * self.norm * self.activation
    }
}

/// A bound on the Lipschitz constant of `mlp` with parameters `params [len]` (any device and float
/// type): the product of its layers'. Not finite where a parameter is not. A dense network's layer
/// v ↦ (v, φ(Wv + b)) has the constant √(1 + φ's² ‖W‖²).
pub fn product_bound(mlp: &Mlp, params: &Tensor) -> Result<f64, NetsError> {
    if mlp.dense {
        let each = |bound: &LayerBound| bound.product().mul_add(bound.product(), 1.0).sqrt();
        let bounds = layer_bounds(mlp, params)?;
        let last = bounds.last().map_or(1.0, LayerBound::product);
        return Ok(bounds.iter().rev().skip(1).map(each).product::<f64>() * last);
    }
    Ok(layer_bounds(mlp, params)?.iter().map(LayerBound::product).product())
}

/// Each layer's constants, first to last; `params [len]` as for `Mlp::forward`. Fails where
/// `params` is too short.
pub fn layer_bounds(mlp: &Mlp, params: &Tensor) -> Result<Vec<LayerBound>, NetsError> {
    let params = on_cpu(params)?;
    let part = |start: usize, len: usize| params.f_narrow(0, start as i64, len as i64);
    mlp.layers
        .iter()
        .map(|layer| {
            let weight = part(layer.start, layer.inputs * layer.outputs)?;
            let weight = weight.f_view([1, layer.outputs as i64, layer.inputs as i64])?;
            Ok(LayerBound {
                weight: spectral_norms(&weight)?[0],
                norm: if layer.norm { layer_norm_constant(&part(layer.scale(), layer.outputs)?)? } else { 1.0 },
                activation: if layer.last { 1.0 } else { activation_constant(mlp.activation) },
            })
        })
        .collect()
}

/// The Lipschitz constant of an activation: sup |φ'|; max_min permutes its inputs.
pub fn activation_constant(activation: Activation) -> f64 {
    match activation {
        Activation::Relu | Activation::Tanh | Activation::Elu | Activation::MaxMin => 1.0,
        Activation::LeakyRelu(slope) => slope.abs().max(1.0),
        Activation::Swish => SWISH_CONSTANT,
    }
}

/// The Lipschitz constant of LayerNorm over vectors of `scale`'s length n: ‖diag(scale) P‖₂ / √ε
/// with P = I − 11ᵀ/n.
///
/// z ↦ w/s with w = Pz and s² = |w|²/n + ε has the Jacobian P (I − wwᵀ/(n s²)) / s. The bracket's
/// eigenvalues are 1 and ε/s², at most 1, and 1/s ≤ 1/√ε, so the constant is at most ‖diag(scale)
/// P‖₂/√ε. Where all coordinates of z are equal, w = 0 and the Jacobian has just that norm. As ε →
/// 0 it grows without limit; with PyTorch's ε = 1e-5 it is up to 316 times the largest scale, and
/// real: that is how LayerNorm stretches numbers that hardly differ. Elsewhere it stretches by at
/// most the largest scale over their standard deviation.
pub fn layer_norm_constant(scale: &Tensor) -> Result<f64, NetsError> {
    let n = scale.numel() as i64;
    let options = (Kind::Double, Device::Cpu);
    let centre = Tensor::f_eye(n, options)? - Tensor::f_full([n, n], 1.0 / n as f64, options)?;
    let matrix = on_cpu(scale)?.f_view([n, 1])?.f_mul(&centre)?.f_view([1, n, n])?;
    Ok(spectral_norms(&matrix)?[0] / NORM_EPS.sqrt())
}

/// The largest singular value of each matrix of `matrices [..., m, n]` (any device and float type),
/// in the batch's order: the root of the largest eigenvalue of the smaller of A Aᵀ and Aᵀ A.
/// Squaring costs the small singular values their digits, not the largest. NaN or infinite for a
/// matrix with such an entry, whatever the others hold.
pub fn spectral_norms(matrices: &Tensor) -> Result<Vec<f64>, NetsError> {
    let a = on_cpu(matrices)?;
    // By the largest entry, so that no square over- or underflows.
    let largest = a.f_abs()?.f_amax([-2, -1], true)?;
    let usable = largest.f_isfinite()?.f_logical_and(&largest.f_gt(0.0)?)?;
    let a = a.f_div(&largest.f_where_self(&usable, &largest.f_ones_like()?)?)?.f_nan_to_num(0.0, 0.0, 0.0)?;
    let transposed = a.f_transpose(-2, -1)?;
    let wide = a.size()[a.dim() - 2] <= a.size()[a.dim() - 1];
    let gram = if wide { a.f_matmul(&transposed)? } else { transposed.f_matmul(&a)? };
    let square = gram.f_linalg_eigvalsh("L")?.f_select(-1, -1)?.f_clamp_min(0.0)?;
    let norms = square.f_sqrt()?.f_flatten(0, -1)?.f_mul(&largest.f_flatten(0, -1)?)?;
    Ok(Vec::try_from(&norms)?)
}

/// A constant copy in f64 on the CPU, where LAPACK is.
fn on_cpu(tensor: &Tensor) -> Result<Tensor, NetsError> {
    Ok(tensor.f_detach()?.f_to(Device::Cpu)?.f_to_kind(Kind::Double)?)
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{Init, testing::numbers};

    use super::*;
    use crate::{Autograd, lipschitz::jacobian_norms, testing::networks};

    fn normal(shape: &[i64], name: &str) -> Tensor {
        let count = shape.iter().product::<i64>() as usize;
        Tensor::from_slice(&numbers(count, name)).to_kind(Kind::Double).view(shape)
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
    }

    #[test]
    fn spectral_norms_are_the_largest_singular_values() {
        for shape in [[5, 7, 3], [5, 3, 7], [2, 40, 40], [3, 1, 9], [3, 9, 1], [4, 1, 1]] {
            let matrices = normal(&shape, "matrices");
            let singular = matrices.svd(true, true).1.amax([-1], false);
            for (norm, svd) in
                spectral_norms(&matrices).unwrap().into_iter().zip(Vec::<f64>::try_from(singular).unwrap())
            {
                assert!(close(norm, svd), "{shape:?}: {norm} {svd}");
            }
        }
    }

    #[test]
    fn spectral_norms_by_hand() {
        // A Aᵀ of the first is [[9, 12], [12, 41]] with eigenvalues 45 and 5; the second is (1,
        // 2)ᵀ(3, 4) and has rank one; the entries of the last two have squares beyond f64.
        let numbers = [
            [3.0, 0.0, 4.0, 5.0],
            [3.0, 4.0, 6.0, 8.0],
            [0.0; 4],
            [3e200, 0.0, 4e200, 5e200],
            [0.0, 3e-200, 0.0, 4e-200],
        ];
        let norms = spectral_norms(&Tensor::from_slice(&numbers.concat()).view([5, 2, 2])).unwrap();
        let root = 45f64.sqrt();
        for (norm, expected) in norms.into_iter().zip([root, 125f64.sqrt(), 0.0, root * 1e200, 5e-200]) {
            assert!(close(norm, expected), "{norm} {expected}");
        }
    }

    #[test]
    fn one_bad_matrix_spoils_no_other() {
        let numbers = [1.0, 2.0, f64::NAN, 4.0, f64::INFINITY, 1.0, 3.0, 4.0];
        let norms = spectral_norms(&Tensor::from_slice(&numbers).view([4, 1, 2])).unwrap();
        assert!(close(norms[0], 5f64.sqrt()) && !norms[1].is_finite() && !norms[2].is_finite() && close(norms[3], 5.0));
    }

    #[test]
    fn activations_never_exceed_their_constant_and_reach_it() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let slope = |activation, x: f64| match activation {
            Activation::Relu => f64::from(x > 0.0),
            Activation::LeakyRelu(slope) => {
                if x > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Activation::Tanh => 1.0 - x.tanh().powi(2),
            Activation::Swish => sigmoid(x) + x * sigmoid(x) * (1.0 - sigmoid(x)),
            Activation::Elu => x.min(0.0).exp(),
            Activation::MaxMin => f64::NAN, // has no slope of one unit
        };
        for activation in [
            Activation::Relu,
            Activation::LeakyRelu(0.1),
            Activation::LeakyRelu(3.0),
            Activation::Tanh,
            Activation::Swish,
            Activation::Elu,
        ] {
            let constant = activation_constant(activation);
            let steepest =
                (-200_000..=200_000).map(|i| slope(activation, f64::from(i) * 1e-4).abs()).fold(0.0, f64::max);
            assert!(
                steepest <= constant + 1e-15 && steepest > constant - 1e-8,
                "{activation:?}: {steepest} {constant}"
            );
        }
        // x from the constant solves x tanh(x/2) = 2.
        let x = 4.0 * (SWISH_CONSTANT - 0.5);
        assert!((x * (x / 2.0).tanh() - 2.0).abs() < 1e-14);
    }

    #[test]
    fn layer_norm_never_exceeds_its_constant_and_reaches_it() {
        for n in [1, 2, 3, 8] {
            let (scale, shift) = (normal(&[n], "scale"), normal(&[n], "shift"));
            let constant = layer_norm_constant(&scale).unwrap();
            let norm = |x: &Tensor| Ok(x.layer_norm([n], Some(&scale), Some(&shift), NORM_EPS, false));
            // All coordinates equal; nearly equal; far apart.
            for (spread, reached) in [(0.0, true), (1e-3, false), (1.0, false)] {
                let x = normal(&[200, n], "x") * spread + 0.7;
                for norm in jacobian_norms(norm, &x).unwrap().spectral {
                    assert!(norm <= constant * (1.0 + 1e-9), "{n}: {norm} {constant}");
                    assert!(!reached || norm >= constant * (1.0 - 1e-9), "{n}: {norm} {constant}");
                }
            }
        }
        // P of two numbers is half [[1, −1], [−1, 1]]: ‖diag(3, 4) P‖ = √((9 + 16) / 2).
        let by_hand = (12.5 / NORM_EPS).sqrt();
        assert!(close(layer_norm_constant(&Tensor::from_slice(&[3.0, 4.0])).unwrap(), by_hand));
    }

    #[test]
    fn a_bound_worked_out_by_hand_is_reached() {
        // 1 → 2 → 1: relu of [3x, 4x + 1], then [1, 2]·h: slope 11 for x > 0; ‖(3, 4)‖ ‖(1, 2)‖ = 5
        // √5.
        let mlp = Mlp::new(1, &[2], 1, Activation::Relu, false, Init::Uniform);
        let params = Tensor::from_slice(&[3.0, 4.0, 0.0, 1.0, 1.0, 2.0, 9.0]);
        let layers = layer_bounds(&mlp, &params).unwrap();
        assert!(close(layers[0].weight, 5.0) && close(layers[1].weight, 5f64.sqrt()));
        assert!(close(product_bound(&mlp, &params).unwrap(), 5.0 * 5f64.sqrt()));
        let measured =
            jacobian_norms(|x| Ok(mlp.forward(&params, x)), &Tensor::from_slice(&[1.0]).view([1, 1])).unwrap();
        assert!(close(measured.spectral[0], 11.0));
        // A second weight along the first: (3, 4)·(3, 4) = 25 is slope and bound.
        let aligned = Tensor::from_slice(&[3.0, 4.0, 0.0, 1.0, 3.0, 4.0, 9.0]);
        let measured =
            jacobian_norms(|x| Ok(mlp.forward(&aligned, x)), &Tensor::from_slice(&[1.0]).view([1, 1])).unwrap();
        assert!(close(measured.spectral[0], 25.0) && close(product_bound(&mlp, &aligned).unwrap(), 25.0));
        assert!(product_bound(&mlp, &aligned.narrow(0, 0, 4)).is_err());
    }

    /// Climbs |f(x) − f(y)| / |x − y| over pairs by their gradient, and returns the steepest ratio
    /// met.
    fn climbed(mlp: &Mlp, params: &Tensor) -> f64 {
        let mut ends = [normal(&[64, 3], "from"), normal(&[64, 3], "to")];
        let mut steepest = 0f64;
        for _ in 0..100 {
            let leaves = ends.each_ref().map(|end| end.detach().set_requires_grad(true));
            let [from, to] = leaves.each_ref().map(|end| mlp.forward(params, end));
            let length = |x: &Tensor| x.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Double).sqrt();
            let ratio = length(&(from - to)) / length(&(&leaves[0] - &leaves[1]));
            steepest = steepest.max(ratio.max().double_value(&[]));
            let gradients = Tensor::run_backward(&[ratio.log().sum(Kind::Double)], &leaves, false, false);
            for (end, gradient) in ends.iter_mut().zip(gradients) {
                *end = &*end + &gradient / (length(&gradient) + 1e-12) * 0.05;
            }
        }
        steepest
    }

    #[test]
    fn no_ratio_found_by_climbing_exceeds_the_product() {
        for net in networks() {
            let mlp = Mlp::new(
                3,
                &liprl_numerics::testing::widths(net.activation, &[16, 9]),
                2,
                net.activation,
                net.layer_norm,
                net.init,
            );
            let params = normal(&[mlp.len() as i64], "climbed") * 0.7;
            let (bound, steepest) = (product_bound(&mlp, &params).unwrap(), climbed(&mlp, &params));
            assert!(steepest.is_finite() && steepest <= bound, "{net:?}: {steepest} {bound}");
            // Without LayerNorm it is not a bound of another order of magnitude, as a mistake in a
            // factor would make it.
            assert!(net.layer_norm || steepest > bound / 20.0, "{net:?}: {steepest} {bound}");
        }
    }
}
