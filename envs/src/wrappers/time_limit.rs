//! A limit on the steps of an episode.

use super::forward::forward;
use crate::env::{Env, EnvSpec, Options, Step};
use crate::error::EnvError;
use crate::state::{StateReader, StateWriter};

/// Sets `truncated` on the last step that the limit allows, even if the task terminates on it as
/// well.
pub struct TimeLimit {
    inner: Box<dyn Env>,
    spec: EnvSpec,
    limit: u32,
    /// Steps since the reset; at the limit the episode is over.
    elapsed: u32,
}

const KIND: &str = "TimeLimit";

impl TimeLimit {
    /// Truncates after `limit` steps.
    pub fn new(inner: Box<dyn Env>, limit: u32) -> Self {
        let spec = EnvSpec { max_episode_steps: Some(limit), ..inner.spec().clone() };
        Self { inner, spec, limit, elapsed: 0 }
    }
}

impl Env for TimeLimit {
    forward!(observation_space action_space can_terminate nudge started_over info model start_box);
    forward!(render_fps render work_in close);

    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        self.elapsed = 0;
        self.inner.reset(seed, options, obs)
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        if self.elapsed >= self.limit {
            return Err(EnvError::NeedsReset { id: self.spec.id.clone() });
        }
        let step = self.inner.step(action, obs)?;
        self.elapsed += 1;
        Ok(Step { truncated: step.truncated || self.elapsed == self.limit, ..step })
    }

    fn save(&self) -> Vec<u8> {
        StateWriter::new(KIND).word(u64::from(self.elapsed)).bytes(&self.inner.save()).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(KIND, &self.spec.id, state)?;
        let elapsed = reader.word()?;
        let inner = reader.bytes()?;
        reader.finish()?;
        self.inner.restore(inner)?;
        self.elapsed = u32::try_from(elapsed).unwrap_or(u32::MAX);
        Ok(())
    }
}
