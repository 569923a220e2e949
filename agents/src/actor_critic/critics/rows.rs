//! The critics' equations over a share of a batch on a CPU; `equations` is their specification.

use liprl_nets::{
    Buffer, Gradient, Pass, Weights,
    optim::{Target, TrainState},
};
use liprl_numerics::Mlp;
use tch::Tensor;

use crate::{
    AgentError,
    actor_critic::{
        CriticLoss,
        batch::Rows,
        distribution::Distribution,
        outputs::{CriticSums, Units, join},
        returns::Returns,
        value::{TermRows, TermState},
    },
};

/// ℓ(δ) and its derivative.
fn pointwise(kind: CriticLoss, error: f32) -> (f32, f32) {
    match kind {
        CriticLoss::Huber if error.abs() > 1.0 => (error.abs() - 0.5, error.signum()),
        _ => (0.5 * error * error, error),
    }
}

/// One or two critics over one share's rows.
#[derive(Debug)]
pub(crate) struct CriticRows {
    obs_dim: usize,
    act_dim: usize,
    weights: Vec<Weights>,
    targets: Vec<Weights>,
    /// The columns of each first layer that take the action.
    action_columns: Vec<Tensor>,
    passes: Vec<Pass>,
    /// (s, a) of the replay.
    replayed: Buffer,
    /// (s, a) with the action of a policy, at the next observation or the current one.
    proposed: Buffer,
    /// ∂/∂a of the value that the actor raises, one for each critic.
    action_gradients: Vec<Buffer>,
    /// Rows in which each of two critics is the smaller.
    smaller: [Vec<u32>; 2],
    /// ∂/∂a of the smaller of two critics' values, `[rows, A]`.
    climbed: Vec<f32>,
    /// Meaning of the outputs where they are not the value.
    distribution: Option<Distribution>,
    /// A regularising term on some of the rows.
    term: Option<Box<dyn TermRows>>,
    /// Units of scalar critics' outputs.
    pub(crate) units: Units,
    /// The gradient of the loss, this share's part.
    pub(crate) gradient: Gradient,
    /// y in the outputs' units, `[rows]`, or a distribution's target, `[rows, N]`.
    pub(crate) target: Vec<f32>,
    /// Mean over the critics of |δ| in units of reward, or a distribution's loss: the new
    /// priorities, `[rows]`.
    pub(crate) error: Vec<f32>,
}

