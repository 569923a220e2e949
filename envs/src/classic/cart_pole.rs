//! CartPoleContinuous-v0: keep a pole on a cart upright, as in mbrl-lib. The dynamics are those of Gymnasium's CartPole-v1 (Barto, Sutton &
//! Anderson 1983; Euler's method), the force 10 times the action; an episode has 200 steps.

use crate::classic::env::{ClassicEnv, State, Task};
use crate::{BoxSpace, EnvEntry, EnvError, Given, NumpyRng, OptionDoc, OptionValue};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "CartPoleContinuous-v0",
    doc: "Keep a pole on a cart upright, with a continuous force: 1 for each step, as in mbrl-lib.",
    max_episode_steps: Some(200),
    options: &[],
    build: |given| {
        let bounds = [2.0 * MAX_POSITION, f64::INFINITY, 2.0 * max_angle(), f64::INFINITY];
        let actions = BoxSpace::uniform(1, -1.0, 1.0);
        Ok(ClassicEnv::build(given, CartPole, (&bounds.map(|x| -x), &bounds), actions))
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
/// Metres from the middle at which an episode ends.
const MAX_POSITION: f64 = 2.4;

/// Radians from upright at which an episode ends: 12 degrees.
fn max_angle() -> f64 {
    12.0 * 2.0 * std::f64::consts::PI / 360.0
}

/// State: position and velocity of the cart, angle of the pole from upright and its angular velocity.
struct CartPole;

impl Task for CartPole {
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

    fn initial(&self, rng: &mut NumpyRng, options: &Given) -> Result<State, EnvError> {
        let (low, high) = (options.number("low")?, options.number("high")?);
        if low > high {
            return Err(options.bad("low", format!("{low} is above `high`, {high}")));
        }
        Ok([(); 4].map(|()| rng.uniform(low, high)))
    }

    fn can_terminate(&self) -> bool {
        true
    }

    fn advance(&self, state: &mut State, action: &[f64]) -> (f64, bool) {
        let [position, velocity, angle, spin] = *state;
        let (sin, cos) = angle.sin_cos();
        let temp = (FORCE * action[0].clamp(-1.0, 1.0) + POLE_MASS * LENGTH * (spin * spin) * sin) / TOTAL_MASS;
        let spin_change = (GRAVITY * sin - cos * temp) / (LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS));
        let velocity_change = temp - POLE_MASS * LENGTH * spin_change * cos / TOTAL_MASS;
        *state =
            [position + DT * velocity, velocity + DT * velocity_change, angle + DT * spin, spin + DT * spin_change];
        (1.0, state[0].abs() > MAX_POSITION || state[2].abs() > max_angle())
    }

    fn observe(&self, state: &State, obs: &mut [f64]) {
        obs.iter_mut().zip(state).for_each(|(obs, x)| *obs = f64::from(*x as f32));
    }
}
