//! One team member's share of TD3's update by hand: its rows of the batch, its buffers, and the order of the equations over them.

use std::ops::Range;

use super::Td3;
use crate::actor_critic::{
    CriticLoss,
    actor::ActorRows,
    batch::Rows,
    critic::{CriticRows, CriticSums},
    value::Regulariser,
};
use crate::{AgentError, Batch};

/// One team member's buffers.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) rows: Rows,
    pub(super) actor: ActorRows,
    pub(super) target_actor: ActorRows,
    pub(super) critics: CriticRows,
    pub(super) critic_sums: CriticSums,
    pub(super) actor_loss: f64,
}

impl Member {
    /// Buffers for these rows of `batch`, bound to the networks of `td3`.
    pub(super) fn new(td3: &Td3, batch: &Batch, share: Range<usize>) -> Result<Self, AgentError> {
        let (obs_dim, act_dim) = (batch.obs.size()[1] as usize, batch.action.size()[1] as usize);
        let (actor, critics, place) = (&td3.actor, &td3.critics, (share.clone(), batch.size()));
        let policy = |weights| ActorRows::new(actor, weights, share.len(), act_dim);
        Ok(Self {
            actor: policy(actor.weights().swap_remove(0))?,
            target_actor: policy(td3.actor_target.weights(actor.mlps()).swap_remove(0))?,
            critics: CriticRows::new(critics, &td3.critic_targets, share.len(), obs_dim, act_dim)?
                .distributional(td3.distribution.clone())
                .using(td3.spectral.as_ref().map(|spectral| spectral.weights(critics.mlps())))
                .regularised(td3.regulariser.as_ref(), &td3.networks(), place)?,
            rows: Rows::of(batch, share)?,
            critic_sums: CriticSums::default(),
            actor_loss: 0.0,
        })
    }

    /// The critics' targets over this member's rows: smoothed target policy, backup, reward. `smoothing` is the whole batch's noise.
    pub(super) fn target(&mut self, smoothing: &[f32], minimum_weight: f32, batch: usize) -> Result<(), AgentError> {
        let Self { rows, target_actor, critics, .. } = self;
        target_actor.act(&rows.next_obs)?;
        let first = rows.range.start * smoothing.len() / batch;
        target_actor
            .action
            .iter_mut()
            .zip(&smoothing[first..])
            .for_each(|(action, noise)| *action = (*action + noise).clamp(-1.0, 1.0));
        if critics.is_distributional() {
            return critics.back_up_distribution(rows, &target_actor.action);
        }
        critics.back_up(rows.next_obs.slice(), &target_actor.action, minimum_weight)?;
        for ((target, reward), discount) in
            critics.target.iter_mut().zip(rows.reward.slice()).zip(rows.discount.slice())
        {
            *target = reward + discount * *target;
        }
        Ok(())
    }

    /// The critics' loss and gradient over this member's rows, whose targets are there.
    pub(super) fn regress(
        &mut self,
        loss: CriticLoss,
        batch: usize,
        term: Option<&Regulariser>,
    ) -> Result<(), AgentError> {
        self.critic_sums = self.critics.regress(&self.rows, loss, batch, term)?;
        Ok(())
    }

    /// The actor's loss and gradient over this member's rows.
    pub(super) fn climb(&mut self, batch: usize) -> Result<(), AgentError> {
        self.actor_loss = self.actor.deterministic_gradient(&mut self.critics, &self.rows.obs, batch)?;
        Ok(())
    }
}
