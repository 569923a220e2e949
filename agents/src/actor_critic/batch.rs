//! Views of a replayed batch: some of its rows in place, and its tensors on a device.

use std::ops::Range;

use liprl_nets::TensorRows;
use tch::{Device, Tensor};

use crate::{AgentError, Batch};

/// Some rows of a `Batch`, sharing its memory.
#[derive(Debug)]
pub struct Rows {
    /// Their range in the batch.
    pub(crate) range: Range<usize>,
    /// s, `[rows, O]`.
    pub(crate) obs: TensorRows,
    /// a, `[rows, A]`.
    pub(crate) action: TensorRows,
    /// n-step rewards, `[rows]`.
    pub(crate) reward: TensorRows,
    /// γᵏ, 0 after a termination, `[rows]`.
    pub(crate) discount: TensorRows,
    /// s', `[rows, O]`.
    pub(crate) next_obs: TensorRows,
    /// Importance weights, `[rows]`.
    pub(crate) weight: TensorRows,
    /// n-step rewards of the whole batch, `[B]`.
    pub(crate) batch_reward: TensorRows,
    /// Discounts of the whole batch, `[B]`.
    pub(crate) batch_discount: TensorRows,
}

impl Rows {
    /// These rows of `batch`.
    pub(crate) fn of(batch: &Batch, range: Range<usize>) -> Result<Self, AgentError> {
        // SAFETY: rows are read within an update alone, which borrows the batch; replay fills it
        // between updates.
        let view = |tensor, rows| unsafe { TensorRows::new(tensor, rows) };
        let part = |tensor| view(tensor, range.clone());
        Ok(Self {
            obs: part(&batch.obs)?,
            action: part(&batch.action)?,
            reward: part(&batch.reward)?,
            discount: part(&batch.discount)?,
            next_obs: part(&batch.next_obs)?,
            weight: part(&batch.weight)?,
            batch_reward: view(&batch.reward, 0..batch.size())?,
            batch_discount: view(&batch.discount, 0..batch.size())?,
            range,
        })
    }

    /// True if these are rows of this batch, not of an equal one elsewhere.
    pub(crate) fn shares_memory_with(&self, batch: &Batch) -> bool {
        let row = batch.obs.size().get(1).copied().unwrap_or(0) as usize * size_of::<f32>();
        self.obs.tensor().data_ptr() as usize == batch.obs.data_ptr() as usize + self.range.start * row
    }

    /// The part of `numbers [B, N]` that belongs to these rows, `[rows, N]`.
    pub(crate) fn part<'a>(&self, numbers: &'a [f32]) -> &'a [f32] {
        let width = numbers.len() / self.batch_reward.slice().len();
        &numbers[self.range.start * width..self.range.end * width]
    }
}

/// A batch's tensors on a learner's device.
pub struct DeviceBatch {
    /// s, `[B, O]`.
    pub obs: Tensor,
    /// a, `[B, A]`.
    pub action: Tensor,
    /// n-step rewards, `[B]`.
    pub reward: Tensor,
    /// γᵏ, 0 after a termination, `[B]`.
    pub discount: Tensor,
    /// s', `[B, O]`.
    pub next_obs: Tensor,
    /// Importance weights, `[B]`.
    pub weight: Tensor,
}

impl DeviceBatch {
    /// `batch` on `device`, without a copy where it is there already.
    pub(crate) fn of(batch: &Batch, device: Device) -> Result<Self, AgentError> {
        Ok(Self {
            obs: batch.obs.f_to(device)?,
            action: batch.action.f_to(device)?,
            reward: batch.reward.f_to(device)?,
            discount: batch.discount.f_to(device)?,
            next_obs: batch.next_obs.f_to(device)?,
            weight: batch.weight.f_to(device)?,
        })
    }

    /// The rows at these indices, `[n]`.
    pub(crate) fn select(&self, rows: &Tensor) -> Result<Self, AgentError> {
        let pick = |tensor: &Tensor| tensor.f_index_select(0, rows);
        Ok(Self {
            obs: pick(&self.obs)?,
            action: pick(&self.action)?,
            reward: pick(&self.reward)?,
            discount: pick(&self.discount)?,
            next_obs: pick(&self.next_obs)?,
            weight: pick(&self.weight)?,
        })
    }
}