impl CriticRows {
    /// Buffers for `rows` rows of critics with one output each, which are used with the learnt
    /// parameters.
    pub(crate) fn new(critics: &TrainState, targets: &Target, rows: usize, obs_dim: usize) -> Result<Self, AgentError> {
        let mlps = critics.mlps();
        let (weights, act_dim) = (critics.weights(), mlps[0].inputs() - obs_dim);
        let passes = |mlps: &[Mlp]| mlps.iter().map(|mlp| Pass::new(mlp, rows)).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            obs_dim,
            act_dim,
            action_columns: weights.iter().map(|weights| weights.first_columns(obs_dim, act_dim)).collect(),
            weights,
            targets: targets.weights(mlps),
            passes: passes(mlps)?,
            replayed: Buffer::zeros(&[rows, obs_dim + act_dim])?,
            proposed: Buffer::zeros(&[rows, obs_dim + act_dim])?,
            action_gradients: mlps.iter().map(|_| Buffer::zeros(&[rows, act_dim])).collect::<Result<_, _>>()?,
            smaller: Default::default(),
            climbed: vec![0.0; rows * act_dim],
            distribution: None,
            term: None,
            units: Units::PLAIN,
            gradient: critics.gradient()?,
            target: vec![0.0; rows],
            error: vec![0.0; rows],
        })
    }

    /// One critic that puts out this distribution; `None` changes nothing.
    pub(super) fn distributional(mut self, distribution: Option<Distribution>) -> Self {
        let outputs = distribution.as_ref().map_or(1, Distribution::outputs);
        self.target.resize(self.error.len() * outputs, 0.0);
        Self { distribution, ..self }
    }

    /// Critics used with the parameters that `weights` are views of.
    pub(super) fn using(self, weights: Vec<Weights>) -> Self {
        let columns = weights.iter().map(|weights| weights.first_columns(self.obs_dim, self.act_dim)).collect();
        Self { action_columns: columns, weights, ..self }
    }

    /// Critics with this term on some of the rows.
    pub(crate) fn regularised(self, term: Option<Box<dyn TermRows>>) -> Self {
        Self { term, ..self }
    }

    /// Turns the targets into normalised ones.
    pub(super) fn normalise(&mut self, returns: &Returns) {
        self.units = returns.units();
        self.target.iter_mut().for_each(|target| *target = returns.normalise(*target));
    }

    /// True if there is one critic that puts out a distribution.
    pub(crate) fn is_distributional(&self) -> bool {
        self.distribution.is_some()
    }

    /// Leaves the backup of the target critics at (`obs`, `action`) in `self.target`, in units of
    /// reward.
    pub(crate) fn target_values(&mut self, obs: &[f32], action: &[f32], minimum_weight: f32) -> Result<(), AgentError> {
        join(obs, action, self.obs_dim, self.act_dim, &mut self.proposed);
        self.target.copy_from_slice(self.passes[0].forward(&self.targets[0], self.proposed.tensor())?);
        if self.passes.len() == 2 {
            let second = self.passes[1].forward(&self.targets[1], self.proposed.tensor())?;
            for (value, second) in self.target.iter_mut().zip(second) {
                *value = minimum_weight * value.min(*second) + (1.0 - minimum_weight) * value.max(*second);
            }
        }
        if self.units != Units::PLAIN {
            let Units { scale, shift } = self.units;
            self.target.iter_mut().for_each(|value| *value = scale * *value + shift);
        }
        Ok(())
    }

    /// Leaves a distribution's target in `self.target`, from the target critic at the next
    /// observations and `action`.
    pub(crate) fn distribution_target(&mut self, rows: &Rows, action: &[f32]) -> Result<(), AgentError> {
        let Some(distribution) = &self.distribution else { return Ok(()) };
        join(rows.next_obs.slice(), action, self.obs_dim, self.act_dim, &mut self.proposed);
        self.passes[0].forward(&self.targets[0], self.proposed.tensor())?;
        let (outputs, scratch) = self.passes[0].output_and_gradient();
        distribution.target_rows(outputs, rows, scratch, &mut self.target);
        Ok(())
    }

    /// Finds every critic's loss at the replayed pairs against `self.target` and its gradient, for
    /// a batch of `batch` rows in all. The gradient includes that of `term`.
    pub(crate) fn critic_gradient(
        &mut self,
        rows: &Rows,
        kind: CriticLoss,
        batch: usize,
        term: Option<&TermState>,
    ) -> Result<CriticSums, AgentError> {
        join(rows.obs.slice(), rows.action.slice(), self.obs_dim, self.act_dim, &mut self.replayed);
        let (mut sums, share, count) = (CriticSums::default(), 1.0 / batch as f32, self.passes.len() as f32);
        let Units { scale, shift } = self.units;
        self.error.fill(0.0);
        for (index, pass) in self.passes.iter_mut().enumerate() {
            pass.forward(&self.weights[index], self.replayed.tensor())?;
            let (values, gradient) = pass.output_and_gradient();
            if let Some(distribution) = &self.distribution {
                let pair = (values, &self.target[..]);
                sums = distribution.critic_gradient_rows(pair, rows.weight.slice(), share, gradient, &mut self.error);
            } else {
                let targets = self.target.iter().zip(rows.weight.slice()).zip(&mut self.error);
                for ((value, gradient), ((target, weight), kept)) in values.iter().zip(gradient).zip(targets) {
                    let error = value - target;
                    let (loss, slope) = pointwise(kind, error);
                    sums.loss += f64::from(weight * loss);
                    *gradient = weight * slope * share;
                    *kept += error.abs() * (scale / count);
                }
                if index == 0 {
                    sums.value = total(values, scale, shift);
                }
            }
            let mut term = term.zip(self.term.as_mut());
            if let Some((term, part)) = &mut term {
                part.add(term, (index, &self.weights[index]), rows, pass.output_and_gradient(), scale)?;
            }
            pass.backward(&self.weights[index], self.replayed.tensor(), Some((&mut self.gradient, index)))?;
            if let Some((term, part)) = &mut term {
                part.finish(term, (index, &self.weights[index]), rows, &mut self.gradient)?;
            }
        }
        if let Some(part) = &mut self.term {
            sums.term = part.take_sums();
        }
        Ok(sums)
    }

    /// The smaller of the critics' values at (`obs`, `action`) (the first's without `twin`), summed
    /// over the rows, and −∂/∂a of their mean over a batch of `batch` rows, `[rows, A]`: an actor's
    /// loss needs both. All in units of reward.
    pub(crate) fn actor_gradient(
        &mut self,
        obs: &[f32],
        action: &[f32],
        twin: bool,
        batch: usize,
    ) -> Result<(f64, &[f32]), AgentError> {
        join(obs, action, self.obs_dim, self.act_dim, &mut self.proposed);
        let used = if twin { self.passes.len() } else { 1 };
        for (pass, weights) in self.passes[..used].iter_mut().zip(&self.weights) {
            pass.forward(weights, self.proposed.tensor())?;
        }
        let Units { scale, shift } = self.units;
        let (share, mut sum) = (-scale / batch as f32, 0.0);
        let (first, second) = self.passes[..used].split_at_mut(1);
        let (values, gradient) = first[0].output_and_gradient();
        match (second, &self.distribution) {
            (_, Some(distribution)) => sum = distribution.actor_gradient_rows(values, share, gradient),
            ([second], None) => {
                self.smaller.iter_mut().for_each(Vec::clear);
                for (row, (value, other)) in values.iter().zip(second.output()).enumerate() {
                    sum += f64::from(value.min(*other));
                    self.smaller[usize::from(value > other)].push(row as u32);
                }
                sum = f64::from(scale) * sum + f64::from(shift) * values.len() as f64;
                self.climb_smaller(share)?;
                return Ok((sum, &self.climbed));
            }
            (_, None) => {
                sum = total(values, scale, shift);
                gradient.fill(share);
            }
        }
        let pass = &mut self.passes[0];
        pass.backward(&self.weights[0], self.proposed.tensor(), None)?;
        pass.input_gradient(&self.action_columns[0], &self.action_gradients[0])?;
        Ok((sum, self.action_gradients[0].slice()))
    }

    /// Takes the gradient `share` of each row's smaller value back to the action, through the critic
    /// that has it alone.
    fn climb_smaller(&mut self, share: f32) -> Result<(), AgentError> {
        for (index, rows) in self.smaller.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let (pass, out) = (&mut self.passes[index], &self.action_gradients[index]);
            pass.output_and_gradient().1[..rows.len()].fill(share);
            pass.input_gradient_of(&self.weights[index], rows, &self.action_columns[index], out)?;
            for (&row, gradient) in rows.iter().zip(out.slice().chunks_exact(self.act_dim)) {
                self.climbed[row as usize * self.act_dim..][..self.act_dim].copy_from_slice(gradient);
            }
        }
        Ok(())
    }
}

