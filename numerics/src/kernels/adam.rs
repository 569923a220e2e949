//! Adam and Polyak averaging over flat buffers.

use multiversion::multiversion;

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
