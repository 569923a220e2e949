//! MountainCarContinuous-v0: drive an underpowered car up a hill.
//!
//! Gymnasium keeps this task's state in f32 between steps and mixes it with f64 inside a step by
//! NumPy's promotion rules. A trajectory is only equal if every addition and comparison happens in
//! the same precision.

use crate::drawing::{BLACK, Canvas, GREY};
use crate::entry::EnvEntry;
use crate::env::Frame;
use crate::error::EnvError;
use crate::given::Given;
use crate::numpy_rng::NumpyRng;
use crate::options::{OptionDoc, OptionValue};
use crate::space::BoxSpace;
use crate::task::{Task, TaskEnv};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "MountainCarContinuous-v0",
    doc: "Drive an underpowered car up a hill.",
    max_episode_steps: Some(999),
    options: &[OptionDoc::new("goal_velocity", OptionValue::Number(0.0), "Least velocity at the goal that counts.")],
    build: |given| {
        let car = MountainCar { goal_velocity: given.number("goal_velocity")?, state: [0.0; 2], stored: false };
        let observations = BoxSpace { low: vec![MIN_POSITION, -MAX_SPEED], high: vec![MAX_POSITION, MAX_SPEED] };
        Ok(TaskEnv::boxed(given, observations.rounded(), BoxSpace::uniform(1, -1.0, 1.0), car))
    },
};

const MIN_POSITION: f64 = -1.2;
const MAX_POSITION: f64 = 0.6;
const GOAL_POSITION: f64 = 0.45;
const MAX_SPEED: f64 = 0.07;
const POWER: f64 = 0.0015;
const GRAVITY: f64 = 0.0025;

struct MountainCar {
    goal_velocity: f64,
    /// Position and velocity.
    state: [f64; 2],
    /// True once the state has been stored in f32 (after the first step).
    stored: bool,
}

/// Rounds to f32 when Python computes in f32.
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

    fn reset(&mut self, rng: &mut NumpyRng, options: &Given) -> Result<(), EnvError> {
        let (low, high) = (options.number("low")?, options.number("high")?);
        if low > high {
            return Err(options.bad("low", format!("{low} is above `high`, {high}")));
        }
        (self.state, self.stored) = ([rng.uniform(low, high), 0.0], false);
        Ok(())
    }

    fn advance(&mut self, action: &[f64]) -> (f64, bool) {
        let ([position, velocity], stored) = (self.state, self.stored);
        let force = action[0].clamp(-1.0, 1.0);
        let change = force * POWER - GRAVITY * at(stored, 3.0 * position).cos();
        // A clipped force is a plain Python number, which does not lift an f32 velocity to f64; nor
        // does a clipped velocity lift the position.
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
        (self.state, self.stored) = ([at(true, position), at(true, velocity)], true);
        (reward, terminated)
    }

    fn observe(&mut self, obs: &mut [f64]) {
        obs.copy_from_slice(&self.state.map(|x| at(true, x)));
    }

    fn can_terminate(&self) -> bool {
        true
    }

    fn render(&mut self) -> Result<Frame, String> {
        draw(self.state[0])
    }

    fn state(&self) -> Vec<f64> {
        vec![self.state[0], self.state[1], f64::from(self.stored)]
    }

    fn set_state(&mut self, state: &[f64]) -> Result<(), String> {
        (self.state, self.stored) = ([state[0], state[1]], state[2] == 1.0);
        Ok(())
    }
}

/// Height of the track.
fn height(x: f64) -> f64 {
    0.45 * (3.0 * x).sin() + 0.55
}

/// The track, the flag at the goal and the car.
fn draw(position: f64) -> Result<Frame, String> {
    const SCALE: f64 = 600.0 / (MAX_POSITION - MIN_POSITION);
    /// Length of a pixel.
    const PIXEL: f64 = 1.0 / SCALE;
    let mut canvas = Canvas::new([600, 400], SCALE, [-MIN_POSITION * SCALE, 400.0])?;
    let track: Vec<[f64; 2]> = (0..=100)
        .map(|i| MIN_POSITION + (MAX_POSITION - MIN_POSITION) * f64::from(i) / 100.0)
        .map(|x| [x, height(x)])
        .collect();
    canvas.line(&track, PIXEL, BLACK);
    let (foot, top) = ([GOAL_POSITION, height(GOAL_POSITION)], height(GOAL_POSITION) + 50.0 * PIXEL);
    canvas.line(&[foot, [GOAL_POSITION, top]], PIXEL, BLACK);
    let tip = [GOAL_POSITION + 25.0 * PIXEL, top - 5.0 * PIXEL];
    canvas.polygon(&[[GOAL_POSITION, top], [GOAL_POSITION, top - 10.0 * PIXEL], tip], [204, 204, 0]);
    // The car leans as Gymnasium's does, by cos 3x.
    let (sin, cos) = (3.0 * position).cos().sin_cos();
    let at = |x: f64, y: f64| {
        [position + PIXEL * (cos * x - sin * y), height(position) + PIXEL * (10.0 + sin * x + cos * y)]
    };
    canvas.polygon(&[at(-20.0, 0.0), at(-20.0, 20.0), at(20.0, 20.0), at(20.0, 0.0)], BLACK);
    for x in [-10.0, 10.0] {
        canvas.disc(at(x, 0.0), 8.0 * PIXEL, GREY);
    }
    Ok(canvas.finish())
}
