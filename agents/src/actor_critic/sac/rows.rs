//! The CPU form of `equations`: the same update, each thread on its share of the rows, in buffers
//! allocated once.

use super::{Sac, Stats};
use crate::{AgentError, Batch, actor_critic::shares::RowShare};

impl Sac {
    /// One update on this batch; with `tau` the target critics follow.
    pub(super) fn update_rows(&mut self, batch: &Batch, tau: Option<f64>) -> Result<Stats, AgentError> {
        let Self { actor, critics, shares, draws: [next_noise, noise], .. } = self;
        let alpha = self.tuner.alpha() as f32;
        shares.bind(batch, actor, || actor.weights(), |rows, batch| critics.rows(actor, rows, batch))?;
        let critics = critics.step_rows(shares, tau, |share| target_values(share, next_noise, alpha))?;
        let (actor_loss, actor_norm) = shares.step_actor(actor, None, |share| actor_gradient(share, noise, alpha))?;
        let log_prob = shares.mean(|share| share.actor.log_prob_sum());
        Ok(Stats { critics, actor_loss, actor_norm, log_prob })
    }
}

/// Leaves y of this share's rows in its critics, in units of reward; `noise` is the whole batch's ε
/// at the next observations.
fn target_values(share: &mut RowShare, noise: &[f32], alpha: f32) -> Result<(), AgentError> {
    let RowShare { rows, actor, critics, .. } = share;
    actor.act_next(rows.next_obs.tensor(), rows.part(noise))?;
    critics.target_values(rows.next_obs.slice(), &actor.policy.action, 1.0)?;
    let next = actor.policy.log_prob.iter().zip(rows.reward.slice()).zip(rows.discount.slice());
    for (target, ((log_prob, reward), discount)) in critics.target.iter_mut().zip(next) {
        *target = reward + discount * (*target - alpha * log_prob);
    }
    Ok(())
}

/// Finds the actor's loss and gradient over this share's rows; `noise` is the whole batch's ε at
/// the current observations.
pub(super) fn actor_gradient(share: &mut RowShare, noise: &[f32], alpha: f32) -> Result<(), AgentError> {
    let RowShare { rows, batch, actor, critics, .. } = share;
    let noise = rows.part(noise);
    actor.act(rows.obs.tensor(), noise)?;
    let (value, d_action) = critics.actor_gradient(rows.obs.slice(), &actor.policy.action, true, *batch)?;
    actor.back(rows.obs.tensor(), noise, d_action, alpha / *batch as f32)?;
    share.actor_loss = f64::from(alpha) * actor.log_prob_sum() - value;
    Ok(())
}
