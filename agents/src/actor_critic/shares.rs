//! An update's rows shared out among threads, for the CPU forms of SAC and TD3.

use std::ops::Range;

use liprl_nets::{
    Gradient, Team, Weights,
    optim::{Target, TrainState},
};

use super::{
    CriticLoss, actor::ActorRows, batch::Rows, critics::rows::CriticRows, outputs::CriticSums, value::TermState,
};
use crate::{AgentError, Batch};

/// One thread's share of an update: its rows of the batch, and the networks' buffers over them.
#[derive(Debug)]
pub(crate) struct RowShare {
    pub(crate) rows: Rows,
    /// Rows of the whole batch, over which losses are means.
    pub(crate) batch: usize,
    pub(crate) actor: ActorRows,
    pub(crate) critics: CriticRows,
    pub(crate) critic_sums: CriticSums,
    /// The actor's loss, summed over the rows.
    pub(crate) actor_loss: f64,
}

impl RowShare {
    /// Finds the critics' loss and gradient over these rows, whose targets are there.
    pub(crate) fn critic_gradient(&mut self, kind: CriticLoss, term: Option<&TermState>) -> Result<(), AgentError> {
        self.critic_sums = self.critics.critic_gradient(&self.rows, kind, self.batch, term)?;
        Ok(())
    }
}

/// Every thread's share, bound to a batch's memory.
#[derive(Debug)]
pub(crate) struct RowShares {
    pub(super) team: Team,
    pub(super) each: Vec<RowShare>,
}

impl RowShares {
    /// No share yet, for this many threads.
    pub(crate) fn new(threads: usize) -> Result<Self, AgentError> {
        Ok(Self { team: Team::new(threads)?, each: Vec::new() })
    }

    /// Makes every share's buffers, unless they are already bound to this batch's memory.
    /// `next_policy` gives the weights that choose actions at the next observations: the actor's
    /// own, or its target's. `critics` makes the critics' buffers for some rows of so many.
    pub(crate) fn bind(
        &mut self,
        batch: &Batch,
        actor: &TrainState,
        next_policy: impl Fn() -> Vec<Weights>,
        critics: impl Fn(Range<usize>, usize) -> Result<CriticRows, AgentError>,
    ) -> Result<(), AgentError> {
        if self.each.first().is_some_and(|share| share.rows.shares_memory_with(batch)) {
            return Ok(());
        }
        let act_dim = batch.action.size()[1] as usize;
        let share = |range: Range<usize>| {
            Ok(RowShare {
                actor: ActorRows::new(actor, next_policy().swap_remove(0), range.len(), act_dim)?,
                critics: critics(range.clone(), batch.size())?,
                rows: Rows::of(batch, range)?,
                batch: batch.size(),
                critic_sums: CriticSums::default(),
                actor_loss: 0.0,
            })
        };
        self.each = self.team.shares(batch.size()).into_iter().map(share).collect::<Result<_, AgentError>>()?;
        Ok(())
    }

    /// Takes one step of the actor down the gradient that `gradient` leaves in each share, with its
    /// target if there is one. Returns the loss and the gradient's global norm.
    pub(crate) fn step_actor(
        &mut self,
        actor: &mut TrainState,
        target: Option<(&mut Target, f64)>,
        gradient: impl Fn(&mut RowShare) -> Result<(), AgentError> + Sync,
    ) -> Result<(f64, f64), AgentError> {
        self.team.run(&mut self.each, gradient)?;
        let mut gradients: Vec<&mut Gradient> = self.each.iter_mut().map(|share| &mut share.actor.gradient).collect();
        let norm = actor.step(&self.team, &mut gradients, target)?;
        Ok((self.mean(|share| share.actor_loss), norm))
    }

    /// The mean over the batch of a number that each share has summed over its rows.
    pub(crate) fn mean(&self, of: impl Fn(&RowShare) -> f64) -> f64 {
        let rows = self.each.first().map_or(0, |share| share.batch);
        self.each.iter().map(of).sum::<f64>() / rows as f64
    }
}
