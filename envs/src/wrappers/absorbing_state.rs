//! The absorbing state of Discriminator-Actor-Critic (Kostrikov et al. 2019, section 4.2).
//!
//! A terminated episode continues for ever in one extra state, so that the learned reward decides
//! the value of termination.

use super::forward::forward;
use crate::env::{Env, Options, Step};
use crate::error::EnvError;
use crate::space::BoxSpace;
use crate::state::{StateReader, StateWriter};

/// Appends to every observation an indicator: 0 in the task's own states, 1 in the absorbing state.
///
/// A step in which the task *terminates* returns the absorbing state (zeros, indicator 1) and does
/// not end the episode. One further step leads from the absorbing state to itself and is
/// `truncated`: the state keeps its value. The action of that step is ignored, and its reward is 0.
/// A time limit of the inner environment ends the episode as usual.
///
/// So a terminated episode of n steps becomes n + 1 transitions, none of them `terminated`:
/// (sₙ₋₁, aₙ₋₁, absorbing) and (absorbing, any action, absorbing).
pub struct AbsorbingState {
    inner: Box<dyn Env>,
    observation_space: BoxSpace,
    absorbed: bool,
    /// True once the further step has been taken.
    over: bool,
}

const KIND: &str = "AbsorbingState";

impl AbsorbingState {
    /// Wraps an environment; put it outside the time limit, which tells termination from
    /// truncation.
    pub fn new(inner: Box<dyn Env>) -> Self {
        let mut observation_space = inner.observation_space().clone();
        // The absorbing state is zero in the task's coordinates, wherever their bounds are.
        observation_space.low.iter_mut().for_each(|low| *low = low.min(0.0));
        observation_space.high.iter_mut().for_each(|high| *high = high.max(0.0));
        observation_space.low.push(0.0);
        observation_space.high.push(1.0);
        Self { inner, observation_space, absorbed: false, over: true }
    }

    /// The task's own part of an observation, and the indicator.
    fn split<'a>(&self, obs: &'a mut [f64]) -> Result<(&'a mut [f64], &'a mut f64), EnvError> {
        let (found, expected) = (obs.len(), self.observation_space.dim());
        match obs.split_last_mut() {
            Some((indicator, own)) if found == expected => Ok((own, indicator)),
            _ => Err(EnvError::WrongLength { id: self.spec().id.clone(), what: "observation", found, expected }),
        }
    }
}

impl Env for AbsorbingState {
    forward!(spec action_space started_over info render_fps render work_in close);

    fn observation_space(&self) -> &BoxSpace {
        &self.observation_space
    }

    fn can_terminate(&self) -> bool {
        false
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        let (own, indicator) = self.split(obs)?;
        self.inner.reset(seed, options, own)?;
        *indicator = 0.0;
        (self.absorbed, self.over) = (false, false);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        if self.over {
            return Err(EnvError::NeedsReset { id: self.spec().id.clone() });
        }
        let (own, indicator) = self.split(obs)?;
        let mut step = Step { reward: 0.0, terminated: false, truncated: true };
        if !self.absorbed {
            step = self.inner.step(action, own)?;
            if step.terminated {
                self.absorbed = true;
                step = Step { reward: step.reward, terminated: false, truncated: false };
            }
        }
        *indicator = 0.0;
        if self.absorbed {
            own.fill(0.0);
            *indicator = 1.0;
        }
        self.over = step.done();
        Ok(step)
    }

    fn save(&self) -> Vec<u8> {
        let flags = u64::from(self.absorbed) | u64::from(self.over) << 1;
        StateWriter::new(KIND).word(flags).bytes(&self.inner.save()).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(KIND, &self.inner.spec().id, state)?;
        let (flags, inner) = (reader.word()?, reader.bytes()?);
        reader.finish()?;
        self.inner.restore(inner)?;
        (self.absorbed, self.over) = (flags & 1 == 1, flags & 2 == 2);
        Ok(())
    }
}
