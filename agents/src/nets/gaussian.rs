//! The tanh-Gaussian policy (Haarnoja et al. 2018, appendix C): u ~ N(μ, σ²), a = tanh u, with
//! log π(a) = Σ [ −ε²/2 − log σ − ½ log 2π − log(1 − tanh² u) ] and log(1 − tanh² u) = 2 (log 2 − u − softplus(−2u)), exact
//! for every u where 1 − a² itself would round to zero.

use std::f32::consts::LN_2;

use tch::Tensor;

/// log σ is clamped to this range.
pub const LOG_STD: (f64, f64) = (-20.0, 2.0);

const HALF_LOG_2PI: f32 = 0.918_938_5;

/// The autograd form: `head [B, 2A]` (means, then log deviations) and standard normal `noise [B, A]` to actions `[B, A]` and
/// their log-probabilities `[B]`.
pub fn sample(head: &Tensor, noise: &Tensor) -> (Tensor, Tensor) {
    let halves = head.chunk(2, -1);
    let log_std = halves[1].clamp(LOG_STD.0, LOG_STD.1);
    let u = &halves[0] + log_std.exp() * noise;
    let squash = (f64::from(LN_2) - &u - (&u * -2.0).softplus()) * 2.0;
    let log_prob = noise.square() * -0.5 - log_std - f64::from(HALF_LOG_2PI) - squash;
    (u.tanh(), log_prob.sum_dim_intlist(-1, false, None))
}

/// The hand-written form of `sample` over rows: writes `action`, returns nothing else but `log_prob`.
pub fn sample_rows(head: &[f32], noise: &[f32], act_dim: usize, action: &mut [f32], log_prob: &mut [f32]) {
    let rows = head.chunks_exact(2 * act_dim).zip(noise.chunks_exact(act_dim));
    for (((head, noise), action), log_prob) in rows.zip(action.chunks_exact_mut(act_dim)).zip(log_prob) {
        let (mean, log_std) = head.split_at(act_dim);
        *log_prob = 0.0;
        for j in 0..act_dim {
            let log_std = log_std[j].clamp(LOG_STD.0 as f32, LOG_STD.1 as f32);
            let u = mean[j] + log_std.exp() * noise[j];
            action[j] = u.tanh();
            *log_prob += -0.5 * noise[j] * noise[j] - log_std - HALF_LOG_2PI - 2.0 * (LN_2 - u - softplus(-2.0 * u));
        }
    }
}

/// The gradient of Σ over rows of `c_log · log π + d_action · a` with respect to the head, `[rows, 2A]`, for the action and noise
/// of `sample_rows`: through u with ∂a/∂u = 1 − a², ∂ log π/∂u = 2a, and ∂ log π/∂ log σ = −1 besides what passes through u.
pub fn head_gradient(
    head: &[f32],
    noise: &[f32],
    action: &[f32],
    d_action: &[f32],
    c_log: f32,
    act_dim: usize,
    out: &mut [f32],
) {
    let (low, high) = (LOG_STD.0 as f32, LOG_STD.1 as f32);
    for (row, out) in out.chunks_exact_mut(2 * act_dim).enumerate() {
        let head = &head[2 * act_dim * row..];
        for j in 0..act_dim {
            let at = act_dim * row + j;
            let (raw, a) = (head[act_dim + j], action[at]);
            let d_u = c_log * 2.0 * a + d_action[at] * (1.0 - a * a);
            out[j] = d_u;
            // Outside the clamp the deviation is constant.
            let inside = (low..=high).contains(&raw);
            out[act_dim + j] = if inside { d_u * raw.exp() * noise[at] - c_log } else { 0.0 };
        }
    }
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
