//! Drawing windows and copying them into a batch: `copy_from_slice` into the tensors' own memory, nothing allocated.

use std::{hint::black_box, ops::Range};

use liprl_numerics::StreamRng;
use rand::RngExt;

use super::batch::{Batch, WindowBatch, f32_slice_mut};
use super::{Flags, Replay, wrong};
use crate::AgentError;

impl Replay {
    /// Fills the batch with windows drawn with replacement, uniformly or by priority. An empty buffer is an error, one
    /// with fewer transitions than the batch is not.
    pub fn sample(&self, rng: &mut StreamRng, batch: &mut Batch) -> Result<(), AgentError> {
        self.sample_rows(rng, batch, 0..batch.size())
    }

    /// Fills only these rows of the batch, so that several buffers can share one.
    pub fn sample_rows(&self, rng: &mut StreamRng, batch: &mut Batch, rows: Range<usize>) -> Result<(), AgentError> {
        let index = batch.index.get_mut(rows.clone()).ok_or_else(|| beyond(&rows))?;
        self.draw(rng, index, &mut f32_slice_mut(&mut batch.weight)?[rows.clone()])?;
        self.gather_rows(batch, rows)
    }

    /// Fills the batch with the windows that start at `batch.index`, as the caller set it. Weights are left alone.
    pub fn gather(&self, batch: &mut Batch) -> Result<(), AgentError> {
        if let Some(&index) = batch.index.iter().find(|&&index| index as usize >= self.len) {
            return Err(wrong(format!("row {index} was asked for, there are {}", self.len)));
        }
        self.gather_rows(batch, 0..batch.size())
    }

    /// Fills whole windows, and the batch that sums them up. Draws as `sample` does.
    pub fn sample_window(&self, rng: &mut StreamRng, window: &mut WindowBatch) -> Result<(), AgentError> {
        self.sample(rng, &mut window.batch)?;
        let (o, a, n) = (self.config.obs_dim, self.config.act_dim, window.batch.n_step());
        let (obs, action) = (f32_slice_mut(&mut window.obs)?, f32_slice_mut(&mut window.action)?);
        let (reward, next_obs) = (f32_slice_mut(&mut window.reward)?, f32_slice_mut(&mut window.next_obs)?);
        let mask = f32_slice_mut(&mut window.mask)?;
        window.t.resize(if self.t.is_empty() { 0 } else { window.flags.len() }, 0);
        for (b, &first) in window.batch.index.iter().enumerate() {
            let (mut at, mut valid) = (first as usize, 1.0);
            for slot in b * n..(b + 1) * n {
                let row = self.row(at);
                obs[slot * o..][..o].copy_from_slice(row.obs);
                action[slot * a..][..a].copy_from_slice(row.action);
                next_obs[slot * o..][..o].copy_from_slice(row.next_obs);
                reward[slot] = row.reward;
                window.flags[slot] = row.flags;
                mask[slot] = valid;
                if let Some(t) = window.t.get_mut(slot) {
                    *t = self.t[at];
                }
                match self.successor(at) {
                    Some(next) => at = next,
                    None => valid = 0.0,
                }
            }
        }
        Ok(())
    }

    /// Sets the priorities of transitions by the size of their errors |δ|, `values[i]` for row `index[i]`. Does nothing
    /// in a buffer without priorities.
    pub fn update_priorities(&mut self, index: &[u32], values: &[f32]) -> Result<(), AgentError> {
        let len = self.len;
        let Some(priorities) = &mut self.priorities else { return Ok(()) };
        if index.len() != values.len() {
            return Err(wrong(format!("{} priorities for {} rows", values.len(), index.len())));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(wrong(format!("a priority is {value}")));
        }
        for (&index, &value) in index.iter().zip(values) {
            if index as usize >= len {
                return Err(wrong(format!("priority for row {index}, there are {len}")));
            }
            priorities.set_error(index as usize, value);
        }
        Ok(())
    }

    fn draw(&self, rng: &mut StreamRng, index: &mut [u32], weight: &mut [f32]) -> Result<(), AgentError> {
        if self.is_empty() {
            return Err(wrong("sampled while empty; store a transition first".into()));
        }
        let Some(priorities) = &self.priorities else {
            index.fill_with(|| rng.random_range(0..self.len as u32));
            weight.fill(1.0);
            return Ok(());
        };
        // One draw from each of B equal parts of the total mass, as in appendix B.2.1.
        let count = index.len() as f64;
        for (part, (index, weight)) in index.iter_mut().zip(weight.iter_mut()).enumerate() {
            let row = priorities.find((part as f64 + rng.random::<f64>()) / count);
            *index = row as u32;
            *weight = priorities.weight(row, self.len);
        }
        let largest = weight.iter().fold(0.0, |largest: f32, &weight| largest.max(weight));
        weight.iter_mut().for_each(|weight| *weight /= largest);
        Ok(())
    }

    fn gather_rows(&self, batch: &mut Batch, rows: Range<usize>) -> Result<(), AgentError> {
        let (o, a, n, gamma) = (self.config.obs_dim, self.config.act_dim, batch.n_step(), batch.gamma());
        let (obs, action) = (f32_slice_mut(&mut batch.obs)?, f32_slice_mut(&mut batch.action)?);
        let (reward, discount) = (f32_slice_mut(&mut batch.reward)?, f32_slice_mut(&mut batch.discount)?);
        let next_obs = f32_slice_mut(&mut batch.next_obs)?;
        let size = batch.index.len();
        if obs.len() != size * o || action.len() != size * a || next_obs.len() != size * o {
            return Err(wrong(format!("the batch is not made for observations of {o} and actions of {a} numbers")));
        }
        black_box(self.touch(&batch.index[rows.clone()], n));
        for b in rows {
            let first = batch.index[b] as usize;
            let (mut last, mut sum, mut power) = (first, f64::from(self.reward[first]), gamma);
            for _ in 1..n {
                let Some(next) = self.successor(last) else { break };
                sum += power * f64::from(self.reward[next]);
                power *= gamma;
                last = next;
            }
            let row = self.row(first);
            obs[b * o..][..o].copy_from_slice(row.obs);
            action[b * a..][..a].copy_from_slice(row.action);
            next_obs[b * o..][..o].copy_from_slice(self.row(last).next_obs);
            reward[b] = sum as f32;
            discount[b] = if self.flags[last].contains(Flags::TERMINATED) { 0.0 } else { power as f32 };
            batch.flags[b] = Flags::of_window(row.flags, self.flags[last]);
        }
        Ok(())
    }

    /// Loads one number of every cache line of the rows at `index` and of those where their windows usually end. The
    /// loads do not depend on one another, so the processor has many under way at once; the copying loop is too long
    /// for that, and takes three times as long without.
    fn touch(&self, index: &[u32], n: usize) -> f32 {
        let load = |row: usize| {
            let numbers = &self.rows[row * self.width()..][..self.width()];
            numbers.iter().step_by(16).chain(numbers.last()).sum::<f32>() + self.reward[row]
        };
        index
            .iter()
            .map(|&first| load(first as usize) + if n > 1 { load((first as usize + n - 1) % self.len) } else { 0.0 })
            .sum()
    }

    /// The row that follows in time, unless the window ends with this one.
    fn successor(&self, index: usize) -> Option<usize> {
        let next = if index + 1 == self.config.capacity { 0 } else { index + 1 };
        (!self.flags[index].ends_window() && next != self.head).then_some(next)
    }
}

fn beyond(rows: &Range<usize>) -> AgentError {
    wrong(format!("rows {rows:?} lie beyond the batch"))
}
