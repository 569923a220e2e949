//! Cuts an episode off after a number of steps.

use crate::systems::Model;
use crate::{BoxSpace, Env, EnvError, EnvSpec, Frame, Options, StateReader, StateWriter, Step};

/// Sets `truncated` on the given step of an episode, whether or not the task terminates on it as well.
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
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn observation_space(&self) -> &BoxSpace {
        self.inner.observation_space()
    }

    fn action_space(&self) -> &BoxSpace {
        self.inner.action_space()
    }

    fn can_terminate(&self) -> bool {
        self.inner.can_terminate()
    }

    fn nudge(&mut self, coordinate: usize, by: f64) -> bool {
        self.inner.nudge(coordinate, by)
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

    fn info(&self) -> &[(&'static str, f64)] {
        self.inner.info()
    }

    fn model(&self) -> Option<&dyn Model> {
        self.inner.model()
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

    fn render(&mut self) -> Result<Frame, EnvError> {
        self.inner.render()
    }

    fn close(&mut self) {
        self.inner.close();
    }
}
