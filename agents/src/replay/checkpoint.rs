//! The buffer in pieces of fixed size, so that a checkpoint writes only those that changed since
//! the last.
//!
//! Saving: `state`, and `chunk_bytes` of every chunk whose version is not on disk yet. Restoring
//! into a buffer of the same config: `state`, then `restore_chunk` for each chunk that `chunks`
//! then lists.

use liprl_numerics::StateIo;
use serde::{Deserialize, Serialize};

use super::{Flags, Replay, ReplayConfig};
use crate::AgentError;

/// Transitions in a chunk; the last one holds what is left.
pub const CHUNK_ROWS: usize = 65_536;

#[derive(Serialize, Deserialize)]
struct Meta {
    capacity: usize,
    obs_dim: usize,
    act_dim: usize,
    head: usize,
    len: usize,
    writes: u64,
    versions: Vec<u64>,
}

impl Replay {
    /// The chunks that hold transitions, each with its version: a number that never stands for two
    /// different contents of the chunk within one run.
    pub fn chunks(&self) -> Vec<(usize, u64)> {
        self.versions[..self.len.div_ceil(CHUNK_ROWS)].iter().copied().enumerate().collect()
    }

    /// The transitions of a chunk that `chunks` lists: all rows, then all rewards, the steps before
    /// them if they are counted, then all flags, little-endian.
    pub fn chunk_bytes(&self, chunk: usize) -> Vec<u8> {
        let range = self.chunk_range(chunk);
        let mut bytes = Vec::with_capacity(self.chunk_len(chunk));
        for number in &self.rows[range.start * self.width()..range.end * self.width()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in &self.reward[range.clone()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for t in self.t.get(range.clone()).unwrap_or_default() {
            bytes.extend_from_slice(&t.to_le_bytes());
        }
        bytes.extend(self.flags[range].iter().map(|flags| flags.0));
        bytes
    }

    /// Takes back what `chunk_bytes` wrote when the buffer was in the state that `state` restored.
    pub fn restore_chunk(&mut self, chunk: usize, bytes: &[u8]) -> Result<(), AgentError> {
        let (range, expected) = (self.chunk_range(chunk), self.chunk_len(chunk));
        if bytes.len() != expected {
            return Err(bad(&format!("chunk {chunk} has {} bytes, expected {expected}", bytes.len())));
        }
        let (numbers, flags) = bytes.split_at(expected - range.len());
        let mut words = numbers.as_chunks::<4>().0.iter();
        let mut numbers = words.by_ref().map(|&bytes| f32::from_le_bytes(bytes));
        let width = self.width();
        for number in &mut self.rows[range.start * width..range.end * width] {
            *number = numbers.next().unwrap_or_default();
        }
        for number in &mut self.reward[range.clone()] {
            *number = numbers.next().unwrap_or_default();
        }
        for (t, &bytes) in self.t.get_mut(range.clone()).unwrap_or_default().iter_mut().zip(words) {
            *t = u32::from_le_bytes(bytes);
        }
        for (flag, &byte) in self.flags[range].iter_mut().zip(flags) {
            *flag = Flags(byte);
        }
        Ok(())
    }

    /// Everything but the transitions: positions, versions and priorities. After loading, the
    /// transitions are still to be restored.
    pub fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        let ReplayConfig { capacity, obs_dim, act_dim, .. } = self.config;
        let (head, len, writes, versions) = (self.head, self.len, self.writes, self.versions.clone());
        let mut meta = Meta { capacity, obs_dim, act_dim, head, len, writes, versions };
        io.value("replay", &mut meta)?;
        let (stored, own) = ((meta.capacity, meta.obs_dim, meta.act_dim), (capacity, obs_dim, act_dim));
        if stored != own {
            return Err(bad(&format!("(capacity, obs_dim, act_dim) is {stored:?}, expected {own:?}")));
        }
        let consistent = meta.len <= meta.capacity
            && meta.head < meta.capacity
            && (meta.len == meta.capacity || meta.head == meta.len)
            && meta.versions.len() == self.versions.len();
        if !consistent {
            return Err(bad(&format!("{} rows with the head at {} is impossible", meta.len, meta.head)));
        }
        if let Some(priorities) = &mut self.priorities {
            let (mut leaves, mut largest) = (priorities.leaves(self.len).to_vec(), priorities.largest);
            leaves.resize(meta.len, 0.0);
            io.f32("replay/priorities", &mut leaves)?;
            io.f32("replay/largest_priority", std::slice::from_mut(&mut largest))?;
            io.value("replay/beta", &mut priorities.config.beta)?;
            if leaves.iter().chain([&largest]).any(|priority| !priority.is_finite() || *priority < 0.0) {
                return Err(bad("a priority is negative or not finite"));
            }
            if io.loading() {
                priorities.restore(&leaves, largest);
            }
        }
        if !self.t.is_empty() {
            io.value("replay/t", &mut self.next_t)?;
        }
        (self.head, self.len, self.writes, self.versions) = (meta.head, meta.len, meta.writes, meta.versions);
        Ok(())
    }

    fn chunk_range(&self, chunk: usize) -> std::ops::Range<usize> {
        let start = chunk.saturating_mul(CHUNK_ROWS).min(self.len);
        start..(start + CHUNK_ROWS).min(self.len)
    }

    fn chunk_len(&self, chunk: usize) -> usize {
        self.chunk_range(chunk).len() * (4 * (self.width() + 1 + usize::from(!self.t.is_empty())) + 1)
    }
}

fn bad(problem: &str) -> AgentError {
    AgentError::BadState { name: "replay".into(), problem: problem.into() }
}
