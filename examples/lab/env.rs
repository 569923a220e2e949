//! An environment of your own: its state, and two rules.

use liprl::envs::{BoxSpace, EnvEntry, EnvError, Given, NumpyRng, OptionDoc, OptionValue, Task, TaskEnv};

/// A point on a line, pushed towards the origin: x ← x + gain · a, reward −x².
struct Point {
    gain: f64,
    x: f64,
}

impl Task for Point {
    fn reset(&mut self, rng: &mut NumpyRng, _: &Given) -> Result<(), EnvError> {
        self.x = rng.uniform(-1.0, 1.0);
        Ok(())
    }

    fn advance(&mut self, action: &[f64]) -> (f64, bool) {
        self.x += self.gain * action[0];
        (-self.x * self.x, false)
    }

    fn observe(&mut self, obs: &mut [f64]) {
        obs[0] = self.x;
    }

    fn state(&self) -> Vec<f64> {
        vec![self.x]
    }

    fn set_state(&mut self, state: &[f64]) -> Result<(), String> {
        self.x = state[0];
        Ok(())
    }
}

pub(crate) const POINT: EnvEntry = EnvEntry {
    id: "Point-v0",
    doc: "Push a point to the origin.",
    max_episode_steps: Some(20),
    options: &[OptionDoc::new("gain", OptionValue::NonNegative(0.5), "Distance per unit of action.")],
    build: |given| {
        let (obs, action) = (BoxSpace::uniform(1, f64::NEG_INFINITY, f64::INFINITY), BoxSpace::uniform(1, -1.0, 1.0));
        Ok(TaskEnv::boxed(given, obs, action, Point { gain: given.number("gain")?, x: 0.0 }))
    },
};
