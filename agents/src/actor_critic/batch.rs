//! A member's share of a replayed batch.

use std::ops::Range;

use liprl_nets::Buffer;

use crate::{AgentError, Batch};

/// Some rows of a `Batch`, sharing its memory.
#[derive(Debug)]
pub struct Rows {
    /// Which rows of the batch.
    pub range: Range<usize>,
    /// s, `[rows, O]`.
    pub obs: Buffer,
    /// a, `[rows, A]`.
    pub action: Buffer,
    /// n-step rewards, `[rows]`.
    pub reward: Buffer,
    /// γᵏ, 0 after a termination, `[rows]`.
    pub discount: Buffer,
    /// s', `[rows, O]`.
    pub next_obs: Buffer,
    /// Importance weights, `[rows]`.
    pub weight: Buffer,
    /// n-step rewards of the whole batch, `[B]`.
    pub batch_reward: Buffer,
    /// Discounts of the whole batch, `[B]`.
    pub batch_discount: Buffer,
}

impl Rows {
    /// These rows of `batch`.
    pub fn of(batch: &Batch, range: Range<usize>) -> Result<Self, AgentError> {
        let part = |tensor| Buffer::rows_of(tensor, range.clone());
        Ok(Self {
            obs: part(&batch.obs)?,
            action: part(&batch.action)?,
            reward: part(&batch.reward)?,
            discount: part(&batch.discount)?,
            next_obs: part(&batch.next_obs)?,
            weight: part(&batch.weight)?,
            batch_reward: Buffer::rows_of(&batch.reward, 0..batch.size())?,
            batch_discount: Buffer::rows_of(&batch.discount, 0..batch.size())?,
            range,
        })
    }

    /// Whether these are rows of this batch, not of an equal one elsewhere.
    pub fn shares_memory_with(&self, batch: &Batch) -> bool {
        let row = batch.obs.size().get(1).copied().unwrap_or(0) as usize * size_of::<f32>();
        self.obs.tensor().data_ptr() as usize == batch.obs.data_ptr() as usize + self.range.start * row
    }
}
