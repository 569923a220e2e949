//! LayerNorm forward and back, with the activation that follows.

use multiversion::multiversion;

use super::{
    activation::{elu, max_min, slope_backward, swish, tanh_all},
    vectors::{product, sum},
};
use crate::{activation::Activation, mlp::NORM_EPS};

/// One layer's LayerNorm parameters.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// The linear layer's bias.
    pub bias: &'a [f32],
    /// LayerNorm's scale.
    pub scale: &'a [f32],
    /// LayerNorm's shift.
    pub shift: &'a [f32],
}

/// Applies bias, LayerNorm and activation, row by row. `hat` takes the standardised rows, `rstd`
/// each row's inverse standard deviation, `kept` the activation's input if its derivative needs it
/// (swish, max_min).
pub fn norm_activate(
    z: &mut [f32],
    norm: Norm<'_>,
    activation: Activation,
    hat: &mut [f32],
    rstd: &mut [f32],
    kept: &mut [f32],
) {
    let slope = match activation {
        Activation::Relu => 0.0,
        Activation::LeakyRelu(slope) => slope as f32,
        Activation::Tanh | Activation::Swish | Activation::Elu | Activation::MaxMin => 1.0,
    };
    standardise(z, norm, slope, hat, rstd);
    match activation {
        Activation::Relu | Activation::LeakyRelu(_) => {}
        Activation::Tanh => tanh_all(z),
        Activation::Swish => swish(z, kept),
        Activation::Elu => elu(z),
        Activation::MaxMin => max_min(z, kept),
    }
}

/// Adds the bias and applies LayerNorm; multiplies negative results by `slope`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn standardise(z: &mut [f32], norm: Norm<'_>, slope: f32, hat: &mut [f32], rstd: &mut [f32]) {
    let width = norm.bias.len();
    for ((row, hat), rstd) in z.chunks_exact_mut(width).zip(hat.chunks_exact_mut(width)).zip(rstd) {
        for (z, b) in row.iter_mut().zip(norm.bias) {
            *z += b;
        }
        let mean = sum(row) / width as f32;
        for (z, h) in row.iter().zip(hat.iter_mut()) {
            *h = z - mean;
        }
        *rstd = 1.0 / (product(hat, hat) / width as f32 + NORM_EPS as f32).sqrt();
        for (((z, h), scale), shift) in row.iter_mut().zip(hat.iter_mut()).zip(norm.scale).zip(norm.shift) {
            *h *= *rstd;
            let x = *h * scale + shift;
            *z = if x > 0.0 { x } else { slope * x };
        }
    }
}

/// Gradients of one layer's bias and LayerNorm parameters, which are added to.
#[derive(Debug)]
pub struct NormGrad<'a> {
    /// Of the bias.
    pub bias: &'a mut [f32],
    /// Of the scale.
    pub scale: &'a mut [f32],
    /// Of the shift.
    pub shift: &'a mut [f32],
}

/// Backward pass of `norm_activate`: turns `delta` from the gradient by the layer's output into the
/// one by the matrix product.
#[allow(clippy::too_many_arguments)] // the forward pass's six buffers, and the gradients
pub fn norm_backward(
    delta: &mut [f32],
    out: &[f32],
    kept: &[f32],
    hat: &[f32],
    rstd: &[f32],
    scale: &[f32],
    activation: Activation,
    grad: NormGrad<'_>,
) {
    slope_backward(delta, out, kept, activation);
    unstandardise(delta, hat, rstd, scale, grad);
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn unstandardise(delta: &mut [f32], hat: &[f32], rstd: &[f32], scale: &[f32], grad: NormGrad<'_>) {
    let width = scale.len();
    for ((delta, hat), rstd) in delta.chunks_exact_mut(width).zip(hat.chunks_exact(width)).zip(rstd) {
        for ((d, h), (scale, shift)) in delta.iter().zip(hat).zip(grad.scale.iter_mut().zip(grad.shift.iter_mut())) {
            *scale += d * h;
            *shift += d;
        }
        for (d, scale) in delta.iter_mut().zip(scale) {
            *d *= scale;
        }
        let mean = sum(delta) / width as f32;
        let along = product(delta, hat) / width as f32;
        for ((d, h), b) in delta.iter_mut().zip(hat).zip(grad.bias.iter_mut()) {
            *d = rstd * (*d - mean - h * along);
            *b += *d;
        }
    }
}
