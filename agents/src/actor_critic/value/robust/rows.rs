//! The CPU form of robust regularisation over a share of the rows.

use liprl_nets::{Buffer, Gradient, Pass, Weights};
use tch::Tensor;

use super::{Adversary, Against, PolicyAction, RobustConfig};
use crate::{
    AgentError,
    actor_critic::{
        actor::PolicyPass,
        batch::Rows,
        outputs::join,
        value::term::{Networks, TermRows, TermShare, TermState, TermSums},
    },
};

/// The term over one share's rows.
#[derive(Debug)]
pub(super) struct RobustRows {
    config: RobustConfig,
    share: TermShare,
    obs_dim: usize,
    act_dim: usize,
    /// The policy at s and at s'.
    at_start: PolicyPass,
    at_moved: PolicyPass,
    policy: Weights,
    /// The policy's first layer, whole.
    policy_columns: Tensor,
    /// s and s', `[n, O]`.
    pub(super) start: Buffer,
    pub(super) moved: Buffer,
    /// A critic at (s', π(s')), both together `[n, O + A]`.
    pairs: Buffer,
    pass: Pass,
    /// Each critic's first layer, whole.
    columns: Vec<Tensor>,
    /// Gradients with respect to `pairs`, and through the policy with respect to the state.
    d_pairs: Buffer,
    d_start: Buffer,
    /// Gradient with respect to the action, `[n, A]`.
    d_action: Vec<f32>,
    /// A critic's outputs at (s, π(s)), `[n]`.
    before: Vec<f32>,
    sums: TermSums,
}

impl RobustRows {
    /// Buffers for these rows; `weights` are the critics'.
    pub(super) fn new(
        config: RobustConfig,
        share: TermShare,
        networks: &Networks<'_>,
        weights: &[Weights],
    ) -> Result<Self, AgentError> {
        let (obs_dim, act_dim) = networks.dims();
        let (count, pair) = (share.rows.len(), obs_dim + act_dim);
        let policy = networks.actor.weights().swap_remove(0);
        let policy_pass = || PolicyPass::new(networks.actor, count, act_dim);
        Ok(Self {
            at_start: policy_pass()?,
            at_moved: policy_pass()?,
            policy_columns: policy.first_columns(0, obs_dim),
            policy,
            start: Buffer::zeros(&[count, obs_dim])?,
            moved: Buffer::zeros(&[count, obs_dim])?,
            pairs: Buffer::zeros(&[count, pair])?,
            // All critics have one shape, and each is done before the next.
            pass: Pass::new(&networks.critics.mlps()[0], count)?,
            columns: weights.iter().map(|weights| weights.first_columns(0, pair)).collect(),
            d_pairs: Buffer::zeros(&[count, pair])?,
            d_start: Buffer::zeros(&[count, obs_dim])?,
            d_action: vec![0.0; count * act_dim],
            before: vec![0.0; count],
            sums: TermSums::default(),
            config,
            share,
            obs_dim,
            act_dim,
        })
    }

    /// Takes the term's observations out of the share's.
    fn gather(&mut self, rows: &Rows) {
        let width = self.obs_dim;
        for (start, row) in self.start.slice_mut().chunks_exact_mut(width).zip(&self.share.rows) {
            start.copy_from_slice(&rows.obs.slice()[row * width..(row + 1) * width]);
        }
    }

    /// Finds s' for this critic, which has just been at (s, π(s)).
    fn perturb(
        &mut self,
        state: &TermState,
        (index, weights): (usize, &Weights),
        values: &[f32],
        noise: &[f32],
    ) -> Result<(), AgentError> {
        let (steps, length) = self.config.steps();
        let (width, epsilon, length) = (self.obs_dim, self.config.epsilon as f32, length as f32);
        self.moved.slice_mut().copy_from_slice(self.start.slice());
        if self.config.adversary == Adversary::Uniform {
            let count = state.rows.len();
            let draws = &state.draws.uniform[(index * count + self.share.first) * width..];
            for (moved, draws) in self.moved.slice_mut().chunks_exact_mut(width).zip(draws.chunks_exact(width)) {
                moved
                    .iter_mut()
                    .zip(draws)
                    .zip(&state.unit)
                    .for_each(|((x, draw), unit)| *x += draw * (unit * epsilon));
            }
        }
        for step in 0..steps {
            if step > 0 {
                self.at_moved.act(&self.policy, self.moved.tensor(), noise)?;
                join(self.moved.slice(), &self.at_moved.action, width, self.act_dim, &mut self.pairs);
                self.pass.forward(weights, self.pairs.tensor())?;
            }
            self.uphill(weights, index, values, noise, step == 0)?;
            let through_pair = self.d_pairs.slice().chunks_exact(width + self.act_dim);
            let through_policy = self.d_start.slice().chunks_exact(width);
            let each = self.moved.slice_mut().chunks_exact_mut(width).zip(self.start.slice().chunks_exact(width));
            for ((moved, start), (pair, policy)) in each.zip(through_pair.zip(through_policy)) {
                for i in 0..width {
                    let (uphill, half) = (sign(pair[i] + policy[i]), epsilon * state.unit[i]);
                    let step = moved[i] + uphill * (length * state.unit[i]);
                    moved[i] = step.max(start[i] - half).min(start[i] + half); // unlike `clamp`, no panic at NaN
                }
            }
        }
        Ok(())
    }

