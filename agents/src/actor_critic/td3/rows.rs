//! The CPU form of `equations`: the same update, each thread on its share of the rows, in buffers allocated once.

use super::{Moves, Stats, Td3};
use crate::{AgentError, Batch, actor_critic::shares::RowShare};

impl Td3 {
    /// One update on this batch.
    pub(super) fn update_rows(&mut self, batch: &Batch, moves: Moves) -> Result<Stats, AgentError> {
        let Self { actor, actor_target, critics, shares, smoothing, .. } = self;
        let minimum_weight = self.config.backup.minimum_weight() as f32;
        let tau = moves.targets.then_some(self.config.shared.tau);
        shares.bind(
            batch,
            actor,
            || actor_target.weights(actor.mlps()),
            |rows, batch| critics.rows(actor, rows, batch),
        )?;
        let critics = critics.step_rows(shares, tau, |share| target_values(share, smoothing, minimum_weight))?;
        let mut stats = None;
        if moves.actor {
            let target = tau.map(|tau| (actor_target, tau));
            stats = Some(shares.step_actor(actor, target, actor_gradient)?);
        } else if let Some(tau) = tau {
            actor_target.follow(actor.params(), tau)?;
        }
        Ok(Stats { critics, actor: stats })
    }
}

/// Leaves the targets of this share's rows in its critics; `smoothing` is the whole batch's noise.
fn target_values(share: &mut RowShare, smoothing: &[f32], minimum_weight: f32) -> Result<(), AgentError> {
    let RowShare { rows, actor, critics, .. } = share;
    actor.act_next(rows.next_obs.tensor(), &[])?;
    let smoothed = actor.policy.action.iter_mut().zip(rows.part(smoothing));
    smoothed.for_each(|(action, noise)| *action = (*action + noise).clamp(-1.0, 1.0));
    if critics.is_distributional() {
        return critics.distribution_target(rows, &actor.policy.action);
    }
    critics.target_values(rows.next_obs.slice(), &actor.policy.action, minimum_weight)?;
    for ((target, reward), discount) in critics.target.iter_mut().zip(rows.reward.slice()).zip(rows.discount.slice()) {
        *target = reward + discount * *target;
    }
    Ok(())
}

/// Finds the actor's loss and gradient over this share's rows.
pub(super) fn actor_gradient(share: &mut RowShare) -> Result<(), AgentError> {
    let RowShare { rows, batch, actor, critics, .. } = share;
    actor.act(rows.obs.tensor(), &[])?;
    let (value, d_action) = critics.actor_gradient(rows.obs.slice(), &actor.policy.action, false, *batch)?;
    actor.back(rows.obs.tensor(), &[], d_action, 0.0)?;
    share.actor_loss = -value;
    Ok(())
}
