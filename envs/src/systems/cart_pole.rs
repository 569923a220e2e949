//! The cart-pole with Gymnasium's dynamics, pushed by a continuous force, at quadratic cost.
//! `CartPoleContinuous-v0` (`crate::classic`) is the same plant as mbrl-lib's task: rewarded for
//! each step upright.

use crate::entry::EnvEntry;
use crate::matrix::Matrix;
use crate::model::{Model, Quadratic};
use crate::options::{OptionDoc, OptionValue};
use crate::space::BoxSpace;
use crate::systems::angle::AngleObservation;
use crate::systems::options::{self, START, START_MEAN, number, positive, scalar, start_width};
use crate::systems::picture::Picture;
use crate::systems::system::System;

/// Bounds beyond which Gymnasium's task is lost: 2.4 m off the centre, 12° off upright.
const LOST: [f64; 4] = [2.4, f64::INFINITY, 12.0 * std::f64::consts::PI / 180.0, f64::INFINITY];

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "QuadraticCartPole-v0",
    doc: "Balance a pole on a cart by a force in newtons, at quadratic cost: Gymnasium's CartPole as a control problem.",
    max_episode_steps: Some(500),
    options: &[
        number("g", 9.8, "Gravity, metres per second squared."),
        number("cart_mass", 1.0, "Kilograms."),
        number("pole_mass", 0.1, "Kilograms."),
        number("half_length", 0.5, "Half the pole's length, metres."),
        number("dt", 0.02, "Seconds between steps (explicit Euler)."),
        number("max_force", 10.0, "Largest force, newtons; beyond it an action counts as this."),
        OptionDoc::new(
            "observation",
            OptionValue::text("angle"),
            "`angle`: x, ẋ, θ (not wrapped), θ̇. `trig`: x, ẋ, cos θ, sin θ, θ̇. θ is 0 upright.",
        ),
        OptionDoc::new(
            "terminate_when_lost",
            OptionValue::Flag(false),
            "End the episode 2.4 m off the centre or 12° off upright, as Gymnasium does.",
        ),
        scalar("q", 1.0, "Weight of (x, ẋ, θ, θ̇) in the cost: a number, a list (the diagonal) or a list of rows."),
        scalar("r", 1.0, "Force's weight in the cost."),
        START,
        START_MEAN,
        start_width(&[0.05]),
    ],
    build: |given| {
        let cart_pole = CartPole {
            gravity: given.number("g")?,
            cart_mass: positive(given, "cart_mass")?,
            pole_mass: positive(given, "pole_mass")?,
            half_length: positive(given, "half_length")?,
            dt: positive(given, "dt")?,
            max_force: positive(given, "max_force")?,
            observation: options::observation(given)?,
            weights: options::weights(given, 4, 1)?,
        };
        let mut space = BoxSpace::uniform(cart_pole.observation_dim(), f64::NEG_INFINITY, f64::INFINITY);
        if cart_pole.observation == AngleObservation::Trig {
            space.low[2..4].fill(-1.0);
            space.high[2..4].fill(1.0);
        }
        let limit = cart_pole.max_force;
        let bounds = given.flag("terminate_when_lost")?.then(|| LOST.to_vec());
        let picture = Picture::CartPole(2.0 * cart_pole.half_length);
        System::env(given, cart_pole, picture, limit, space, bounds)
    },
};

/// State (x, ẋ, θ, θ̇), θ from upright. With M = cart + pole mass, l half the pole's length and F
/// the force clipped to ± max_force: h = (F + m l θ̇² sin θ)/M, θ̈ = (g sin θ − h cos θ)/(l (4/3 −
/// m cos²θ/M)), ẍ = h − m l θ̈ cos θ/M, then explicit Euler.
#[derive(Clone, Debug, PartialEq)]
pub struct CartPole {
    /// Metres per second squared.
    pub gravity: f64,
    /// Kilograms.
    pub cart_mass: f64,
    /// Kilograms.
    pub pole_mass: f64,
    /// Half the pole's length, metres.
    pub half_length: f64,
    /// Seconds between steps.
    pub dt: f64,
    /// Newtons.
    pub max_force: f64,
    /// The form of the observation.
    pub observation: AngleObservation,
    /// Cost of (x, ẋ, θ, θ̇) and force.
    pub weights: Quadratic,
}

