//! Robust regularisation (arXiv 2302.01244): L = Σⱼ mean w max (Qⱼ(s', π(s')) − Qⱼ(s, a))² over |s'ᵢ − sᵢ| ≤ ε uᵢ, (s, a) replayed, uᵢ the length of one
//! unit along coordinate i.
//!
//! The maximum is sought by s' ← clip(s' + η u sign ∇ₛ' (Q(s', π(s')) − Q(s, a))²) from s' = s: once with η = ε (FGSM), or several times
//! (PGD). No random start is needed: a and π(s) differ, so the gap at s is not zero. The gradient passes through π(s') here; in the
//! loss s' is a constant and π does not learn.
//!
//! First the autograd form, any device; then the same by hand over a share of the batch.

use liprl_nets::{Buffer, Gradient, Pass, Weights, autograd::gradient, gaussian, optim::Trained};
use tch::Tensor;

use super::{
    Adversary, Against, PolicyAction, RobustConfig,
    regulariser::{Networks, Regulariser, Share, TermSums},
};
use crate::{
    AgentError,
    actor_critic::{
        batch::Rows,
        critic::join,
        learner::{OnDevice, values},
    },
};

impl RobustConfig {
    /// Steps of the adversary and their length in units.
    fn steps(&self) -> (usize, f64) {
        match self.adversary {
            Adversary::Fgsm => (1, self.epsilon),
            Adversary::Pgd { steps, step_size } => (steps, step_size.unwrap_or(2.5 * self.epsilon / steps as f64)),
            Adversary::Uniform => (0, 0.0),
        }
    }
}

/// The policy's action `[n, A]` at `obs [n, O]` by autograd, the policy's parameters being constants.
fn act(config: &RobustConfig, actor: &Trained, obs: &Tensor, noise: &Tensor) -> Result<Tensor, AgentError> {
    let head = actor.forward(0, actor.params().tensor(), obs);
    Ok(match config.action {
        PolicyAction::Mean => head.f_narrow(1, 0, noise.size()[1])?.f_tanh()?,
        PolicyAction::Sample => gaussian::sample(&head, noise).0,
    })
}

/// The term with its factor, a scalar, and its sums; `on` has its rows alone, `replayed` are each critic's outputs `[n]` there.
pub(super) fn autograd(
    config: &RobustConfig,
    term: &Regulariser,
    networks: &Networks<'_>,
    on: &OnDevice,
    replayed: &[Tensor],
) -> Result<(Tensor, TermSums), AgentError> {
    let (count, obs_dim) = (on.obs.size()[0], on.obs.size()[1]);
    let place = |numbers: &[f32]| Tensor::f_from_slice(numbers)?.f_to_device(on.obs.device())?.f_to_kind(on.obs.kind());
    let unit = place(&term.unit)?;
    let noise = match config.action {
        PolicyAction::Mean => on.action.f_zeros_like()?,
        PolicyAction::Sample => place(&term.noise)?.f_view([count, -1])?,
    };
    let value = |index: usize, obs: &Tensor| {
        let action = act(config, networks.actor, obs, &noise)?;
        Ok::<_, AgentError>(values(networks.critics, networks.params, obs, &action)?.swap_remove(index))
    };
    let (low, high) = (&on.obs - &unit * config.epsilon, &on.obs + &unit * config.epsilon);
    let (steps, length) = config.steps();
    let adversary = |index: usize| -> Result<Tensor, AgentError> {
        if config.adversary == Adversary::Uniform {
            let draws = place(&term.uniform)?.f_view([-1, count, obs_dim])?.f_get(index as i64)?;
            return Ok(&on.obs + draws * (&unit * config.epsilon));
        }
        let mut moved = on.obs.shallow_clone();
        for _ in 0..steps {
            let leaf = moved.f_detach()?.set_requires_grad(true);
            let gap = value(index, &leaf)? - replayed[index].f_detach()?;
            let uphill = gradient(&gap.square().f_sum(gap.kind())?, &leaf)?.f_sign()?;
            moved = (leaf.f_detach()? + uphill * (&unit * length)).f_clamp_tensor(Some(&low), Some(&high))?;
        }
        Ok(moved)
    };
    let mut sums = TermSums::default();
    let mut loss = Tensor::f_zeros([], (on.obs.kind(), on.obs.device()))?;
    let mut moved = None;
    for (index, replayed) in replayed.iter().enumerate() {
        let place = match moved.take() {
            Some(first) if config.against == Against::First => first,
            _ => adversary(index)?,
        };
        let anchor = if config.detach { replayed.f_detach()? } else { replayed.shallow_clone() };
        let gap = value(index, &place)? - anchor;
        let part = (gap.square() * &on.weight).f_sum(gap.kind())?;
        let before = tch::no_grad(|| Ok::<_, AgentError>(value(index, &on.obs)? - replayed))?;
        sums[0] += part.f_double_value(&[])?;
        sums[1] += (before.square() * &on.weight).f_sum(before.kind())?.f_double_value(&[])?;
        let gain = (gap.f_detach()?.abs() - before.abs()) * f64::from(networks.scale);
        sums[2] += gain.f_sum(gain.kind())?.f_double_value(&[])?;
        loss += part * term.share();
        moved = Some(place);
    }
    Ok((loss, sums))
}

