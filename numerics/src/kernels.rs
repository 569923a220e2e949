//! The elementwise loops of the hand-written passes, each one pass over its memory. They are
//! compiled for AVX-512, AVX2 and the baseline, and chosen at run time. No multiply-add is fused
//! and sums keep sixteen fixed lanes, so all three give equal bits.

use multiversion::multiversion;

use crate::{Activation, NORM_EPS};

/// Lanes of every sum: enough independent additions to hide their latency, and one AVX-512
/// register.
const LANES: usize = 16;

fn total(lanes: [f32; LANES]) -> f32 {
    lanes.iter().sum()
}

/// Sum, inlined into the loops so that it is compiled for their target.
#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for x in chunks {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane += x;
        }
    }
    total(lanes) + rest.iter().sum::<f32>()
}

/// Scalar product, inlined likewise.
#[inline(always)]
fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for k in 0..LANES {
            lanes[k] += a[k] * b[k];
        }
    }
    total(lanes) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// Scalar product.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    product(a, b)
}

/// Matrix times vector: `out[i] = weight[i, :]·x`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn matvec(weight: &[f32], x: &[f32], out: &mut [f32]) {
    for (row, out) in weight.chunks_exact(x.len()).zip(out) {
        *out = product(row, x);
    }
}

/// Adds `bias` to every row of `z`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn add_bias(z: &mut [f32], bias: &[f32]) {
    for row in z.chunks_exact_mut(bias.len()) {
        for (z, b) in row.iter_mut().zip(bias) {
            *z += b;
        }
    }
}

/// Adds the rows of `delta` into `sum`: a bias's gradient.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn add_rows(delta: &[f32], sum: &mut [f32]) {
    for row in delta.chunks_exact(sum.len()) {
        for (sum, d) in sum.iter_mut().zip(row) {
            *sum += d;
        }
    }
}

/// Adds `bias` to every row of `z`, then applies the activation. `kept` takes the activation's
/// inputs if its derivative needs them (swish); an empty `kept` takes none.
pub fn bias_activate(z: &mut [f32], bias: &[f32], activation: Activation, kept: &mut [f32]) {
    match activation {
        Activation::Relu => bias_leaky(z, bias, 0.0),
        Activation::LeakyRelu(slope) => bias_leaky(z, bias, slope as f32),
        Activation::Tanh => bias_tanh(z, bias),
        Activation::Swish => {
            add_bias(z, bias);
            swish(z, kept);
        }
    }
}

