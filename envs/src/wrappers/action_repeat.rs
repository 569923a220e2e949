//! One action for several steps.

use std::num::NonZeroU32;

use super::forward::forward;
use crate::env::{Env, Options, Step};
use crate::error::EnvError;

/// Repeats each action. The reward is the sum over the repeats, which end early with the episode.
/// `info` is the last repeat's.
pub struct ActionRepeat {
    inner: Box<dyn Env>,
    repeats: NonZeroU32,
    /// True if one of the last action's repeats started over.
    started_over: bool,
}

impl ActionRepeat {
    /// Applies every action `repeats` times. A time limit inside counts the repeats, one outside
    /// the decisions.
    pub fn new(inner: Box<dyn Env>, repeats: NonZeroU32) -> Self {
        Self { inner, repeats, started_over: false }
    }
}

impl Env for ActionRepeat {
    forward!(spec observation_space action_space can_terminate info render work_in close);

    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        self.inner.reset(seed, options, obs)
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        let mut total = self.inner.step(action, obs)?;
        self.started_over = self.inner.started_over();
        for _ in 1..self.repeats.get() {
            if total.done() {
                break;
            }
            let step = self.inner.step(action, obs)?;
            total = Step { reward: total.reward + step.reward, ..step };
            self.started_over |= self.inner.started_over();
        }
        Ok(total)
    }

    fn render_fps(&self) -> f64 {
        self.inner.render_fps() / f64::from(self.repeats.get())
    }

    fn started_over(&self) -> bool {
        self.started_over
    }

    fn save(&self) -> Vec<u8> {
        self.inner.save()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.inner.restore(state)
    }
}