/// The same by hand over one member's rows.
#[derive(Debug)]
pub(crate) struct RobustRows {
    config: RobustConfig,
    share: Share,
    obs_dim: usize,
    act_dim: usize,
    /// The policy at s and at s'.
    at_start: PolicyPass,
    at_moved: PolicyPass,
    policy: Weights,
    /// The policy's first layer, whole.
    policy_columns: Tensor,
    /// s and s', `[n, O]`.
    start: Buffer,
    moved: Buffer,
    /// A critic at (s', π(s')), both together `[n, O + A]`.
    pairs: Buffer,
    pass: Pass,
    /// Each critic's first layer, whole.
    columns: Vec<Tensor>,
    /// Gradients with respect to `pairs`, and through the policy with respect to the state.
    d_pairs: Buffer,
    d_start: Buffer,
    /// A critic's outputs at (s, π(s)), `[n]`.
    before: Vec<f32>,
    pub(super) sums: TermSums,
}

impl RobustRows {
    /// Buffers for these rows; `weights` are the critics'.
    pub(super) fn new(
        config: RobustConfig,
        share: Share,
        networks: &Networks<'_>,
        weights: &[Weights],
        obs_dim: usize,
        act_dim: usize,
    ) -> Result<Self, AgentError> {
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
            before: vec![0.0; count],
            sums: TermSums::default(),
            config,
            share,
            obs_dim,
            act_dim,
        })
    }

    /// Critic number `index`'s part: finds s', takes the critic there, and adds to `gradient` what comes back to Q(s, a). `values` are its
    /// outputs over the member's rows.
    pub(super) fn add(
        &mut self,
        term: &Regulariser,
        (index, weights): (usize, &Weights),
        rows: &Rows,
        (values, gradient): (&[f32], &mut [f32]),
        scale: f32,
    ) -> Result<(), AgentError> {
        let noise_at = self.share.first * self.act_dim;
        let noise: &[f32] = match self.config.action {
            PolicyAction::Mean => &[],
            PolicyAction::Sample => &term.noise[noise_at..noise_at + self.share.rows.len() * self.act_dim],
        };
        if index == 0 {
            self.gather(rows);
            self.at_start.act(&self.policy, &self.start, noise, self.act_dim)?;
        }
        join(self.start.slice(), &self.at_start.action, self.obs_dim, self.act_dim, &mut self.pairs);
        self.before.copy_from_slice(self.pass.forward(weights, self.pairs.tensor())?);
        if index == 0 || self.config.against == Against::Each {
            self.perturb(term, (index, weights), values, noise)?;
            self.at_moved.act(&self.policy, &self.moved, noise, self.act_dim)?;
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
            let slope = 2.0 * term.share() as f32 * weight * gap;
            *after_gradient = slope;
            if !self.config.detach {
                gradient[row] -= slope;
            }
        }
        Ok(())
    }

    /// Adds the parameters' gradient at s'.
    pub(super) fn finish(
        &mut self,
        weights: &Weights,
        gradient: &mut Gradient,
        index: usize,
    ) -> Result<(), AgentError> {
        Ok(self.pass.backward_adding(weights, self.pairs.tensor(), gradient, index)?)
    }

    /// The term's observations out of the member's.
    fn gather(&mut self, rows: &Rows) {
        let width = self.obs_dim;
        for (start, row) in self.start.slice_mut().chunks_exact_mut(width).zip(&self.share.rows) {
            start.copy_from_slice(&rows.obs.slice()[row * width..(row + 1) * width]);
        }
    }

    /// s' for this critic, which has just been at (s, π(s)).
    fn perturb(
        &mut self,
        term: &Regulariser,
        (index, weights): (usize, &Weights),
        values: &[f32],
        noise: &[f32],
    ) -> Result<(), AgentError> {
        let (steps, length) = self.config.steps();
        let (width, epsilon, length) = (self.obs_dim, self.config.epsilon as f32, length as f32);
        self.moved.slice_mut().copy_from_slice(self.start.slice());
        if self.config.adversary == Adversary::Uniform {
            let count = term.rows().len();
            let draws = &term.uniform[(index * count + self.share.first) * width..];
            for (moved, draws) in self.moved.slice_mut().chunks_exact_mut(width).zip(draws.chunks_exact(width)) {
                moved.iter_mut().zip(draws).zip(&term.unit).for_each(|((x, draw), unit)| *x += draw * (unit * epsilon));
            }
        }
        for step in 0..steps {
            if step > 0 {
                self.at_moved.act(&self.policy, &self.moved, noise, self.act_dim)?;
                join(self.moved.slice(), &self.at_moved.action, width, self.act_dim, &mut self.pairs);
                self.pass.forward(weights, self.pairs.tensor())?;
            }
            self.climb(weights, index, values, noise, step == 0)?;
            let through_pair = self.d_pairs.slice().chunks_exact(width + self.act_dim);
            let through_policy = self.d_start.slice().chunks_exact(width);
            let each = self.moved.slice_mut().chunks_exact_mut(width).zip(self.start.slice().chunks_exact(width));
            for ((moved, start), (pair, policy)) in each.zip(through_pair.zip(through_policy)) {
                for i in 0..width {
                    let (uphill, half) = (sign(pair[i] + policy[i]), epsilon * term.unit[i]);
                    let step = moved[i] + uphill * (length * term.unit[i]);
                    moved[i] = step.max(start[i] - half).min(start[i] + half); // unlike `clamp`, no panic at NaN
                }
            }
        }
        Ok(())
    }

    /// The gradient of ½ (Q(s', π(s')) − Q(s, a))² with respect to s', in two parts, where the critic has just been.
    fn climb(
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
        let x = if at_start { &self.start } else { &self.moved };
        policy.back(&self.policy, x, noise, (self.d_pairs.slice(), self.obs_dim))?;
        Ok(policy.pass.input_gradient(&self.policy_columns, &self.d_start)?)
    }
}

