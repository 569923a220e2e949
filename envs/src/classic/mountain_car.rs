//! MountainCarContinuous-v0: drive an underpowered car up a hill.
//!
//! Gymnasium keeps this task's state in f32 between steps and mixes it with f64 inside a step by NumPy's promotion
//! rules; a trajectory is only equal if every addition and comparison happens in the same precision.

use crate::classic::env::{ClassicEnv, State, Task};
use crate::{BoxSpace, EnvEntry, EnvError, Given, NumpyRng, OptionDoc, OptionValue};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "MountainCarContinuous-v0",
    doc: "Drive an underpowered car up a hill.",
    max_episode_steps: Some(999),
    options: &[OptionDoc::new("goal_velocity", OptionValue::Number(0.0), "Least velocity at the goal that counts.")],
    build: |given| {
        let task = MountainCar { goal_velocity: given.number("goal_velocity")? };
        let bounds = (&[MIN_POSITION, -MAX_SPEED][..], &[MAX_POSITION, MAX_SPEED][..]);
        Ok(ClassicEnv::build(given, task, bounds, BoxSpace::uniform(1, -1.0, 1.0)))
    },
};

const MIN_POSITION: f64 = -1.2;
const MAX_POSITION: f64 = 0.6;
const GOAL_POSITION: f64 = 0.45;
const MAX_SPEED: f64 = 0.07;
const POWER: f64 = 0.0015;
const GRAVITY: f64 = 0.0025;

/// State: position, velocity, and 1 once the state has been stored in f32 (after the first step).
struct MountainCar {
    goal_velocity: f64,
}

/// Rounds to f32 where Python computes in f32.
fn at(single: bool, x: f64) -> f64 {
    if single { f64::from(x as f32) } else { x }
}

impl Task for MountainCar {
    fn reset_options(&self) -> &'static [OptionDoc] {
        const {
            &[
                OptionDoc::new("low", OptionValue::Number(-0.6), "Least initial position."),
                OptionDoc::new("high", OptionValue::Number(-0.4), "Greatest initial position."),
            ]
        }
    }

    fn initial(&self, rng: &mut NumpyRng, options: &Given) -> Result<State, EnvError> {
        let (low, high) = (options.number("low")?, options.number("high")?);
        if low > high {
            return Err(options.bad("low", format!("{low} is above `high`, {high}")));
        }
        Ok([rng.uniform(low, high), 0.0, 0.0, 0.0])
    }

    fn can_terminate(&self) -> bool {
        true
    }

    fn advance(&self, state: &mut State, action: &[f64]) -> (f64, bool) {
        let [position, velocity, stored, _] = *state;
        let stored = stored == 1.0;
        let force = action[0].clamp(-1.0, 1.0);
        let change = force * POWER - GRAVITY * at(stored, 3.0 * position).cos();
        // A clipped force is a plain Python number, which does not lift an f32 velocity to f64; nor does a clipped
        // velocity lift the position.
        let single = stored && force != action[0];
        let mut velocity = at(single, velocity + at(single, change));
        let clipped = velocity.abs() > at(single, MAX_SPEED);
        if clipped {
            velocity = MAX_SPEED.copysign(velocity);
        }
        let single_position = stored && (single || clipped);
        let mut position = at(single_position, position + at(single_position, velocity));
        let bound = |x| at(single_position, x);
        position = position.clamp(bound(MIN_POSITION), bound(MAX_POSITION));
        if position == bound(MIN_POSITION) && velocity < 0.0 {
            velocity = 0.0;
        }
        let terminated = position >= bound(GOAL_POSITION) && velocity >= at(single, self.goal_velocity);
        let reward = if terminated { 100.0 } else { 0.0 } - action[0] * action[0] * 0.1;
        *state = [at(true, position), at(true, velocity), 1.0, 0.0];
        (reward, terminated)
    }

    fn observe(&self, state: &State, obs: &mut [f64]) {
        obs.copy_from_slice(&[at(true, state[0]), at(true, state[1])]);
    }
}