    /// Finds the gradient of ½ (Q(s', π(s')) − Q(s, a))² with respect to s', in two parts, at the critic's last pass.
    fn uphill(
        &mut self,
        weights: &Weights,
        index: usize,
        values: &[f32],
        noise: &[f32],
        at_start: bool,
    ) -> Result<(), AgentError> {
        let (outputs, gradient) = self.pass.output_and_gradient();
        for ((output, gradient), &row) in outputs.iter().zip(gradient).zip(&self.share.rows) {
            *gradient = output - values[row];
        }
        self.pass.backward(weights, self.pairs.tensor(), None)?;
        self.pass.input_gradient(&self.columns[index], &self.d_pairs)?;
        let policy = if at_start { &mut self.at_start } else { &mut self.at_moved };
        let x = if at_start { &self.start } else { &self.moved }.tensor();
        let pairs = self.d_pairs.slice().chunks_exact(self.obs_dim + self.act_dim);
        for (d_action, pair) in self.d_action.chunks_exact_mut(self.act_dim).zip(pairs) {
            d_action.copy_from_slice(&pair[self.obs_dim..]);
        }
        policy.back((&self.policy, x, noise), (&self.d_action, 0.0), None)?;
        policy.input_gradient(&self.policy_columns, &self.d_start)
    }
}

impl TermRows for RobustRows {
    // Finds s', takes the critic there, and adds to `gradient` what comes back to Q(s, a).
    fn add(
        &mut self,
        state: &TermState,
        (index, weights): (usize, &Weights),
        rows: &Rows,
        (values, gradient): (&[f32], &mut [f32]),
        scale: f32,
    ) -> Result<(), AgentError> {
        let noise_at = self.share.first * self.act_dim;
        let noise: &[f32] = match self.config.action {
            PolicyAction::Mean => &[],
            PolicyAction::Sample => &state.draws.noise[noise_at..noise_at + self.share.rows.len() * self.act_dim],
        };
        if index == 0 {
            self.gather(rows);
            self.at_start.act(&self.policy, self.start.tensor(), noise)?;
        }
        join(self.start.slice(), &self.at_start.action, self.obs_dim, self.act_dim, &mut self.pairs);
        self.before.copy_from_slice(self.pass.forward(weights, self.pairs.tensor())?);
        if index == 0 || self.config.against == Against::Each {
            self.perturb(state, (index, weights), values, noise)?;
            self.at_moved.act(&self.policy, self.moved.tensor(), noise)?;
        }
        join(self.moved.slice(), &self.at_moved.action, self.obs_dim, self.act_dim, &mut self.pairs);
        self.pass.forward(weights, self.pairs.tensor())?;
        let (after, after_gradient) = self.pass.output_and_gradient();
        let each = after.iter().zip(after_gradient).zip(&self.before).zip(&self.share.rows);
        for (((after, after_gradient), before), &row) in each {
            let (gap, first_gap, weight) = (after - values[row], before - values[row], rows.weight.slice()[row]);
            self.sums[0] += f64::from(weight * gap * gap);
            self.sums[1] += f64::from(weight * first_gap * first_gap);
            self.sums[2] += f64::from(scale * (gap.abs() - first_gap.abs()));
            let slope = 2.0 * state.weight as f32 * weight * gap;
            *after_gradient = slope;
            if !self.config.detach {
                gradient[row] -= slope;
            }
        }
        Ok(())
    }

    fn finish(
        &mut self,
        _: &TermState,
        (index, weights): (usize, &Weights),
        _: &Rows,
        gradient: &mut Gradient,
    ) -> Result<(), AgentError> {
        Ok(self.pass.backward_adding(weights, self.pairs.tensor(), gradient, index)?)
    }

    fn take_sums(&mut self) -> TermSums {
        std::mem::take(&mut self.sums)
    }
}

/// −1, 0 or 1: unlike `f32::signum`, 0 of 0.
fn sign(x: f32) -> f32 {
    f32::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}
