//! One ring buffer for every agent: uniform or prioritised sampling of n-step windows straight into tensors.
//!
//! A transition is one row of a flat array, observation, action and next observation side by side, so that fetching a
//! random one touches neighbouring memory; rewards and flags, which windows run along, lie in arrays of their own.
//! 1e6 Hopper transitions (11 + 3 + 11 numbers, reward, flags) take 105 MB, with priorities 113 MB.
//!
//! A window is the rows that follow a transition in time. It ends with a row that terminated, was truncated or is
//! marked [`Flags::CUT`], and with the newest row.

mod batch;
mod checkpoint;
mod flags;
mod priorities;
mod sample;

use std::fmt;

pub(crate) use batch::f32_slice_mut;
pub use batch::{Batch, WindowBatch, WindowReturn};
pub use checkpoint::CHUNK_ROWS;
pub use flags::Flags;
pub use priorities::PriorityConfig;

use crate::{AgentError, Transition};
use priorities::Priorities;

/// Size and shape of a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplayConfig {
    /// Transitions kept; the oldest are overwritten. 1 to 2³² − 1.
    pub capacity: usize,
    /// Numbers in an observation.
    pub obs_dim: usize,
    /// Numbers in an action.
    pub act_dim: usize,
    /// Proportional priorities; without them sampling is uniform.
    pub priorities: Option<PriorityConfig>,
}

/// The buffer.
pub struct Replay {
    config: ReplayConfig,
    /// `[capacity, O + A + O]`: observation, action, next observation.
    rows: Vec<f32>,
    reward: Vec<f32>,
    flags: Vec<Flags>,
    priorities: Option<Priorities>,
    /// Steps of the episode before each transition; empty unless they are counted.
    t: Vec<u32>,
    /// That of the next transition.
    next_t: u32,
    /// The row the next push writes.
    head: usize,
    len: usize,
    /// Rows ever written: never goes back, so that a chunk's version names its contents.
    writes: u64,
    /// For each chunk, `writes` when it was last changed.
    versions: Vec<u64>,
}

/// One stored transition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// Observation acted upon.
    pub obs: &'a [f32],
    /// Action taken, in `[-1, 1]`.
    pub action: &'a [f32],
    /// Reward as stored.
    pub reward: f32,
    /// Observation that followed.
    pub next_obs: &'a [f32],
    /// Marks: its end, and absorbing states.
    pub flags: Flags,
}

impl Replay {
    /// An empty buffer, its memory reserved but not yet touched.
    pub fn new(config: ReplayConfig) -> Result<Self, AgentError> {
        let ReplayConfig { capacity, obs_dim, act_dim, priorities } = config;
        if capacity == 0 || u32::try_from(capacity).is_err() {
            return Err(wrong(format!("the capacity is {capacity}, it must be between 1 and {}", u32::MAX)));
        }
        let width = 2 * obs_dim + act_dim;
        Ok(Self {
            config,
            rows: zeros(capacity.checked_mul(width), capacity)?,
            reward: zeros(Some(capacity), capacity)?,
            flags: vec![Flags::NONE; capacity],
            priorities: priorities.map(|priorities| Priorities::new(capacity, priorities)),
            t: Vec::new(),
            next_t: 0,
            head: 0,
            len: 0,
            writes: 0,
            versions: vec![0; capacity.div_ceil(CHUNK_ROWS)],
        })
    }

    /// Counts from now on, for each transition, the steps of its episode before it. They go into [`WindowBatch::t`].
    pub fn count_t(&mut self) {
        self.t = vec![0; self.config.capacity];
    }

    /// Size and shape.
    pub fn config(&self) -> &ReplayConfig {
        &self.config
    }

    /// Transitions held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is nothing to sample.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a transition; `extra` carries what [`Transition`] does not say (absorbing states, cuts).
    ///
    /// A slice of the wrong length or a number that is not finite is refused: one would poison every later batch.
    pub fn push(&mut self, transition: &Transition<'_>, extra: Flags) -> Result<(), AgentError> {
        let Transition { obs, action, reward, next_obs, terminated, truncated } = *transition;
        let flags = extra | Flags::TERMINATED.when(terminated) | Flags::TRUNCATED.when(truncated);
        self.check(obs, action, &[reward], next_obs, 1)?;
        self.write(Row { obs, action, reward, next_obs, flags });
        Ok(())
    }

    /// Appends a batch of transitions that do not follow one another in time (imagined ones, or one step of many
    /// environments): obs `[B, O]`, action `[B, A]`, reward `[B]`, next_obs `[B, O]`, flags `[B]`; each is marked
    /// [`Flags::CUT`]. Refuses as `push` does, and then stores none of them.
    pub fn push_rows(
        &mut self,
        obs: &[f32],
        action: &[f32],
        reward: &[f32],
        next_obs: &[f32],
        flags: &[Flags],
    ) -> Result<(), AgentError> {
        self.check(obs, action, reward, next_obs, flags.len())?;
        let (o, a) = (self.config.obs_dim, self.config.act_dim);
        for (i, &flags) in flags.iter().enumerate() {
            self.write(Row {
                obs: &obs[i * o..][..o],
                action: &action[i * a..][..a],
                reward: reward[i],
                next_obs: &next_obs[i * o..][..o],
                flags: flags | Flags::CUT,
            });
        }
        Ok(())
    }

