//! An agent out of a learner: a replay buffer, uniformly random first steps, and rounds of updates at their times.

use rand::RngExt;

use super::{Learner, PriorityConfig, SacConfig};
use crate::{Agent, AgentError, Batch, Flags, Metrics, Replay, ReplayConfig, Setup, State, StreamRng, Transition};

/// What to keep and when to learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Discount per step.
    pub gamma: f64,
    /// Rewards summed before bootstrapping.
    pub n_step: usize,
    /// Transitions per update.
    pub batch_size: usize,
    /// Transitions kept.
    pub buffer_size: usize,
    /// Steps of uniformly random actions before the first update.
    pub learning_starts: u64,
    /// Steps between rounds of updates.
    pub update_every: u64,
    /// Updates in a round.
    pub updates: u64,
    /// Prioritised replay.
    pub priorities: Option<PriorityConfig>,
}

impl From<&SacConfig> for Schedule {
    fn from(config: &SacConfig) -> Self {
        Self {
            gamma: config.gamma,
            n_step: config.n_step,
            batch_size: config.batch_size,
            buffer_size: config.buffer_size,
            learning_starts: config.learning_starts,
            update_every: config.update_every,
            updates: config.updates,
            priorities: config.priorities,
        }
    }
}

/// A learner with a replay buffer.
pub struct OffPolicy {
    learner: Box<dyn Learner>,
    schedule: Schedule,
    replay: Replay,
    batch: Batch,
    sampling: StreamRng,
    warm_up: StreamRng,
    steps: u64,
}

impl OffPolicy {
    /// An agent that has seen nothing yet.
    pub fn new(learner: Box<dyn Learner>, schedule: Schedule, setup: &Setup) -> Result<Self, AgentError> {
        let Setup { obs_dim, act_dim, .. } = *setup;
        let Schedule { priorities, batch_size, n_step, gamma, .. } = schedule;
        Ok(Self {
            learner,
            replay: Replay::new(ReplayConfig { capacity: schedule.buffer_size, obs_dim, act_dim, priorities })?,
            batch: Batch::new(batch_size, obs_dim, act_dim, n_step, gamma),
            sampling: setup.streams.rng("replay"),
            warm_up: setup.streams.rng("warm-up"),
            steps: 0,
            schedule,
        })
    }
}

impl Agent for OffPolicy {
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        if self.steps < self.schedule.learning_starts {
            action.iter_mut().for_each(|action| *action = self.warm_up.random_range(-1.0..=1.0));
            return Ok(());
        }
        self.learner.act(obs, action)
    }

    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        self.learner.act_greedy(obs, action)
    }

    fn observe(&mut self, transition: &Transition<'_>) -> Result<(), AgentError> {
        self.steps += 1;
        if transition.terminated || transition.truncated {
            self.learner.end_episode();
        }
        self.replay.push(transition, Flags::NONE)
    }

    fn update(&mut self, metrics: &mut Metrics) -> Result<(), AgentError> {
        let Schedule { learning_starts, update_every, updates, .. } = self.schedule;
        if self.steps < learning_starts.max(1) || !self.steps.is_multiple_of(update_every) {
            return Ok(());
        }
        for _ in 0..updates {
            self.replay.sample(&mut self.sampling, &mut self.batch)?;
            self.learner.update(&self.batch, metrics)?;
            if self.schedule.priorities.is_some() {
                self.replay.update_priorities(&self.batch.index, &self.learner.errors())?;
            }
        }
        Ok(())
    }

    fn updates(&self) -> u64 {
        self.learner.updates()
    }

    fn histograms(&mut self) -> Result<Vec<(String, Vec<f32>)>, AgentError> {
        self.learner.histograms()
    }

    fn save(&self) -> Result<State, AgentError> {
        let mut state = State::default();
        self.learner.save(&mut state)?;
        state.put("streams/replay", &self.sampling);
        state.put("streams/warm-up", &self.warm_up);
        state.put("steps", &self.steps);
        Ok(state)
    }

    fn load(&mut self, state: &State) -> Result<(), AgentError> {
        self.learner.load(state)?;
        self.sampling = state.get("streams/replay")?;
        self.warm_up = state.get("streams/warm-up")?;
        self.steps = state.get("steps")?;
        Ok(())
    }

    fn replays(&mut self) -> Vec<(&'static str, &mut Replay)> {
        vec![("replay", &mut self.replay)]
    }
}
