//! One team member's share of TD3's update by hand: its rows of the batch, its buffers, and the order of the equations over them.

use std::ops::Range;

use crate::actor_critic::{
    CriticLoss,
    actor::ActorRows,
    batch::Rows,
    critic::{CriticRows, CriticSums},
    distribution::Distribution,
};
use crate::{
    AgentError, Batch,
    optim::{Target, Trained},
};

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

/// The networks of a TD3, for members to bind to.
pub(super) struct Networks<'a> {
    pub(super) actor: &'a Trained,
    pub(super) actor_target: &'a Target,
    pub(super) critics: &'a Trained,
    pub(super) critic_targets: &'a Target,
    pub(super) distribution: Option<&'a Distribution>,
}

impl Member {
    /// Buffers for these rows of `batch`.
    pub(super) fn new(
        networks: &Networks<'_>,
        batch: &Batch,
        share: Range<usize>,
        act_dim: usize,
    ) -> Result<Self, AgentError> {
        let Networks { actor, actor_target, critics, critic_targets, distribution } = networks;
        let policy = |weights| ActorRows::new(actor, weights, share.len(), act_dim);
        let obs_dim = batch.obs.size()[1] as usize;
        Ok(Self {
            actor: policy(actor.weights().swap_remove(0))?,
            target_actor: policy(actor_target.weights(actor.mlps()).swap_remove(0))?,
            critics: CriticRows::new(critics, critic_targets, share.len(), obs_dim, act_dim)?
                .distributional(distribution.cloned()),
            rows: Rows::of(batch, share.clone())?,
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
    pub(super) fn regress(&mut self, loss: CriticLoss, batch: usize) -> Result<(), AgentError> {
        self.critic_sums = self.critics.regress(&self.rows, loss, batch)?;
        Ok(())
    }

    /// The actor's loss and gradient over this member's rows.
    pub(super) fn climb(&mut self, batch: usize) -> Result<(), AgentError> {
        self.actor_loss = self.actor.deterministic_gradient(&mut self.critics, &self.rows.obs, batch)?;
        Ok(())
    }
}