    /// Marks the transition stored last [`Flags::CUT`]: the next one will not follow it in time.
    pub fn cut(&mut self) {
        self.next_t += 1;
        if let Some(index) = self.newest() {
            self.flags[index as usize] = self.flags[index as usize] | Flags::CUT;
            self.writes += 1;
            self.versions[index as usize / CHUNK_ROWS] = self.writes;
        }
    }

    /// Forgets every transition.
    pub fn clear(&mut self) {
        (self.head, self.len) = (0, 0);
        if let Some(priorities) = &mut self.priorities {
            priorities.clear();
        }
    }

    /// Changes the capacity, keeping the newest transitions that fit, in order. Indices of earlier batches are void.
    pub fn resize(&mut self, capacity: usize) -> Result<(), AgentError> {
        let mut resized = Self::new(ReplayConfig { capacity, ..self.config })?;
        resized.writes = self.writes;
        for index in self.ordered().skip(self.len.saturating_sub(capacity)) {
            let slot = resized.head;
            resized.write(self.row(index));
            if let (Some(to), Some(from)) = (&mut resized.priorities, &self.priorities) {
                to.set(slot, from.get(index));
            }
        }
        if let (Some(to), Some(from)) = (&mut resized.priorities, &self.priorities) {
            to.inherit_largest(from);
        }
        *self = resized;
        Ok(())
    }

    /// The transitions, oldest first.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.ordered().map(|index| self.row(index))
    }

    /// The transition at an index below `len()`, as `Batch::index` holds them; `None` beyond.
    pub fn get(&self, index: u32) -> Option<Row<'_>> {
        let index = index as usize;
        (index < self.len).then(|| self.row(index))
    }

    /// The index of the transition stored last.
    pub fn newest(&self) -> Option<u32> {
        let capacity = self.config.capacity;
        (self.len > 0).then_some(((self.head + capacity - 1) % capacity) as u32)
    }

    fn ordered(&self) -> impl ExactSizeIterator<Item = usize> + use<> {
        let (capacity, oldest) = (self.config.capacity, if self.len < self.config.capacity { 0 } else { self.head });
        (0..self.len).map(move |age| (oldest + age) % capacity)
    }

    fn width(&self) -> usize {
        2 * self.config.obs_dim + self.config.act_dim
    }

    fn row(&self, index: usize) -> Row<'_> {
        let (obs, rest) = self.rows[index * self.width()..][..self.width()].split_at(self.config.obs_dim);
        let (action, next_obs) = rest.split_at(self.config.act_dim);
        Row { obs, action, reward: self.reward[index], next_obs, flags: self.flags[index] }
    }

    fn write(&mut self, row: Row<'_>) {
        let (index, width) = (self.head, self.width());
        let (obs, rest) = self.rows[index * width..][..width].split_at_mut(self.config.obs_dim);
        let (action, next_obs) = rest.split_at_mut(self.config.act_dim);
        obs.copy_from_slice(row.obs);
        action.copy_from_slice(row.action);
        next_obs.copy_from_slice(row.next_obs);
        self.reward[index] = row.reward;
        self.flags[index] = row.flags;
        if let Some(t) = self.t.get_mut(index) {
            *t = self.next_t;
            let ended = row.flags.contains(Flags::TERMINATED) || row.flags.contains(Flags::TRUNCATED);
            self.next_t = if ended { 0 } else { self.next_t + 1 };
        }
        if let Some(priorities) = &mut self.priorities {
            priorities.set_new(index);
        }
        self.head = (index + 1) % self.config.capacity;
        self.len = (self.len + 1).min(self.config.capacity);
        self.writes += 1;
        self.versions[index / CHUNK_ROWS] = self.writes;
    }

    fn check(
        &self,
        obs: &[f32],
        action: &[f32],
        reward: &[f32],
        next_obs: &[f32],
        rows: usize,
    ) -> Result<(), AgentError> {
        let (o, a) = (self.config.obs_dim, self.config.act_dim);
        for (what, data, dim) in
            [("observation", obs, o), ("action", action, a), ("reward", reward, 1), ("next observation", next_obs, o)]
        {
            if data.len() != rows * dim {
                return Err(wrong(format!("the {what} has {} numbers, expected {}", data.len(), rows * dim)));
            }
            if let Some(at) = data.iter().position(|x| !x.is_finite()) {
                return Err(wrong(format!("the {what} is {} at coordinate {}", data[at], at % dim)));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("config", &self.config).field("len", &self.len).finish_non_exhaustive()
    }
}

/// Zeros that the system hands out when they are first touched, or an error where it could never hold so many.
fn zeros(len: Option<usize>, capacity: usize) -> Result<Vec<f32>, AgentError> {
    let too_much = || wrong(format!("{capacity} transitions do not fit into memory; choose a smaller capacity"));
    let len = len.ok_or_else(too_much)?;
    Vec::<f32>::new().try_reserve_exact(len).map_err(|_| too_much())?;
    Ok(vec![0.0; len])
}

fn wrong(problem: String) -> AgentError {
    AgentError::Replay { problem }
}
