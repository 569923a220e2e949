//! Pendulum-v1: swing a pendulum up and hold it there.

use std::f64::consts::PI;

use crate::classic::env::{ClassicEnv, State, Task};
use crate::systems::{self, Model};
use crate::{BoxSpace, EnvEntry, EnvError, Given, NumpyRng, OptionDoc, OptionValue};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Pendulum-v1",
    doc: "Swing a pendulum up and hold it there.",
    max_episode_steps: Some(200),
    options: &[OptionDoc::new("g", OptionValue::Number(10.0), "Gravity, metres per second squared.")],
    build: |given| {
        let bounds = [1.0, 1.0, MAX_SPEED];
        let task =
            Pendulum { equations: systems::Pendulum { gravity: given.number("g")?, ..systems::Pendulum::default() } };
        let actions = BoxSpace::uniform(1, -MAX_TORQUE, MAX_TORQUE);
        Ok(ClassicEnv::build(given, task, (&bounds.map(|x| -x), &bounds), actions))
    },
};

const MAX_SPEED: f64 = 8.0;
const MAX_TORQUE: f64 = 2.0;
/// Seconds per step.
const DT: f64 = 0.05;

/// State: angle from upright (radians, not wrapped) and angular velocity. Mass and length are 1.
struct Pendulum {
    /// The same system for those who differentiate it.
    equations: systems::Pendulum,
}

impl Task for Pendulum {
    fn reset_options(&self) -> &'static [OptionDoc] {
        const {
            &[
                OptionDoc::new("x_init", OptionValue::NonNegative(PI), "Largest initial angle, radians."),
                OptionDoc::new("y_init", OptionValue::NonNegative(1.0), "Largest initial velocity, radians a second."),
            ]
        }
    }

    fn initial(&self, rng: &mut NumpyRng, options: &Given) -> Result<State, EnvError> {
        let (angle, speed) = (options.number("x_init")?, options.number("y_init")?);
        Ok([rng.uniform(-angle, angle), rng.uniform(-speed, speed), 0.0, 0.0])
    }

    fn can_terminate(&self) -> bool {
        false
    }

    fn advance(&self, state: &mut State, action: &[f64]) -> (f64, bool) {
        let [angle, speed, ..] = *state;
        let torque = action[0].clamp(-MAX_TORQUE, MAX_TORQUE);
        let wrapped = (angle + PI).rem_euclid(2.0 * PI) - PI;
        let cost = wrapped * wrapped + 0.1 * (speed * speed) + 0.001 * (torque * torque);
        let acceleration = 3.0 * self.equations.gravity / 2.0 * angle.sin() + 3.0 * torque;
        let speed = (speed + acceleration * DT).clamp(-MAX_SPEED, MAX_SPEED);
        *state = [angle + speed * DT, speed, 0.0, 0.0];
        (-cost, false)
    }

    fn model(&self) -> Option<&dyn Model> {
        Some(&self.equations)
    }

    fn observe(&self, state: &State, obs: &mut [f64]) {
        obs.copy_from_slice(&[state[0].cos(), state[0].sin(), state[1]].map(|x| f64::from(x as f32)));
    }
}
