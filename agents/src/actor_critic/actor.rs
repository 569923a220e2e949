//! The actors' equations.
//!
//! - SAC: J = mean(α log π(ã|s) − min(Q₁, Q₂)(s, ã)), ã = tanh(μ + σ ε) (Haarnoja et al. 2018, eq. 9);
//! - TD3 and DDPG: J = −mean Q₁(s, tanh μ(s)) (Silver et al. 2014; Fujimoto et al. 2018, algorithm 1).
//!
//! First the autograd forms, any device; then the same by hand over a share of the batch.

use liprl_nets::{Buffer, Gradient, Pass, Weights, gaussian, optim::Trained};
use tch::Tensor;

use super::critic::CriticRows;
use crate::AgentError;

/// SAC's loss, a scalar, from log-probabilities `[B]` and the critics' values of the same actions, one `[B]` each.
pub fn soft_loss(alpha: f64, log_prob: &Tensor, values: &[Tensor]) -> Tensor {
    (log_prob * alpha - super::critic::backup(values, 1.0)).mean(None)
}

/// TD3's loss, a scalar, from the first critic's values `[B]` of the policy's actions.
pub fn deterministic_loss(values: &Tensor) -> Tensor {
    -values.mean(None)
}

/// A policy network over one member's rows.
#[derive(Debug)]
pub struct ActorRows {
    act_dim: usize,
    weights: Weights,
    pass: Pass,
    /// The gradient of the loss, this member's part.
    pub gradient: Gradient,
    /// The last actions, `[rows, A]`.
    pub action: Vec<f32>,
    /// Their log-probabilities, `[rows]` (SAC).
    pub log_prob: Vec<f32>,
}

impl ActorRows {
    /// Buffers for `rows` rows through the policy; `weights` are its own or its target's.
    pub fn new(actor: &Trained, weights: Weights, rows: usize, act_dim: usize) -> Result<Self, AgentError> {
        Ok(Self {
            act_dim,
            weights,
            pass: Pass::new(&actor.mlps()[0], rows)?,
            gradient: actor.gradient()?,
            action: vec![0.0; rows * act_dim],
            log_prob: vec![0.0; rows],
        })
    }

    /// ã and log π(ã) of the tanh-Gaussian policy at `obs`, with standard normal `noise [rows, A]`.
    pub fn sample(&mut self, obs: &Buffer, noise: &[f32]) -> Result<(), AgentError> {
        let head = self.pass.forward(&self.weights, obs.tensor())?;
        gaussian::sample_rows(head, noise, self.act_dim, &mut self.action, &mut self.log_prob);
        Ok(())
    }

    /// The deterministic policy's tanh μ at `obs`.
    pub fn act(&mut self, obs: &Buffer) -> Result<(), AgentError> {
        let head = self.pass.forward(&self.weights, obs.tensor())?;
        self.action.iter_mut().zip(head).for_each(|(action, head)| *action = head.tanh());
        Ok(())
    }

    /// SAC's loss summed over the rows and its gradient, for a batch of `batch` rows in all.
    pub fn soft_gradient(
        &mut self,
        critics: &mut CriticRows,
        obs: &Buffer,
        noise: &[f32],
        alpha: f32,
        batch: usize,
    ) -> Result<f64, AgentError> {
        self.sample(obs, noise)?;
        let (value, d_action) = critics.climb(obs.slice(), &self.action, true, batch)?;
        let (head, gradient) = self.pass.output_and_gradient();
        gaussian::head_gradient(head, noise, &self.action, d_action, alpha / batch as f32, self.act_dim, gradient);
        self.pass.backward(&self.weights, obs.tensor(), Some((&mut self.gradient, 0)))?;
        Ok(f64::from(alpha) * self.log_prob_sum() - value)
    }

    /// TD3's loss summed over the rows and its gradient, for a batch of `batch` rows in all.
    pub fn deterministic_gradient(
        &mut self,
        critics: &mut CriticRows,
        obs: &Buffer,
        batch: usize,
    ) -> Result<f64, AgentError> {
        self.act(obs)?;
        let (value, d_action) = critics.climb(obs.slice(), &self.action, false, batch)?;
        let (_, gradient) = self.pass.output_and_gradient();
        for ((gradient, action), d_action) in gradient.iter_mut().zip(&self.action).zip(d_action) {
            *gradient = d_action * (1.0 - action * action);
        }
        self.pass.backward(&self.weights, obs.tensor(), Some((&mut self.gradient, 0)))?;
        Ok(-value)
    }

    /// Σ log π over the rows of the last `sample`.
    pub fn log_prob_sum(&self) -> f64 {
        self.log_prob.iter().map(|&value| f64::from(value)).sum()
    }
}

#[cfg(test)]
mod tests {
    use liprl_nets::{
        autograd::{gradient, leaf},
        testing::{assert_close, assert_gradient},
    };

    use super::*;
    use crate::actor_critic::{
        batch::Rows,
        learner::values,
        testing::{self},
    };

    #[test]
    fn soft_gradient_by_hand_equals_autograd() {
        for (net, _, count) in testing::networks() {
            let batch = testing::batch(37, 5, 3);
            let critics = testing::critics(&net, 5, 3, count);
            let policy = testing::policy(&net, 5, 6);
            let mut q = CriticRows::new(&critics, &critics.target().unwrap(), 37, 5, 3).unwrap();
            let mut rows = ActorRows::new(&policy, policy.weights().swap_remove(0), 37, 3).unwrap();
            let noise = testing::numbers(37 * 3, "noise");
            let obs = Rows::of(&batch, 0..37).unwrap().obs;
            let loss = rows.soft_gradient(&mut q, &obs, &noise, 0.3, 37).unwrap();

            let params = leaf(policy.params().tensor());
            let noise = Tensor::from_slice(&noise).view([37, 3]);
            let (action, log_prob) = gaussian::sample(&policy.forward(0, &params, &batch.obs), &noise);
            let values = values(&critics, critics.params().tensor(), &batch.obs, &action).unwrap();
            let expected = soft_loss(0.3, &log_prob, &values);
            assert_close(loss / 37.0, expected.double_value(&[]));
            assert_gradient(rows.gradient.slice(), &gradient(&expected, &params).unwrap());
        }
    }

    #[test]
    fn deterministic_gradient_by_hand_equals_autograd() {
        for (net, _, count) in testing::networks() {
            let batch = testing::batch(37, 5, 3);
            let critics = testing::critics(&net, 5, 3, count);
            let policy = testing::policy(&net, 5, 3);
            let mut q = CriticRows::new(&critics, &critics.target().unwrap(), 37, 5, 3).unwrap();
            let mut rows = ActorRows::new(&policy, policy.weights().swap_remove(0), 37, 3).unwrap();
            let obs = Rows::of(&batch, 0..37).unwrap().obs;
            let loss = rows.deterministic_gradient(&mut q, &obs, 37).unwrap();

            let params = leaf(policy.params().tensor());
            let action = policy.forward(0, &params, &batch.obs).tanh();
            let values = values(&critics, critics.params().tensor(), &batch.obs, &action).unwrap();
            let expected = deterministic_loss(&values[0]);
            assert_close(loss / 37.0, expected.double_value(&[]));
            assert_gradient(rows.gradient.slice(), &gradient(&expected, &params).unwrap());
        }
    }
}
