//! The environment as the trait asks for it: checks, seeds and saved state.

use std::path::Path;

use super::adapter::PythonEnv;
use super::replay::Episode;
use super::wire::{Operation, WORD};
use crate::env::{Env, EnvSpec, Frame, Options, Step};
use crate::error::EnvError;
use crate::space::BoxSpace;

/// Seeds as environments take them.
const SEEDS: u64 = (1 << 31) - 1;

/// Kinds of saved state.
const OVER: u64 = 0;
const REPLAY: u64 = 1;
const OWN: u64 = 2;

impl Env for PythonEnv {
    fn spec(&self) -> &EnvSpec {
        &self.core.spec
    }

    fn observation_space(&self) -> &BoxSpace {
        &self.core.observation_space
    }

    fn action_space(&self) -> &BoxSpace {
        &self.core.action_space
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        self.core.check_observation(obs)?;
        self.core.reseed(seed);
        let seed = seed.unwrap_or_else(|| self.core.rng.next_u64()) & SEEDS;
        self.begin(seed, options, obs)?;
        self.core.over = false;
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.core.check_step(action, obs)?;
        let step = self.advance(action, obs)?;
        self.core.over = step.done();
        Ok(step)
    }

    fn info(&self) -> &[(&'static str, f64)] {
        &self.info
    }

    fn save(&self) -> Vec<u8> {
        let state = self.core.save();
        if self.core.over {
            return state.word(OVER).finish();
        }
        match self.own_state() {
            Some(own) => state.word(OWN).word(self.episode.seed).bytes(&own).finish(),
            None => self.episode.save(state.word(REPLAY)).finish(),
        }
    }

    /// Brings the environment to the saved state.
    ///
    /// # Errors
    /// [`EnvError::Unrepeatable`] if the episode came out differently. The environment can be reset
    /// then, and draws the seeds of further episodes as the saved one would have.
    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let (mut reader, over, rng) = self.core.open(state)?;
        let id = self.core.spec.id.clone();
        match reader.word()? {
            REPLAY => {
                let saved = Episode::read(&mut reader, &id, state.len())?;
                reader.finish()?;
                self.core.rng = rng;
                let (same, steps) = (self.replay(&saved)?, saved.len(self.core.action_space.dim()));
                if !same {
                    // Saved again it does not pass for repeatable.
                    self.episode = saved;
                    return Err(self.unrepeatable(steps));
                }
            }
            OWN => {
                let (seed, own) = (reader.word()?, reader.bytes()?);
                reader.finish()?;
                self.core.rng = rng;
                self.episode = Episode::begin(seed, &Options::new());
                self.set_own_state(seed, own)?;
            }
            _ => {
                reader.finish()?;
                self.core.rng = rng;
            }
        }
        self.info.clear();
        self.core.over = over;
        Ok(())
    }

    fn render_fps(&self) -> f64 {
        self.render_fps
    }

    fn render(&mut self) -> Result<Frame, EnvError> {
        if !self.renders {
            self.start_drawing()?;
        }
        let picture = self.worker.get_mut().ask(Operation::Render, &[]).map_err(|fault| self.failed(fault))?;
        let side =
            |at: usize| picture.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u32::from_ne_bytes(*bytes));
        let (Some(width), Some(height)) = (side(0), side(4)) else {
            return Err(EnvError::CannotRender { id: self.core.spec.id.clone() });
        };
        Ok(Frame { width, height, rgb: picture[WORD..].to_vec() })
    }

    fn work_in(&mut self, folder: &Path) -> Result<(), EnvError> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        self.worker.get_mut().work_in(&folder).map_err(|fault| self.failed(fault))?;
        self.folder = Some(folder);
        Ok(())
    }

    fn close(&mut self) {
        self.worker.get_mut().end();
    }
}