/// The sum of `scale` value + `shift`.
fn total(values: &[f32], scale: f32, shift: f32) -> f64 {
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    f64::from(scale) * sum + f64::from(shift) * values.len() as f64
}

#[cfg(test)]
mod tests {
    use liprl_nets::{
        autograd::{gradient, leaf},
        testing::{assert_close, assert_gradient},
    };

    use super::*;
    use crate::actor_critic::{
        critics::equations::{backup, loss},
        outputs::values,
        testing,
    };

    #[test]
    fn gradient_by_hand_equals_autograd() {
        for (net, kind, count) in testing::networks() {
            let batch = testing::batch(37, 5, 3);
            let critics = testing::critics(&net, 5, 3, count);
            let targets = critics.target().unwrap();
            let mut rows = CriticRows::new(&critics, &targets, 37, 5).unwrap();
            rows.target = testing::numbers(37, "targets");
            let sums = rows.critic_gradient(&Rows::of(&batch, 0..37).unwrap(), kind, 37, None).unwrap();

            let params = leaf(critics.params().tensor());
            let values = values(&critics, &params, &batch.obs, &batch.action).unwrap();
            let loss = loss(&values, &Tensor::from_slice(&rows.target), &batch.weight, kind);
            assert_gradient(rows.gradient.slice(), &gradient(&loss, &params).unwrap());
            assert_close(sums.loss / 37.0, loss.double_value(&[]));
            assert_close(sums.value / 37.0, values[0].mean(None).double_value(&[]));
        }
    }

    #[test]
    fn climbing_by_hand_equals_autograd() {
        for (net, _, count) in testing::networks() {
            let batch = testing::batch(37, 5, 3);
            let critics = testing::critics(&net, 5, 3, count);
            let mut rows = CriticRows::new(&critics, &critics.target().unwrap(), 37, 5).unwrap();
            let (obs, action) = (testing::numbers(37 * 5, "obs"), testing::numbers(37 * 3, "action"));
            let (sum, climbed) = rows.actor_gradient(&obs, &action, true, 37).unwrap();

            let obs = Tensor::from_slice(&obs).view([37, 5]);
            let action = leaf(&Tensor::from_slice(&action).view([37, 3]));
            let values = values(&critics, critics.params().tensor(), &obs, &action).unwrap();
            let value = backup(&values, 1.0);
            assert_close(sum, value.sum(None).double_value(&[]));
            assert_gradient(climbed, &gradient(&-value.mean(None), &action).unwrap().flatten(0, -1));
            drop(batch);
        }
    }

    #[test]
    fn soft_backup_by_hand_over_rows_equals_the_tensor_form() {
        let net = testing::networks().swap_remove(0).0;
        let batch = testing::batch(8, 5, 3);
        let critics = testing::critics(&net, 5, 3, 2);
        let targets = critics.target().unwrap();
        let mut rows = CriticRows::new(&critics, &targets, 8, 5).unwrap();
        let part = Rows::of(&batch, 0..8).unwrap();
        rows.target_values(part.next_obs.slice(), part.action.slice(), 0.75).unwrap();
        let values = values(&critics, targets.params.tensor(), &batch.next_obs, &batch.action).unwrap();
        assert_gradient(&rows.target, &backup(&values, 0.75));
    }
}