impl Default for CartPole {
    /// Gymnasium's `CartPole-v1`, Q and R identities.
    fn default() -> Self {
        Self {
            gravity: 9.8,
            cart_mass: 1.0,
            pole_mass: 0.1,
            half_length: 0.5,
            dt: 0.02,
            max_force: 10.0,
            observation: AngleObservation::Angle,
            weights: Quadratic { state: Matrix::diagonal(&[1.0; 4]), input: Matrix::diagonal(&[1.0]) },
        }
    }
}

/// Accelerations with their derivatives by θ, θ̇ and F.
struct Accelerations {
    cart: f64,
    pole: f64,
    cart_by: [f64; 3],
    pole_by: [f64; 3],
}

impl CartPole {
    fn accelerations(&self, x: &[f64], force: f64) -> Accelerations {
        let (sin, cos) = x[2].sin_cos();
        let (total, moment) = (self.cart_mass + self.pole_mass, self.pole_mass * self.half_length);
        let h = (force + moment * x[3] * x[3] * sin) / total;
        let h_by = [moment * x[3] * x[3] * cos / total, 2.0 * moment * x[3] * sin / total, 1.0 / total];
        let inertia = self.half_length * (4.0 / 3.0 - self.pole_mass * cos * cos / total);
        let inertia_by_angle = 2.0 * self.half_length * self.pole_mass * cos * sin / total;
        let pole = (self.gravity * sin - h * cos) / inertia;
        let mut pole_by = h_by.map(|h_by| -h_by * cos / inertia);
        pole_by[0] += (self.gravity * cos + h * sin - pole * inertia_by_angle) / inertia;
        let cart = h - moment * pole * cos / total;
        let mut cart_by = [0, 1, 2].map(|i| h_by[i] - moment * pole_by[i] * cos / total);
        cart_by[0] += moment * pole * sin / total;
        Accelerations { cart, pole, cart_by, pole_by }
    }
}

impl Model for CartPole {
    fn boxed(&self) -> Box<dyn Model> {
        Box::new(self.clone())
    }

    fn state_dim(&self) -> usize {
        4
    }

    fn input_dim(&self) -> usize {
        1
    }

    fn observation_dim(&self) -> usize {
        self.observation.dim(4)
    }

    fn input_limit(&self) -> f64 {
        self.max_force
    }

    fn is_angle(&self, coordinate: usize) -> bool {
        coordinate == 2
    }

    fn dt(&self) -> f64 {
        self.dt
    }

    fn cost_weights(&self) -> &Quadratic {
        &self.weights
    }

    fn advance(&self, x: &[f64], u: &[f64], next: &mut [f64]) {
        let Accelerations { cart, pole, .. } = self.accelerations(x, u[0].clamp(-self.max_force, self.max_force));
        next[0] = x[0] + self.dt * x[1];
        next[1] = x[1] + self.dt * cart;
        next[2] = x[2] + self.dt * x[3];
        next[3] = x[3] + self.dt * pole;
    }

    fn jacobians(&self, x: &[f64], u: &[f64], a: &mut [f64], b: &mut [f64]) {
        let Accelerations { cart_by, pole_by, .. } = self.accelerations(x, u[0].clamp(-self.max_force, self.max_force));
        let (dt, acts) = (self.dt, if u[0].abs() > self.max_force { 0.0 } else { self.dt });
        a.copy_from_slice(&[
            1.0,
            dt,
            0.0,
            0.0, //
            0.0,
            1.0,
            dt * cart_by[0],
            dt * cart_by[1], //
            0.0,
            0.0,
            1.0,
            dt, //
            0.0,
            0.0,
            dt * pole_by[0],
            1.0 + dt * pole_by[1],
        ]);
        b.copy_from_slice(&[0.0, acts * cart_by[2], 0.0, acts * pole_by[2]]);
    }

    fn observe(&self, x: &[f64], obs: &mut [f64]) {
        self.observation.observe(2, x, obs);
    }

    fn observation_jacobian(&self, x: &[f64], c: &mut [f64]) {
        self.observation.jacobian(2, x, c);
    }

    fn state_of(&self, obs: &[f64], x: &mut [f64]) {
        self.observation.state(2, obs, x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::testing::check;

    #[test]
    fn derivatives_are_those_of_the_step() {
        let other =
            CartPole { observation: AngleObservation::Trig, pole_mass: 0.6, half_length: 0.8, ..CartPole::default() };
        for cart_pole in [CartPole::default(), other] {
            check(&cart_pole, &[2.0, 3.0, 3.1, 4.0], 13.0);
        }
    }
}
