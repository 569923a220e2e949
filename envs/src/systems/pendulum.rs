//! The torque-limited pendulum with Gymnasium's dynamics.

use std::f64::consts::PI;

use crate::entry::EnvEntry;
use crate::matrix::Matrix;
use crate::model::{Model, Quadratic};
use crate::options::{OptionDoc, OptionValue};
use crate::space::BoxSpace;
use crate::systems::angle::AngleObservation;
use crate::systems::options::{self, START, START_MEAN, diagonal, number, positive, scalar, start_width};
use crate::systems::picture::Picture;
use crate::systems::system::System;

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "PendulumSwingUp-v0",
    doc: "Swing a torque-limited pendulum up and hold it there.",
    max_episode_steps: Some(200),
    options: &[
        number("g", 10.0, "Gravity, metres per second squared."),
        number("mass", 1.0, "Kilograms."),
        number("length", 1.0, "Metres."),
        number("dt", 0.05, "Seconds between steps."),
        number("max_torque", 2.0, "Largest torque, newton metres; beyond it an action counts as this."),
        number("max_speed", 8.0, "Largest speed, radians a second."),
        OptionDoc::new(
            "observation",
            OptionValue::text("trig"),
            "`trig`: cos θ, sin θ, θ̇. `angle`: θ (not wrapped), θ̇. θ is 0 upright.",
        ),
        diagonal("q", &[1.0, 0.1], "Weight of (θ, θ̇) in the cost: a number, a list (the diagonal) or a list of rows."),
        scalar("r", 0.001, "Torque's weight in the cost."),
        START,
        START_MEAN,
        start_width(&[PI, 1.0]),
    ],
    build: |given| {
        let pendulum = Pendulum {
            gravity: given.number("g")?,
            mass: positive(given, "mass")?,
            length: positive(given, "length")?,
            dt: positive(given, "dt")?,
            max_torque: positive(given, "max_torque")?,
            max_speed: positive(given, "max_speed")?,
            observation: options::observation(given)?,
            weights: options::weights(given, 2, 1)?,
        };
        let high = match pendulum.observation {
            AngleObservation::Trig => &[1.0, 1.0, pendulum.max_speed][..],
            AngleObservation::Angle => &[f64::INFINITY, pendulum.max_speed],
        };
        let (space, limit) = (BoxSpace::symmetric(high), pendulum.max_torque);
        System::env(given, pendulum, Picture::Pendulum, limit, space, None)
    },
};

/// State (θ, θ̇), θ from upright. θ̇⁺ = clip(θ̇ + (3g/2l sin θ + 3/(ml²) u) dt, ± max_speed), θ⁺ =
/// θ + θ̇⁺ dt; u is clipped to ± max_torque.
#[derive(Clone, Debug, PartialEq)]
pub struct Pendulum {
    /// Metres per second squared.
    pub gravity: f64,
    /// Kilograms.
    pub mass: f64,
    /// Metres.
    pub length: f64,
    /// Seconds between steps.
    pub dt: f64,
    /// Newton metres.
    pub max_torque: f64,
    /// Radians a second.
    pub max_speed: f64,
    /// The form of the observation.
    pub observation: AngleObservation,
    /// Cost of (θ, θ̇) and torque.
    pub weights: Quadratic,
}

impl Default for Pendulum {
    /// Gymnasium's `Pendulum-v1`.
    fn default() -> Self {
        Self {
            gravity: 10.0,
            mass: 1.0,
            length: 1.0,
            dt: 0.05,
            max_torque: 2.0,
            max_speed: 8.0,
            observation: AngleObservation::Trig,
            weights: Quadratic { state: Matrix::diagonal(&[1.0, 0.1]), input: Matrix::diagonal(&[0.001]) },
        }
    }
}

impl Pendulum {
    /// 3g/2l and 3/(ml²).
    fn accelerations(&self) -> (f64, f64) {
        (1.5 * self.gravity / self.length, 3.0 / (self.mass * self.length * self.length))
    }

    /// The speed after the step, before it is clipped.
    fn speed(&self, x: &[f64], u: &[f64]) -> f64 {
        let (pull, push) = self.accelerations();
        x[1] + (pull * x[0].sin() + push * u[0].clamp(-self.max_torque, self.max_torque)) * self.dt
    }
}

impl Model for Pendulum {
    fn boxed(&self) -> Box<dyn Model> {
        Box::new(self.clone())
    }

    fn state_dim(&self) -> usize {
        2
    }

    fn input_dim(&self) -> usize {
        1
    }

    fn observation_dim(&self) -> usize {
        self.observation.dim(2)
    }

    fn input_limit(&self) -> f64 {
        self.max_torque
    }

    fn is_angle(&self, coordinate: usize) -> bool {
        coordinate == 0
    }

    fn dt(&self) -> f64 {
        self.dt
    }

    fn cost_weights(&self) -> &Quadratic {
        &self.weights
    }

