//! CartPoleContinuous-v0: keep a pole on a cart upright, as in mbrl-lib. An episode has 200 steps.
//!
//! The dynamics are those of Gymnasium's CartPole-v1 (Barto, Sutton & Anderson 1983; Euler's
//! method). The force is 10 times the action.

use crate::drawing;
use crate::entry::EnvEntry;
use crate::env::Frame;
use crate::error::EnvError;
use crate::given::Given;
use crate::numpy_rng::NumpyRng;
use crate::options::{OptionDoc, OptionValue};
use crate::space::BoxSpace;
use crate::task::{Task, TaskEnv};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "CartPoleContinuous-v0",
    doc: "Keep a pole on a cart upright, with a continuous force: 1 for each step, as in mbrl-lib.",
    max_episode_steps: Some(200),
    options: &[],
    build: |given| {
        let observations = [2.0 * MAX_POSITION, f64::INFINITY, 2.0 * max_angle(), f64::INFINITY];
        let observations = BoxSpace::symmetric(&observations).rounded();
        Ok(TaskEnv::boxed(given, observations, BoxSpace::uniform(1, -1.0, 1.0), CartPoleTask { state: [0.0; 4] }))
    },
};

const GRAVITY: f64 = 9.8;
const CART_MASS: f64 = 1.0;
const POLE_MASS: f64 = 0.1;
const TOTAL_MASS: f64 = CART_MASS + POLE_MASS;
/// Half the pole's length, metres.
const LENGTH: f64 = 0.5;
/// Newtons for an action of 1.
const FORCE: f64 = 10.0;
/// Seconds per step.
const DT: f64 = 0.02;
/// Distance from the middle at which an episode ends, metres.
const MAX_POSITION: f64 = 2.4;

/// Angle from upright at which an episode ends, radians: 12 degrees.
fn max_angle() -> f64 {
    12.0 * 2.0 * std::f64::consts::PI / 360.0
}

struct CartPoleTask {
    /// Position and velocity of the cart, angle of the pole from upright and its angular velocity.
    state: [f64; 4],
}

impl Task for CartPoleTask {
    fn reset_options(&self) -> &'static [OptionDoc] {
        const {
            &[
                OptionDoc::new("low", OptionValue::Number(-0.05), "Least initial value of each number of the state."),
                OptionDoc::new(
                    "high",
                    OptionValue::Number(0.05),
                    "Greatest initial value of each number of the state.",
                ),
            ]
        }
    }

    fn reset(&mut self, rng: &mut NumpyRng, options: &Given) -> Result<(), EnvError> {
        let (low, high) = (options.number("low")?, options.number("high")?);
        if low > high {
            return Err(options.bad("low", format!("{low} is above `high`, {high}")));
        }
        self.state = [(); 4].map(|()| rng.uniform(low, high));
        Ok(())
    }

    fn advance(&mut self, action: &[f64]) -> (f64, bool) {
        let [position, velocity, angle, spin] = self.state;
        let (sin, cos) = angle.sin_cos();
        let temp = (FORCE * action[0].clamp(-1.0, 1.0) + POLE_MASS * LENGTH * (spin * spin) * sin) / TOTAL_MASS;
        let spin_change = (GRAVITY * sin - cos * temp) / (LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS));
        let velocity_change = temp - POLE_MASS * LENGTH * spin_change * cos / TOTAL_MASS;
        self.state =
            [position + DT * velocity, velocity + DT * velocity_change, angle + DT * spin, spin + DT * spin_change];
        (1.0, self.state[0].abs() > MAX_POSITION || self.state[2].abs() > max_angle())
    }

    fn observe(&mut self, obs: &mut [f64]) {
        obs.copy_from_slice(&self.state.map(|x| f64::from(x as f32)));
    }

    fn can_terminate(&self) -> bool {
        true
    }

    fn render_fps(&self) -> f64 {
        1.0 / DT
    }

    fn render(&mut self) -> Result<Frame, String> {
        drawing::cart_pole(self.state[0], self.state[2], 2.0 * LENGTH)
    }

    fn state(&self) -> Vec<f64> {
        self.state.to_vec()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<(), String> {
        self.state.copy_from_slice(state);
        Ok(())
    }
}
