//! Policies over a share of a batch, for the hand-written forms of SAC and TD3 and of robust
//! regularisation.

use liprl_nets::{Buffer, Gradient, Pass, Weights, gaussian, optim::TrainState};
use tch::Tensor;

use crate::AgentError;

/// A policy network's pass over some rows, with the actions that it chose.
#[derive(Debug)]
pub(crate) struct PolicyPass {
    pass: Pass,
    act_dim: usize,
    /// The last actions, `[rows, A]`.
    pub(crate) action: Vec<f32>,
    /// Their log-probabilities, `[rows]`, if they were sampled.
    pub(crate) log_prob: Vec<f32>,
}

impl PolicyPass {
    /// Buffers for `rows` rows.
    pub(crate) fn new(actor: &TrainState, rows: usize, act_dim: usize) -> Result<Self, AgentError> {
        let pass = Pass::new(&actor.mlps()[0], rows)?;
        Ok(Self { pass, act_dim, action: vec![0.0; rows * act_dim], log_prob: vec![0.0; rows] })
    }

    /// Takes the actions at `x [rows, O]`: tanh μ, or samples tanh(μ + σ ε) if there is `noise` ε,
    /// `[rows, A]`.
    pub(crate) fn act(&mut self, weights: &Weights, x: &Tensor, noise: &[f32]) -> Result<(), AgentError> {
        let head = self.pass.forward(weights, x)?;
        if noise.is_empty() {
            let width = head.len() / self.log_prob.len();
            for (action, head) in self.action.chunks_exact_mut(self.act_dim).zip(head.chunks_exact(width)) {
                action.iter_mut().zip(head).for_each(|(action, mean)| *action = mean.tanh());
            }
        } else {
            gaussian::sample_rows(head, noise, self.act_dim, &mut self.action, &mut self.log_prob);
        }
        Ok(())
    }

    /// Goes back from `d_action [rows, A]`, and `c_log` times that of each sample's log π, to the
    /// parameters' gradient if one is given.
    pub(crate) fn back(
        &mut self,
        (weights, x, noise): (&Weights, &Tensor, &[f32]),
        (d_action, c_log): (&[f32], f32),
        gradient: Option<&mut Gradient>,
    ) -> Result<(), AgentError> {
        let (head, d_head) = self.pass.output_and_gradient();
        if noise.is_empty() {
            let width = head.len() / self.log_prob.len();
            let each = self.action.chunks_exact(self.act_dim).zip(d_action.chunks_exact(self.act_dim));
            for (d_head, (action, d_action)) in d_head.chunks_exact_mut(width).zip(each) {
                d_head[self.act_dim..].fill(0.0);
                for ((d_mean, action), d) in d_head.iter_mut().zip(action).zip(d_action) {
                    *d_mean = d * (1.0 - action * action);
                }
            }
        } else {
            gaussian::head_gradient(head, noise, &self.action, d_action, c_log, self.act_dim, d_head);
        }
        Ok(self.pass.backward(weights, x, gradient.map(|gradient| (gradient, 0)))?)
    }

    /// Goes on to the gradient with respect to the inputs of the first layer's `columns`.
    pub(crate) fn input_gradient(&self, columns: &Tensor, out: &Buffer) -> Result<(), AgentError> {
        Ok(self.pass.input_gradient(columns, out)?)
    }
}

/// An actor over one share's rows.
#[derive(Debug)]
pub(crate) struct ActorRows {
    weights: Weights,
    /// Weights that choose the actions at the next observations: a target's, or the actor's own.
    next_weights: Weights,
    pub(crate) policy: PolicyPass,
    /// The gradient of the loss, this share's part.
    pub(crate) gradient: Gradient,
}

impl ActorRows {
    /// Buffers for `rows` rows through the actor.
    pub(crate) fn new(
        actor: &TrainState,
        next_weights: Weights,
        rows: usize,
        act_dim: usize,
    ) -> Result<Self, AgentError> {
        let (weights, policy) = (actor.weights().swap_remove(0), PolicyPass::new(actor, rows, act_dim)?);
        Ok(Self { weights, next_weights, policy, gradient: actor.gradient()? })
    }

    /// Takes the actions at `obs`, samples if there is `noise`.
    pub(crate) fn act(&mut self, obs: &Tensor, noise: &[f32]) -> Result<(), AgentError> {
        self.policy.act(&self.weights, obs, noise)
    }

    /// Takes the actions at the next observations.
    pub(crate) fn act_next(&mut self, next_obs: &Tensor, noise: &[f32]) -> Result<(), AgentError> {
        self.policy.act(&self.next_weights, next_obs, noise)
    }

    /// Goes back from the loss's gradient with respect to the actions at `obs`, and `c_log` times
    /// that of log π.
    pub(crate) fn back(&mut self, obs: &Tensor, noise: &[f32], d_action: &[f32], c_log: f32) -> Result<(), AgentError> {
        self.policy.back((&self.weights, obs, noise), (d_action, c_log), Some(&mut self.gradient))
    }

    /// Σ log π over the rows of the last sample.
    pub(crate) fn log_prob_sum(&self) -> f64 {
        self.policy.log_prob.iter().map(|&value| f64::from(value)).sum()
    }
}