/// A policy's pass with the action it chose.
#[derive(Debug)]
struct PolicyPass {
    pass: Pass,
    /// `[n, A]`.
    action: Vec<f32>,
    /// Of the action, `[n]`: comes with a sample, is not used.
    log_prob: Vec<f32>,
    /// Gradient with respect to the action, `[n, A]`.
    d_action: Vec<f32>,
}

impl PolicyPass {
    fn new(actor: &Trained, count: usize, act_dim: usize) -> Result<Self, AgentError> {
        Ok(Self {
            pass: Pass::new(&actor.mlps()[0], count)?,
            action: vec![0.0; count * act_dim],
            log_prob: vec![0.0; count],
            d_action: vec![0.0; count * act_dim],
        })
    }

    /// The action at `x [n, O]`: the mean, or a sample where there is `noise [n, A]`.
    fn act(&mut self, weights: &Weights, x: &Buffer, noise: &[f32], act_dim: usize) -> Result<(), AgentError> {
        let head = self.pass.forward(weights, x.tensor())?;
        if noise.is_empty() {
            let width = head.len() / self.log_prob.len();
            for (action, head) in self.action.chunks_exact_mut(act_dim).zip(head.chunks_exact(width)) {
                action.iter_mut().zip(head).for_each(|(action, mean)| *action = mean.tanh());
            }
        } else {
            gaussian::sample_rows(head, noise, act_dim, &mut self.action, &mut self.log_prob);
        }
        Ok(())
    }

    /// From the gradient with respect to (s, a), `[n, O + A]`, back through the action to the first layer.
    fn back(
        &mut self,
        weights: &Weights,
        x: &Buffer,
        noise: &[f32],
        (d_pairs, obs_dim): (&[f32], usize),
    ) -> Result<(), AgentError> {
        let act_dim = self.action.len() / self.log_prob.len();
        for (d_action, pair) in self.d_action.chunks_exact_mut(act_dim).zip(d_pairs.chunks_exact(obs_dim + act_dim)) {
            d_action.copy_from_slice(&pair[obs_dim..]);
        }
        let (head, gradient) = self.pass.output_and_gradient();
        if noise.is_empty() {
            let width = head.len() / self.log_prob.len();
            let each = self.action.chunks_exact(act_dim).zip(self.d_action.chunks_exact(act_dim));
            for (gradient, (action, d_action)) in gradient.chunks_exact_mut(width).zip(each) {
                gradient[act_dim..].fill(0.0);
                for ((gradient, action), d) in gradient.iter_mut().zip(action).zip(d_action) {
                    *gradient = d * (1.0 - action * action);
                }
            }
        } else {
            gaussian::head_gradient(head, noise, &self.action, &self.d_action, 0.0, act_dim, gradient);
        }
        Ok(self.pass.backward(weights, x.tensor(), None)?)
    }
}

/// −1, 0 or 1: unlike `f32::signum`, 0 of 0.
fn sign(x: f32) -> f32 {
    f32::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

#[cfg(test)]
mod tests;
