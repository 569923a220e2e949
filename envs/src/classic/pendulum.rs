//! Pendulum-v1: swing a pendulum up and hold it there.

use std::f64::consts::PI;

use crate::drawing;
use crate::entry::EnvEntry;
use crate::env::Frame;
use crate::error::EnvError;
use crate::given::Given;
use crate::model::{Model, wrap};
use crate::numpy_rng::NumpyRng;
use crate::options::{OptionDoc, OptionValue};
use crate::space::BoxSpace;
use crate::systems::Pendulum;
use crate::task::{Task, TaskEnv};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Pendulum-v1",
    doc: "Swing a pendulum up and hold it there.",
    max_episode_steps: Some(200),
    options: &[OptionDoc::new("g", OptionValue::Number(10.0), "Gravity, metres per second squared.")],
    build: |given| {
        let equations = Pendulum { gravity: given.number("g")?, ..Pendulum::default() };
        let observations = BoxSpace::symmetric(&[1.0, 1.0, MAX_SPEED]).rounded();
        let actions = BoxSpace::uniform(1, -MAX_TORQUE, MAX_TORQUE);
        Ok(TaskEnv::boxed(given, observations, actions, PendulumTask { equations, state: [0.0; 2] }))
    },
};

const MAX_SPEED: f64 = 8.0;
const MAX_TORQUE: f64 = 2.0;
/// Seconds per step.
const DT: f64 = 0.05;

/// Mass and length are 1.
struct PendulumTask {
    /// This system in differentiable form.
    equations: Pendulum,
    /// Angle from upright (radians, not wrapped) and angular velocity.
    state: [f64; 2],
}

impl Task for PendulumTask {
    fn reset_options(&self) -> &'static [OptionDoc] {
        const {
            &[
                OptionDoc::new("x_init", OptionValue::NonNegative(PI), "Largest initial angle, radians."),
                OptionDoc::new("y_init", OptionValue::NonNegative(1.0), "Largest initial velocity, radians a second."),
            ]
        }
    }

    fn reset(&mut self, rng: &mut NumpyRng, options: &Given) -> Result<(), EnvError> {
        let (angle, speed) = (options.number("x_init")?, options.number("y_init")?);
        self.state = [rng.uniform(-angle, angle), rng.uniform(-speed, speed)];
        Ok(())
    }

    fn advance(&mut self, action: &[f64]) -> (f64, bool) {
        let [angle, speed] = self.state;
        let torque = action[0].clamp(-MAX_TORQUE, MAX_TORQUE);
        let wrapped = wrap(angle);
        let cost = wrapped * wrapped + 0.1 * (speed * speed) + 0.001 * (torque * torque);
        let acceleration = 3.0 * self.equations.gravity / 2.0 * angle.sin() + 3.0 * torque;
        let speed = (speed + acceleration * DT).clamp(-MAX_SPEED, MAX_SPEED);
        self.state = [angle + speed * DT, speed];
        (-cost, false)
    }

    fn observe(&mut self, obs: &mut [f64]) {
        let [angle, speed] = self.state;
        obs.copy_from_slice(&[angle.cos(), angle.sin(), speed].map(|x| f64::from(x as f32)));
    }

    fn can_terminate(&self) -> bool {
        false
    }

    fn model(&self) -> Option<&dyn Model> {
        Some(&self.equations)
    }

    fn render_fps(&self) -> f64 {
        1.0 / DT
    }

    fn render(&mut self) -> Result<Frame, String> {
        drawing::pendulum(self.state[0])
    }

    fn state(&self) -> Vec<f64> {
        self.state.to_vec()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<(), String> {
        self.state.copy_from_slice(state);
        Ok(())
    }
}
