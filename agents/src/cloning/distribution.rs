//! Action distributions of policy networks, and the cloning loss L of each.
//!
//! - deterministic policies (TD3): L = mean over rows and coordinates of (tanh μ(s) − a)²;
//! - tanh-Gaussian policies (SAC): L = −mean log π(a|s)
//!   = mean Σ [½ ε² + log σ + ½ log 2π + log(1 − a²)], ε = (atanh a − μ)/σ.
//!
//! Actions are clamped to ± [`ACTION_LIMIT`] before atanh, which is infinite at ±1. log σ has a
//! least value: a deterministic expert would else draw it to −∞ and leave a policy that explores
//! nothing. Smaller ones are clamped to it. A clamped number has no gradient and would drift with
//! the rest of the network. Therefore max(0, least − log σ)² is added to L for each.

use liprl_nets::gaussian;
use tch::Tensor;

/// Actions enter atanh no larger than this; tanh 3.8 is as much.
pub const ACTION_LIMIT: f64 = 0.999;

const HALF_LOG_2PI: f64 = 0.918_938_533_204_672_8;

/// Action distribution that a policy network's outputs describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyDistribution {
    /// μ `[A]` of the action tanh μ.
    Deterministic,
    /// μ and log σ, `[2A]`, of tanh(μ + σ ε).
    Gaussian,
}

impl PolicyDistribution {
    /// L, a scalar, by autograd: `output` `[B, A]` or `[B, 2A]`, `action` `[B, A]`.
    pub fn loss(self, output: &Tensor, action: &Tensor, min_log_std: f64) -> Tensor {
        match self {
            Self::Deterministic => (output.tanh() - action).square().mean(None),
            Self::Gaussian => {
                let halves = output.chunk(2, -1);
                let log_std = halves[1].clamp(min_log_std, gaussian::LOG_STD.1);
                let below = (-&halves[1] + min_log_std).relu().square();
                let action = action.clamp(-ACTION_LIMIT, ACTION_LIMIT);
                let epsilon = (action.atanh() - &halves[0]) * (-&log_std).exp();
                let squash = (-action.square()).log1p();
                let each = epsilon.square() * 0.5 + log_std + HALF_LOG_2PI + squash + below;
                each.sum_dim_intlist(-1, false, None).mean(None)
            }
        }
    }

    /// L and, in `slopes`, its gradient with respect to `output`, both as in `loss`.
    pub(super) fn loss_by_hand(
        self,
        output: &[f32],
        action: &[f32],
        act_dim: usize,
        min_log_std: f64,
        slopes: &mut [f32],
    ) -> f64 {
        let rows = (action.len() / act_dim) as f32;
        let mut sum = 0.0;
        match self {
            Self::Deterministic => {
                let share = 2.0 / action.len() as f32;
                for ((slope, output), action) in slopes.iter_mut().zip(output).zip(action) {
                    let tanh = output.tanh();
                    let error = tanh - action;
                    sum += f64::from(error * error);
                    *slope = share * error * (1.0 - tanh * tanh);
                }
                sum / action.len() as f64
            }
            Self::Gaussian => {
                let (low, high, limit) = (min_log_std as f32, gaussian::LOG_STD.1 as f32, ACTION_LIMIT as f32);
                let outputs = output.chunks_exact(2 * act_dim).zip(slopes.chunks_exact_mut(2 * act_dim));
                for ((output, slopes), action) in outputs.zip(action.chunks_exact(act_dim)) {
                    for j in 0..act_dim {
                        let (mean, raw, action) = (output[j], output[act_dim + j], action[j].clamp(-limit, limit));
                        let log_std = raw.clamp(low, high);
                        let inverse = (-log_std).exp();
                        let epsilon = (action.atanh() - mean) * inverse;
                        let squash = (-action * action).ln_1p();
                        let below = (low - raw).max(0.0);
                        sum += f64::from(0.5 * epsilon * epsilon + log_std + squash + below * below) + HALF_LOG_2PI;
                        slopes[j] = -epsilon * inverse / rows;
                        // Beyond the clamp the deviation is constant, and only the added term has a
                        // gradient.
                        let inside = (low..=high).contains(&raw);
                        slopes[act_dim + j] = (if inside { 1.0 - epsilon * epsilon } else { -2.0 * below }) / rows;
                    }
                }
                sum / f64::from(rows)
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use liprl_nets::{
        autograd::{gradient, leaf},
        testing::{assert_close, assert_gradient},
    };
    use liprl_numerics::testing::numbers;

    use super::*;

    pub(in super::super) fn distributions() -> [PolicyDistribution; 2] {
        [PolicyDistribution::Deterministic, PolicyDistribution::Gaussian]
    }

    /// Actions in `[-1, 1]`, some of them at its ends.
    pub(in super::super) fn actions(rows: usize, act_dim: usize) -> Tensor {
        let numbers: Vec<f32> = numbers(rows * act_dim, "cloned actions").iter().map(|a| a.clamp(-1.0, 1.0)).collect();
        Tensor::from_slice(&numbers).view([rows as i64, act_dim as i64])
    }

    #[test]
    fn losses_and_slopes_by_hand_equal_autograd() {
        for distribution in distributions() {
            let width = if distribution == PolicyDistribution::Gaussian { 6 } else { 3 };
            // Wide enough that some deviations are clamped from below and some from above.
            let output: Vec<f32> = numbers(37 * width, "outputs").iter().map(|x| 2.5 * x).collect();
            let (action, mut slopes) = (actions(37, 3), vec![0.0; output.len()]);
            let flat = Vec::<f32>::try_from(action.flatten(0, -1)).unwrap();
            let loss = distribution.loss_by_hand(&output, &flat, 3, -2.0, &mut slopes);
            let output = leaf(&Tensor::from_slice(&output).view([37, width as i64]));
            let expected = distribution.loss(&output, &action, -2.0);
            assert_close(loss, expected.double_value(&[]));
            assert_gradient(&slopes, &gradient(&expected, &output).unwrap().flatten(0, -1));
        }
    }

    #[test]
    fn the_likelihood_is_that_of_the_policy_s_own_samples() {
        let output = Tensor::from_slice(&numbers(37 * 6, "outputs")).view([37, 6]) * 0.3;
        let noise = Tensor::from_slice(&numbers(37 * 3, "noise")).view([37, 3]).clamp(-1.0, 1.0);
        let (action, log_prob) = gaussian::sample(&output, &noise);
        assert!(action.abs().max().double_value(&[]) < ACTION_LIMIT);
        let loss = PolicyDistribution::Gaussian.loss(&output, &action, gaussian::LOG_STD.0);
        assert_close(loss.double_value(&[]), -log_prob.mean(None).double_value(&[]));
    }

    #[test]
    fn a_squared_error_worked_out_by_hand() {
        // tanh 0 − 0.5 and tanh(atanh 0.5) − 0: both squared are 0.25; slopes 2/2 · (∓0.5) · (1 −
        // tanh²).
        let (output, mut slopes) = ([0.0, 0.5f32.atanh()], [0.0; 2]);
        let loss = PolicyDistribution::Deterministic.loss_by_hand(&output, &[0.5, 0.0], 1, -3.0, &mut slopes);
        assert!((loss - 0.25).abs() < 1e-7);
        assert!((slopes[0] + 0.5).abs() < 1e-6 && (slopes[1] - 0.375).abs() < 1e-6, "{slopes:?}");
    }
}
