//! Predictions of many rows at once, each by a chosen member.

use liprl_nets::{Buffer, Forward, Weights};
use liprl_numerics::{StreamRng, kernels};
use rand_distr::{Distribution, StandardNormal};

use super::{Scaler, Scalers, loss, params::Parameters};
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
                for (output, &row) in output.chunks_exact(width).zip(&self.order[start..end]) {
                    let row = row as usize;
                    let next = &mut next[row * o..][..o];
                    let draw = noise.as_deref_mut();
                    decode(output, view, draw, &obs[row * o..][..o], &mut reward[row], next);
                }
            }
            start = end;
        }
        debug_assert_eq!(start, rows);
        Ok(())
    }
}

/// Turns one row's outputs into reward and next observation.
fn decode(
    output: &[f32],
    view: View<'_>,
    noise: Option<&mut StreamRng>,
    obs: &[f32],
    reward: &mut f32,
    next: &mut [f32],
) {
    let dims = obs.len() + 1;
    let Scaler { mean, inverse } = view.scalers.targets;
    *reward = output[0] / inverse[0] + mean[0];
    let deltas = output[1..dims].iter().zip(&inverse[1..]).zip(&mean[1..]);
    next.iter_mut()
        .zip(obs)
        .zip(deltas)
        .for_each(|((next, obs), ((y, inverse), mean))| *next = obs + (y / inverse + mean));
    let (Some(rng), false) = (noise, view.bounds.is_empty()) else { return };
    let (max, min) = view.bounds.split_at(dims);
    for j in 0..dims {
        let (log_var, ..) = loss::bounded_with_slopes(output[dims + j], max[j], min[j]);
        let draw: f32 = StandardNormal.sample(rng);
        let change = kernels::exp(0.5 * log_var) * draw / inverse[j];
        match j {
            0 => *reward += change,
            _ => next[j - 1] += change,
        }
    }
}