/// z ← z · sigmoid(z). `kept` takes the inputs, unless it is empty.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn swish(z: &mut [f32], kept: &mut [f32]) {
    if !kept.is_empty() {
        kept.copy_from_slice(z);
    }
    for z in z {
        *z *= sigmoid(*z);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn bias_leaky(z: &mut [f32], bias: &[f32], slope: f32) {
    for row in z.chunks_exact_mut(bias.len()) {
        for (z, b) in row.iter_mut().zip(bias) {
            let x = *z + b;
            *z = if x > 0.0 { x } else { slope * x };
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn bias_tanh(z: &mut [f32], bias: &[f32]) {
    for row in z.chunks_exact_mut(bias.len()) {
        for (z, b) in row.iter_mut().zip(bias) {
            *z = tanh(*z + b);
        }
    }
}

/// z ← tanh z.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn tanh_all(z: &mut [f32]) {
    z.iter_mut().for_each(|z| *z = tanh(*z));
}

/// Turns `delta` from the gradient by an activation's output into the one by its input, and adds
/// its rows into `bias_grad`. `out` is the output, `kept` the inputs that `bias_activate` kept.
pub fn activation_backward(
    delta: &mut [f32],
    out: &[f32],
    kept: &[f32],
    activation: Activation,
    bias_grad: &mut [f32],
) {
    match activation {
        Activation::Relu => leaky_backward(delta, out, 0.0, bias_grad),
        Activation::LeakyRelu(slope) => leaky_backward(delta, out, slope as f32, bias_grad),
        Activation::Tanh => tanh_backward(delta, out, bias_grad),
        Activation::Swish => {
            slope_backward(delta, out, kept, activation);
            add_rows(delta, bias_grad);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn leaky_backward(delta: &mut [f32], out: &[f32], slope: f32, bias_grad: &mut [f32]) {
    let width = bias_grad.len();
    for (delta, out) in delta.chunks_exact_mut(width).zip(out.chunks_exact(width)) {
        for ((d, y), b) in delta.iter_mut().zip(out).zip(bias_grad.iter_mut()) {
            *d *= if *y > 0.0 { 1.0 } else { slope };
            *b += *d;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn tanh_backward(delta: &mut [f32], out: &[f32], bias_grad: &mut [f32]) {
    let width = bias_grad.len();
    for (delta, out) in delta.chunks_exact_mut(width).zip(out.chunks_exact(width)) {
        for ((d, y), b) in delta.iter_mut().zip(out).zip(bias_grad.iter_mut()) {
            *d *= 1.0 - y * y;
            *b += *d;
        }
    }
}

/// Multiplies `delta` by the activation's derivative. `out` is the activation's output, `kept` what
/// `bias_activate` kept.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn slope_backward(delta: &mut [f32], out: &[f32], kept: &[f32], activation: Activation) {
    match activation {
        Activation::Relu => delta.iter_mut().zip(out).for_each(|(d, y)| *d *= if *y > 0.0 { 1.0 } else { 0.0 }),
        Activation::LeakyRelu(slope) => {
            let slope = slope as f32;
            delta.iter_mut().zip(out).for_each(|(d, y)| *d *= if *y > 0.0 { 1.0 } else { slope });
        }
        Activation::Tanh => delta.iter_mut().zip(out).for_each(|(d, y)| *d *= 1.0 - y * y),
        Activation::Swish => delta.iter_mut().zip(kept).for_each(|(d, x)| {
            let s = sigmoid(*x);
            *d *= s * (1.0 + x * (1.0 - s));
        }),
    }
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// tanh x to two units in the last place, by arithmetic that compilers turn into vector
/// instructions: an odd polynomial below 0.625 (Cephes, `tanhf`), 1 − 2/(e²ˣ + 1) above, where
/// nothing cancels. Keeps the sign of zero; NaN stays NaN.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let (size, square) = (x.abs(), x * x);
    let tail = square * (-5.704_988_7e-3 * square + 2.063_908_9e-2) - 5.373_971_6e-2;
    let small = size + size * (square * (square * (square * tail + 1.333_144_2e-1) - 3.333_328e-1));
    let large = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    (if size < 0.625 { small } else { large }).copysign(x)
}

/// eˣ to two units in the last place for |x| ≤ 87; beyond, the value at ± 87. NaN stays NaN.
///
/// Plain arithmetic, because compilers turn it into vector instructions and a call of the system's
/// function prevents that. eˣ = 2ⁿ eʳ with n the integer nearest to x / ln 2, |r| ≤ ½ ln 2, and
/// Taylor's polynomial of degree 7 for eʳ, whose error there is 5e-9.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // 1.5 · 2²³: adding it rounds to an integer, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few enough bits that n times it is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(-87.0, 87.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let tail = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0))));
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    power * (1.0 + r * (1.0 + r * (0.5 + r * tail)))
}

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
/// (swish).
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
        Activation::Tanh | Activation::Swish => 1.0,
    };
    standardise(z, norm, slope, hat, rstd);
    match activation {
        Activation::Relu | Activation::LeakyRelu(_) => {}
        Activation::Tanh => tanh_all(z),
        Activation::Swish => swish(z, kept),
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

/// Adds `part` into `sum`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn add(sum: &mut [f32], part: &[f32]) {
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
}

/// Sum of squares. Every 4096 numbers the sum is widened to f64, so that a long buffer loses no
/// accuracy.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    x.chunks(4096).map(|block| f64::from(dot(block, block))).sum()
}

/// Constants of one Adam step, bias corrections folded in.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Learning rate over the first moment's bias correction.
    pub rate: f32,
    /// Inverse square root of the second moment's bias correction.
    pub root: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Factor on the gradient (norm clipping).
    pub scale: f32,
}

/// Adam over flat buffers, in place: p ← p − rate · m / (√v · root + eps).
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn adam(params: &mut [f32], m: &mut [f32], v: &mut [f32], grad: &[f32], step: AdamStep) {
    for (((p, m), v), g) in params.iter_mut().zip(m).zip(v).zip(grad) {
        let g = g * step.scale;
        *m += (1.0 - step.beta1) * (g - *m);
        *v = step.beta2 * *v + (1.0 - step.beta2) * g * g;
        *p -= step.rate * *m / (v.sqrt() * step.root + step.eps);
    }
}

/// Polyak averaging: target ← target + τ (params − target).
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn polyak(target: &mut [f32], params: &[f32], tau: f32) {
    target.iter_mut().zip(params).for_each(|(t, p)| *t += tau * (p - *t));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of f32 at `expected`.
    fn units(value: f32, expected: f64) -> f64 {
        let near = (expected as f32).abs();
        let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
        (f64::from(value) - expected).abs() / unit
    }

    #[test]
    fn tanh_is_right_to_two_units_in_the_last_place() {
        let mut worst = (0.0, 0.0);
        let dense = (-1_000_000..=1_000_000).map(|i| i as f32 * 1e-5);
        // Every exponent from the smallest number on, a few mantissas each.
        let scales = (0..0x7f80_0000u32).step_by(9973).map(f32::from_bits);
        for x in dense.chain(scales) {
            let error = units(tanh(x), f64::from(x).tanh());
            worst = if error > worst.1 { (x, error) } else { worst };
            assert_eq!(tanh(-x).to_bits(), (-tanh(x)).to_bits(), "odd at {x}");
        }
        assert!(worst.1 <= 2.0, "{worst:?}");
        assert_eq!(tanh(0.0).to_bits(), 0f32.to_bits());
        assert_eq!(tanh(-0.0).to_bits(), (-0f32).to_bits());
        assert_eq!((tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)), (1.0, -1.0));
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_has_the_same_bits_on_every_path() {
        let x: Vec<f32> = (0..4003).map(|i| (i as f32 - 2000.0) * 4.7e-3).collect();
        let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let scalar: Vec<f32> = x.iter().map(|x| tanh(*x)).collect();
        let (mut all, mut biased) = (x.clone(), x.clone());
        tanh_all(&mut all);
        bias_tanh(&mut biased, &[0.0]);
        assert_eq!((bits(&all), bits(&biased)), (bits(&scalar), bits(&scalar)));
        let (mut delta, mut other, mut bias) = (x.clone(), x.clone(), [0.0]);
        tanh_backward(&mut delta, &all, &mut bias);
        slope_backward(&mut other, &all, &[], Activation::Tanh);
        let scalar: Vec<f32> = x.iter().zip(&all).map(|(d, y)| d * (1.0 - y * y)).collect();
        assert_eq!((bits(&delta), bits(&other)), (bits(&scalar), bits(&scalar)));
    }

    #[test]
    fn the_exponential_is_right_to_two_units_in_the_last_place() {
        for i in -870_000..=870_000 {
            let x = i as f32 * 1e-4;
            let (value, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((value / expected - 1.0).abs() < 2.4e-7, "{x}: {value} {expected}");
        }
        assert!(exp(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
        assert!(exp(1e30).is_finite() && exp(-1e30) > 0.0);
        assert_eq!((sigmoid(f32::INFINITY), sigmoid(0.0)), (1.0, 0.5));
    }
}
