//! One team member's share of SAC's update by hand: its rows of the batch, its buffers, and the order of the equations over them.

use std::ops::Range;

use super::Sac;
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
    pub(super) critics: CriticRows,
    pub(super) critic_sums: CriticSums,
    pub(super) actor_loss: f64,
}

impl Member {
    /// Buffers for these rows of `batch`, bound to the networks of `sac`.
    pub(super) fn new(sac: &Sac, batch: &Batch, share: Range<usize>) -> Result<Self, AgentError> {
        let (obs_dim, act_dim) = (batch.obs.size()[1] as usize, batch.action.size()[1] as usize);
        let (actor, critics, place) = (&sac.actor, &sac.critics, (share.clone(), batch.size()));
        Ok(Self {
            actor: ActorRows::new(actor, actor.weights().swap_remove(0), share.len(), act_dim)?,
            critics: CriticRows::new(critics, &sac.targets, share.len(), obs_dim, act_dim)?
                .using(sac.spectral.as_ref().map(|spectral| spectral.weights(critics.mlps())))
                .regularised(sac.regulariser.as_ref(), &sac.networks(), place)?,
            rows: Rows::of(batch, share)?,
            critic_sums: CriticSums::default(),
            actor_loss: 0.0,
        })
    }

    /// The critics' targets over this member's rows, in units of reward. `noise` is the whole batch's ε at the next observations.
    pub(super) fn target(&mut self, noise: &[f32], alpha: f32, act_dim: usize) -> Result<(), AgentError> {
        let Self { rows, actor, critics, .. } = self;
        actor.sample(&rows.next_obs, &noise[rows.range.start * act_dim..rows.range.end * act_dim])?;
        critics.back_up(rows.next_obs.slice(), &actor.action, 1.0)?;
        let next = actor.log_prob.iter().zip(rows.reward.slice()).zip(rows.discount.slice());
        for (target, ((log_prob, reward), discount)) in critics.target.iter_mut().zip(next) {
            *target = reward + discount * (*target - alpha * log_prob);
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

    /// The actor's loss and gradient over this member's rows. `noise` is the whole batch's ε at the current observations.
    pub(super) fn climb(&mut self, noise: &[f32], alpha: f32, act_dim: usize, batch: usize) -> Result<(), AgentError> {
        let Self { rows, actor, critics, .. } = self;
        let noise = &noise[rows.range.start * act_dim..rows.range.end * act_dim];
        self.actor_loss = actor.soft_gradient(critics, &rows.obs, noise, alpha, batch)?;
        Ok(())
    }
}