    fn advance(&self, x: &[f64], u: &[f64], next: &mut [f64]) {
        next[1] = self.speed(x, u).clamp(-self.max_speed, self.max_speed);
        next[0] = x[0] + next[1] * self.dt;
    }

    /// The Jacobians are affine in cos θ, so those of its least and greatest value span all of
    /// them.
    fn jacobian_hull(&self, low: &[f64], high: &[f64]) -> Option<Vec<(Matrix, Matrix)>> {
        let (pull, push) = self.accelerations();
        // Gravity may be negative: a pendulum that hangs at θ = 0.
        let fastest = low[1].abs().max(high[1].abs()) + (pull.abs() + push * self.max_torque) * self.dt;
        if low[0] < -PI || high[0] > PI || fastest > self.max_speed {
            return None;
        }
        let (first, last) = (low[0].cos(), high[0].cos());
        let most = if low[0] <= 0.0 && high[0] >= 0.0 { 1.0 } else { first.max(last) };
        let input = Matrix::column(&[self.dt * self.dt * push, self.dt * push]);
        let at = |cos: f64| {
            let slope = pull * cos * self.dt;
            let rows = [1.0 + self.dt * slope, self.dt, slope, 1.0];
            (Matrix { rows: 2, columns: 2, values: rows.to_vec() }, input.clone())
        };
        Some(vec![at(first.min(last) - 1e-15), at(most)])
    }

    fn jacobians(&self, x: &[f64], u: &[f64], a: &mut [f64], b: &mut [f64]) {
        let (pull, push) = self.accelerations();
        let free = if self.speed(x, u).abs() > self.max_speed { 0.0 } else { 1.0 };
        let acts = if u[0].abs() > self.max_torque { 0.0 } else { free };
        (a[2], a[3], b[1]) = (free * pull * x[0].cos() * self.dt, free, acts * push * self.dt);
        (a[0], a[1], b[0]) = (1.0 + a[2] * self.dt, a[3] * self.dt, b[1] * self.dt);
    }

    fn observe(&self, x: &[f64], obs: &mut [f64]) {
        self.observation.observe(0, x, obs);
    }

    fn observation_jacobian(&self, x: &[f64], c: &mut [f64]) {
        self.observation.jacobian(0, x, c);
    }

    fn state_of(&self, obs: &[f64], x: &mut [f64]) {
        self.observation.state(0, obs, x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::testing::check;

    #[test]
    fn derivatives_are_those_of_the_step() {
        // Beyond both limits too: the speed is clipped from 8 on, the torque from 2.
        let heavy = Pendulum { mass: 0.7, length: 1.3, ..Pendulum::default() };
        for pendulum in [Pendulum::default(), Pendulum { observation: AngleObservation::Angle, ..heavy }] {
            check(&pendulum, &[3.1, 9.0], 3.0);
        }
    }

    #[test]
    fn the_hull_holds_every_jacobian() {
        let pendulum = Pendulum::default();
        for (low, high) in [([-0.4, -1.0], [0.3, 1.0]), ([0.2, -2.0], [1.5, 0.0]), ([-3.0, 0.0], [-1.0, 5.0])] {
            let hull = pendulum.jacobian_hull(&low, &high).unwrap();
            let slope = |vertex: usize| hull[vertex].0.at(1, 0);
            for step in 0..=20 {
                let x = [low[0] + (high[0] - low[0]) * f64::from(step) / 20.0, high[1]];
                let (mut a, mut b) = ([0.0; 4], [0.0; 2]);
                pendulum.jacobians(&x, &[1.0], &mut a, &mut b);
                let share = (a[2] - slope(0)) / (slope(1) - slope(0));
                assert!((-1e-12..=1.0 + 1e-12).contains(&share), "{x:?} {share}");
                for (k, entry) in a.iter().enumerate() {
                    let (first, last) = (hull[0].0.values[k], hull[1].0.values[k]);
                    assert!((first + share * (last - first) - entry).abs() < 1e-12, "{x:?} {k}");
                }
                assert!(b.iter().zip(&hull[0].1.values).all(|(b, h)| (b - h).abs() < 1e-15));
            }
        }
        assert!(pendulum.jacobian_hull(&[-0.1, -8.0], &[0.1, 8.0]).is_none(), "the speed is clipped there");
        // Speeds of up to 1 gain 15 · 0.05 by gravity, whichever way it pulls, and 3 · 2 · 0.05 by
        // the torque: up to 2.05.
        for (gravity, max_speed, known) in [(-10.0, 1.5, false), (-10.0, 2.06, true), (10.0, 1.5, false)] {
            let pendulum = Pendulum { gravity, max_speed, ..Pendulum::default() };
            assert_eq!(pendulum.jacobian_hull(&[-1.0; 2], &[1.0; 2]).is_some(), known, "{gravity} {max_speed}");
        }
    }
}
