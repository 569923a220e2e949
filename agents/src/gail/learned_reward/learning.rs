//! The discriminator's passes over the demonstrations.

use liprl_numerics::StreamRng;
use rand::{RngExt, seq::SliceRandom};

use super::{LearnedReward, Scratch, source::Source};
use crate::{
    AgentError, Metrics, Replay,
    gail::{
        config::Absorbing,
        discriminator::{StepData, StepStats},
        discriminator_config::Labels,
        encoder::RawTransition,
    },
};

impl LearnedReward {
    /// Draws a batch of the policy's transitions, raw, into the first half of `scratch.sides`. If
    /// absorbing states count, there is one absorbing transition for each terminated one.
    fn draw_policy(&mut self, replay: &Replay) -> Result<(), AgentError> {
        let (width, batch) = (self.encoder.width(), self.config.discriminator.batch_size);
        let stored = replay.len() as u64;
        let all = stored + if self.absorbing == Absorbing::Value { self.terminations } else { 0 };
        self.scratch.sides.resize(2 * batch * width, 0.0);
        for row in self.scratch.sides[..batch * width].chunks_exact_mut(width) {
            match replay.get(self.rng.random_range(0..all) as u32) {
                Some(stored) => {
                    let seen = RawTransition {
                        obs: stored.obs,
                        action: stored.action,
                        next_obs: stored.next_obs,
                        flags: stored.flags,
                    };
                    self.encoder.encode(seen, row);
                }
                None => self.encoder.encode_absorbing(row),
            }
        }
        Ok(())
    }

    /// One gradient step of the discriminator on the policy's rows in `scratch.sides` and these
    /// demonstrated ones.
    fn step(&mut self, chosen: std::ops::Range<usize>) -> Result<StepStats, AgentError> {
        let config = &self.config.discriminator;
        let (width, batch, penalty) = (self.encoder.width(), config.batch_size, config.gradient_penalty);
        let Scratch { slopes, sides, preprocessed, points, chosen: taken, labels, weights, .. } = &mut self.scratch;
        let (policy, expert) = sides.split_at_mut(batch * width);
        weights.clear();
        for (row, &i) in expert.chunks_exact_mut(width).zip(&taken[chosen]) {
            row.copy_from_slice(&self.expert_rows[i as usize * width..][..width]);
            weights.push(self.expert.weight[i as usize]);
        }
        draw_labels(config.policy_labels, 0.0, batch, &mut self.rng, &mut labels[0]);
        draw_labels(config.expert_labels, 1.0, batch, &mut self.rng, &mut labels[1]);
        if penalty.scale > 0.0 {
            points.resize(batch * width, 0.0);
            slopes.resize(batch * width, 0.0);
            penalty.draw(policy, expert, (width, self.encoder.second()), &mut self.rng, points);
            self.encoder.slopes(self.normaliser.as_ref(), penalty.units, points, slopes);
            self.encoder.preprocess(self.normaliser.as_ref(), points);
        }
        preprocessed.clone_from(sides);
        self.encoder.preprocess(self.normaliser.as_ref(), preprocessed);
        let Source::Discriminator(discriminator, _) = &mut self.source else { return Ok(StepStats::default()) };
        discriminator.step(&StepData {
            rows: preprocessed,
            policy_labels: &labels[0],
            expert_labels: &labels[1],
            expert_weights: weights,
            points,
            slopes: &slopes[..points.len()],
        })
    }

    /// One pass over the demonstrations.
    pub(super) fn pass(&mut self, replay: &Replay, metrics: &mut Metrics) -> Result<(), AgentError> {
        let (batch, width) = (self.config.discriminator.batch_size, self.encoder.width());
        let whole = self.expert.len() / batch;
        let steps = self.config.discriminator.steps.map_or(whole, |steps| steps.min(whole));
        let Scratch { order, chosen, .. } = &mut self.scratch;
        order.clear();
        order.extend(0..self.expert.len() as u32);
        chosen.clear();
        chosen.extend_from_slice(order.partial_shuffle(&mut self.rng, steps * batch).0);
        for step in 0..steps {
            if step == 0 || self.config.discriminator.fresh_rows {
                self.draw_policy(replay)?;
            } else {
                shuffle_rows(&mut self.scratch.sides[..batch * width], width, &mut self.rng);
            }
            let StepStats { classification, penalty, norm, above, grad_norm } =
                self.step(step * batch..(step + 1) * batch)?;
            metrics.add("train/discriminator_loss", classification.loss);
            metrics.add("train/discriminator_entropy", classification.entropy);
            metrics.add("train/discriminator_accuracy_expert", classification.expert_accuracy);
            metrics.add("train/discriminator_accuracy_policy", classification.policy_accuracy);
            metrics.add("train/discriminator_logit_expert", classification.expert_logit);
            metrics.add("train/discriminator_logit_policy", classification.policy_logit);
            metrics.add("train/discriminator_grad_norm", grad_norm);
            if self.config.discriminator.gradient_penalty.scale > 0.0 {
                metrics.add("train/gradient_penalty", penalty);
                metrics.add("lipschitz/penalised_gradient_norm", norm);
                metrics.add("lipschitz/penalised_share_above_target", above);
            }
        }
        Ok(())
    }
}

/// Draws labels of `count` rows whose exact label is `exact`.
fn draw_labels(labels: Labels, exact: f32, count: usize, rng: &mut StreamRng, out: &mut Vec<f32>) {
    out.clear();
    out.extend((0..count).map(|_| match labels {
        Labels::Exact => exact,
        Labels::Uniform { low, high } => rng.random_range(low..=high) as f32,
        Labels::Soft { alpha } => exact * (1.0 - alpha as f32) + 0.5 * alpha as f32,
        Labels::Flip { probability } => {
            if rng.random_bool(probability) {
                1.0 - exact
            } else {
                exact
            }
        }
    }));
}

/// Puts rows into a random order.
fn shuffle_rows(rows: &mut [f32], width: usize, rng: &mut StreamRng) {
    for last in (1..rows.len() / width).rev() {
        let other = rng.random_range(0..=last);
        if other < last {
            let (before, after) = rows.split_at_mut(last * width);
            before[other * width..][..width].swap_with_slice(&mut after[..width]);
        }
    }
}
