//! The tanh-Gaussian policy (Haarnoja et al. 2018, appendix C): u ~ N(μ, σ²), a = tanh u, and
//!
//!   log π(a) = Σ [ −ε²/2 − log σ − ½ log 2π − log(1 − tanh² u) ],
//!   log(1 − tanh² u) = 2 (log 2 − u − softplus(−2u)),
//!
//! exact for every u where 1 − a² itself would round to zero.

use std::f32::consts::LN_2;

use tch::Tensor;

/// log σ is clamped to this range.
pub const LOG_STD: (f64, f64) = (-20.0, 2.0);

const HALF_LOG_2PI: f32 = 0.918_938_5;

/// The autograd form: `head [B, 2A]` (means, then log deviations) and standard normal
/// `noise [B, A]` to actions `[B, A]` and their log-probabilities `[B]`.
pub fn sample(head: &Tensor, noise: &Tensor) -> (Tensor, Tensor) {
    let halves = head.chunk(2, -1);
    let log_std = halves[1].clamp(LOG_STD.0, LOG_STD.1);
    let u = &halves[0] + log_std.exp() * noise;
    let squash = (f64::from(LN_2) - &u - (&u * -2.0).softplus()) * 2.0;
    let log_prob = noise.square() * -0.5 - log_std - f64::from(HALF_LOG_2PI) - squash;
    (u.tanh(), log_prob.sum_dim_intlist(-1, false, None))
}

/// Samples by hand over rows: writes `action` and `log_prob`.
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

/// The gradient of Σ over rows of `c_log · log π + d_action · a` with respect to the head,
/// `[rows, 2A]`, for the action and noise of `sample_rows`: through u with ∂a/∂u = 1 − a², ∂ log
/// π/∂u = 2a, and ∂ log π/∂ log σ = −1 besides what passes through u.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// log π of one action dimension by the change of variables in f64, valid while 1 − tanh² u has
    /// digits.
    fn log_prob(mean: f64, log_std: f64, noise: f64) -> f64 {
        let (std, u) = (log_std.exp(), mean + log_std.exp() * noise);
        let density = (-0.5 * ((u - mean) / std).powi(2)).exp() / (std * (2.0 * std::f64::consts::PI).sqrt());
        (density / (1.0 - u.tanh().powi(2))).ln()
    }

    #[test]
    fn log_probability_is_the_change_of_variables() {
        for (mean, log_std, noise) in [(0.0, 0.0, 0.0), (0.7, -1.0, 1.3), (-2.0, 0.5, -0.8), (1.0, -3.0, 2.0)] {
            let (head, noise32) = ([mean as f32, log_std as f32], [noise as f32]);
            let (mut action, mut by_hand) = ([0.0], [0.0]);
            sample_rows(&head, &noise32, 1, &mut action, &mut by_hand);
            let (_, autograd) =
                sample(&Tensor::from_slice(&head).view([1, 2]), &Tensor::from_slice(&noise32).view([1, 1]));
            let expected = log_prob(mean, log_std, noise);
            assert!(
                (f64::from(by_hand[0]) - expected).abs() < 1e-5 * expected.abs().max(1.0),
                "{by_hand:?} {expected}"
            );
            assert!((autograd.double_value(&[0]) - expected).abs() < 1e-5 * expected.abs().max(1.0));
            assert!((f64::from(action[0]) - (mean + log_std.exp() * noise).tanh()).abs() < 1e-6);
        }
    }

    #[test]
    fn saturated_actions_keep_a_finite_and_right_log_probability() {
        // At u = ±30, log(1 − tanh² u) = 2 log 2 − 60 to every digit, while 1 − a² is 0 even in
        // f64.
        for sign in [1.0f32, -1.0] {
            let (mut action, mut log_prob) = ([0.0], [0.0]);
            sample_rows(&[30.0 * sign, 0.0], &[0.0], 1, &mut action, &mut log_prob);
            let expected = -HALF_LOG_2PI + 60.0 - 2.0 * LN_2;
            assert_eq!(action[0], sign);
            assert!((log_prob[0] - expected).abs() < 1e-4, "{log_prob:?} {expected}");
        }
    }

    #[test]
    fn deviations_are_clamped_and_then_have_no_gradient() {
        let (mut action, mut log_prob, mut gradient) = ([0.0], [0.0], [0.0; 2]);
        let (head, noise) = ([0.3, 5.0], [0.1]);
        sample_rows(&head, &noise, 1, &mut action, &mut log_prob);
        assert!((action[0] - (0.3 + 2f32.exp() * 0.1).tanh()).abs() < 1e-6);
        head_gradient(&head, &noise, &action, &[1.0], 0.5, 1, &mut gradient);
        assert_eq!(gradient[1], 0.0);
        assert!(gradient[0] != 0.0);
    }
}
