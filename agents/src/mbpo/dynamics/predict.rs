//! Predictions of many rows at once, each by a chosen member.

use liprl_nets::{Buffer, Forward, Weights};
use liprl_numerics::StreamRng;
use rand_distr::{Distribution, StandardNormal};

use super::{Scaler, Scalers, log_variance::LogVarianceBounds, params::Parameters};
use crate::AgentError;

/// The standardisation and bounds that predictions need besides weights.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Standardisation of inputs and targets.
    pub scalers: Scalers<'a>,
    /// The log-variance's bounds; empty for a model without variances.
    pub bounds: &'a [f32],
}

/// Views of every member's weights, which follow each fit, and buffers for up to a capacity of rows.
#[derive(Debug)]
pub struct Predictor {
    weights: Vec<Weights>,
    forward: Forward,
    /// Standardised inputs, those of one member together, `[capacity, inputs]`.
    x: Buffer,
    /// The row at each position of `x`.
    order: Vec<u32>,
    bounds: LogVarianceBounds,
    /// Deviations of one member's predictions, then noise of these deviations, `[capacity, O + 1]`.
    noise: Vec<f32>,
    obs_dim: usize,
}

impl Predictor {
    pub(super) fn new(params: &Parameters, obs_dim: usize, capacity: usize) -> Result<Self, AgentError> {
        let mlp = &params.mlp;
        Ok(Self {
            weights: (0..params.members).map(|e| Weights::new(mlp, &params.values, e * mlp.len())).collect(),
            forward: Forward::new(mlp, capacity)?,
            x: Buffer::zeros(&[capacity, mlp.inputs()])?,
            order: vec![0; capacity],
            bounds: LogVarianceBounds::default(),
            noise: vec![0.0; capacity * (obs_dim + 1)],
            obs_dim,
        })
    }

    /// Maps `obs [R, O]` and `action [R, A]` to `reward [R]` and `next [R, O]`, row r by member
    /// `members[r]`. With `noise` a model that has variances draws, else it gives the mean. R is at most
    /// the capacity.
    #[allow(clippy::too_many_arguments)] // two inputs, two outputs, the members and the noise
    pub fn predict(
        &mut self,
        view: View<'_>,
        obs: &[f32],
        action: &[f32],
        members: &[u32],
        mut noise: Option<&mut StreamRng>,
        reward: &mut [f32],
        next: &mut [f32],
    ) -> Result<(), AgentError> {
        let (rows, o, inputs) = (members.len(), self.obs_dim, view.scalers.inputs.mean.len());
        let a = inputs - o;
        let mut start = 0;
        self.bounds.set(view.bounds);
        noise = noise.filter(|_| !view.bounds.is_empty());
        let ordered = self.weights.len() > 1;
        for (member, weights) in self.weights.iter().enumerate() {
            let mut end = start;
            for (row, _) in members.iter().enumerate().filter(|(_, chosen)| !ordered || **chosen as usize == member) {
                let x = &mut self.x.slice_mut()[end * inputs..][..inputs];
                view.scalers.inputs.apply(&obs[row * o..][..o], &action[row * a..][..a], x);
                self.order[end] = row as u32;
                end += 1;
            }
            if end > start {
                let x = self.x.tensor().f_narrow(0, start as i64, (end - start) as i64)?;
                let output = self.forward.run(weights, &x)?;
                let width = output.len() / (end - start);
                let drawn = &mut self.noise[..(end - start) * (o + 1)];
                match &mut noise {
                    Some(rng) => {
                        self.bounds.deviations(output, drawn);
                        for x in &mut *drawn {
                            let draw: f32 = StandardNormal.sample(rng);
                            *x *= draw;
                        }
                    }
                    None => drawn.fill(0.0),
                }
                let outputs = output.chunks_exact(width).zip(drawn.chunks_exact(o + 1));
                for ((output, noise), &row) in outputs.zip(&self.order[start..end]) {
                    let row = row as usize;
                    let next = &mut next[row * o..][..o];
                    decode(output, noise, view.scalers.targets, &obs[row * o..][..o], &mut reward[row], next);
                }
            }
            start = end;
        }
        debug_assert_eq!(start, rows);
        Ok(())
    }
}

/// Turns one row's outputs, with noise in their units, into reward and next observation.
fn decode(output: &[f32], noise: &[f32], targets: &Scaler, obs: &[f32], reward: &mut f32, next: &mut [f32]) {
    let Scaler { mean, inverse } = targets;
    let difference = |j: usize| (output[j] + noise[j]) / inverse[j] + mean[j];
    *reward = difference(0);
    for (j, (next, obs)) in next.iter_mut().zip(obs).enumerate() {
        *next = obs + difference(j + 1);
    }
}
