//! Activations forward and back, with the bias that precedes them.

use multiversion::multiversion;

use super::{
    smooth::{exp_m1, sigmoid, tanh},
    vectors::{add_bias, add_rows},
};
use crate::activation::Activation;

/// Adds `bias` to every row of `z`, then applies the activation. `kept` takes the activation's
/// inputs if its derivative needs them (swish, max_min); an empty `kept` takes none.
pub fn bias_activate(z: &mut [f32], bias: &[f32], activation: Activation, kept: &mut [f32]) {
    match activation {
        Activation::Relu => bias_leaky(z, bias, 0.0),
        Activation::LeakyRelu(slope) => bias_leaky(z, bias, slope as f32),
        Activation::Tanh => bias_tanh(z, bias),
        Activation::Swish => {
            add_bias(z, bias);
            swish(z, kept);
        }
        Activation::Elu => {
            add_bias(z, bias);
            elu(z);
        }
        Activation::MaxMin => {
            add_bias(z, bias);
            max_min(z, kept);
        }
    }
}

/// Sorts each two neighbouring numbers, the larger first. `kept` takes the inputs, unless it is
/// empty. Rows have even widths, so no pair lies in two of them.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub(super) fn max_min(z: &mut [f32], kept: &mut [f32]) {
    if !kept.is_empty() {
        kept.copy_from_slice(z);
    }
    for pair in z.chunks_exact_mut(2) {
        let (a, b) = (pair[0], pair[1]);
        (pair[0], pair[1]) = if a < b { (b, a) } else { (a, b) };
    }
}

/// z ← z if positive, else eᶻ − 1.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub(super) fn elu(z: &mut [f32]) {
    z.iter_mut().for_each(|z| *z = if *z > 0.0 { *z } else { exp_m1(*z) });
}

/// z ← z · sigmoid(z). `kept` takes the inputs, unless it is empty.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub(super) fn swish(z: &mut [f32], kept: &mut [f32]) {
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
pub(super) fn tanh_all(z: &mut [f32]) {
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
        Activation::Swish | Activation::Elu | Activation::MaxMin => {
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

/// Multiplies `delta` by the activation's Jacobian, which is symmetric. `out` is the activation's output, `kept` what
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
        // eᶻ is the output plus 1.
        Activation::Elu => delta.iter_mut().zip(out).for_each(|(d, y)| *d *= if *y > 0.0 { 1.0 } else { 1.0 + y }),
        Activation::MaxMin => {
            for (delta, x) in delta.chunks_exact_mut(2).zip(kept.chunks_exact(2)) {
                let (first, second) = (delta[0], delta[1]);
                (delta[0], delta[1]) = if x[0] < x[1] { (second, first) } else { (first, second) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
