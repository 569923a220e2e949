//! Linear systems x⁺ = A x + B u: from matrices, and three by name.

use std::borrow::Cow;

use crate::entry::EnvEntry;
use crate::env::Env;
use crate::error::EnvError;
use crate::given::Given;
use crate::matrix::Matrix;
use crate::model::{Model, Quadratic};
use crate::options::{MatrixOption, OptionDoc, OptionValue};
use crate::space::BoxSpace;
use crate::systems::options::{self, START, START_MEAN, diagonal, number, positive, scalar, start_width};
use crate::systems::picture::Picture;
use crate::systems::system::System;

/// Steps of an episode of the linear systems.
const HORIZON: Option<u32> = Some(150);

const Q_DOC: &str =
    "State's weight in the cost: a number (times the identity), a list (the diagonal) or a list of rows.";
const R_DOC: &str =
    "Input's weight in the cost: a number (times the identity), a list (the diagonal) or a list of rows.";
const LIMIT_DOC: &str =
    "The action space's half-width. It scales what agents choose; an action beyond it acts in full.";
const DT_DOC: &str = "Seconds between steps; the input is held in between.";

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Linear-v0",
    doc: "A linear system x⁺ = A x + B u with quadratic cost, from matrices.",
    max_episode_steps: HORIZON,
    options: &[
        OptionDoc::new(
            "a",
            OptionValue::Matrix(MatrixOption::Rows { columns: 2, values: Cow::Borrowed(&[1.0, 0.1, 0.0, 1.0]) }),
            "A, a list of rows.",
        ),
        diagonal("b", &[0.005, 0.1], "B, a list of rows, or a plain list for a single input."),
        scalar("q", 1.0, Q_DOC),
        scalar("r", 1.0, R_DOC),
        OptionDoc::new(
            "dt",
            OptionValue::NonNegative(0.0),
            concat!(
                "0: A and B advance one step. ",
                "Above 0: they are those of ẋ = A x + B u, and a step is so many seconds of a held input."
            ),
        ),
        number("action_limit", 10.0, LIMIT_DOC),
        START,
        START_MEAN,
        start_width(&[1.0]),
    ],
    build: |given| {
        let a = options::rows(given, "a")?;
        let b = match given.matrix("b")? {
            MatrixOption::List(column) => Matrix::column(column),
            _ => options::rows(given, "b")?,
        };
        let (linear, dt) = (linear(given, a, b)?, given.number("dt")?);
        environment(given, if dt > 0.0 { linear.held(dt) } else { linear }, Picture::Slides)
    },
};

pub(super) const DOUBLE_INTEGRATOR: EnvEntry = EnvEntry {
    id: "DoubleIntegrator-v0",
    doc: "Bring a mass to rest at the origin by a force: ẍ = u.",
    max_episode_steps: HORIZON,
    options: &[
        scalar("q", 1.0, Q_DOC),
        scalar("r", 1.0, R_DOC),
        number("dt", 0.1, DT_DOC),
        number("action_limit", 10.0, LIMIT_DOC),
        START,
        START_MEAN,
        start_width(&[1.0]),
    ],
    build: |given| second_order(given, 0.0, 0.0),
};

pub(super) const OSCILLATOR: EnvEntry = EnvEntry {
    id: "Oscillator-v0",
    doc: "Bring a damped oscillator to rest: ẍ = −stiffness x − damping ẋ + u.",
    max_episode_steps: HORIZON,
    options: &[
        number("stiffness", 1.0, "Spring's force per metre and kilogram."),
        number("damping", 0.1, "Damper's force per metre a second and kilogram."),
        scalar("q", 1.0, Q_DOC),
        scalar("r", 0.1, R_DOC),
        number("dt", 0.1, DT_DOC),
        number("action_limit", 10.0, LIMIT_DOC),
        START,
        START_MEAN,
        start_width(&[1.0]),
    ],
    build: |given| second_order(given, given.number("stiffness")?, given.number("damping")?),
};

pub(super) const UPRIGHT_PENDULUM: EnvEntry = EnvEntry {
    id: "UprightPendulum-v0",
    doc: "Hold a pendulum upright: Gymnasium's pendulum linearised there, without its torque limit.",
    max_episode_steps: HORIZON,
    options: &[
        number("g", 10.0, "Gravity, metres per second squared."),
        number("dt", 0.05, DT_DOC),
        diagonal("q", &[1.0, 0.1], Q_DOC),
        scalar("r", 1.0, R_DOC),
        number("action_limit", 10.0, LIMIT_DOC),
        START,
        START_MEAN,
        start_width(&[0.1]),
    ],
    build: |given| {
        let (dt, pull) = (positive(given, "dt")?, 1.5 * given.number("g")?);
        // θ̇⁺ = θ̇ + (pull θ + 3u) dt, θ⁺ = θ + θ̇⁺ dt.
        let a = [1.0 + pull * dt * dt, dt, pull * dt, 1.0];
        let a = Matrix { rows: 2, columns: 2, values: a.to_vec() };
        let linear = linear(given, a, Matrix::column(&[3.0 * dt * dt, 3.0 * dt]))?;
        environment(given, Linear { dt, ..linear }, Picture::Pendulum)
    },
};

/// ẍ = −stiffness x − damping ẋ + u with a held input.
fn second_order(given: &Given, stiffness: f64, damping: f64) -> Result<Box<dyn Env>, EnvError> {
    let a = Matrix { rows: 2, columns: 2, values: vec![0.0, 1.0, -stiffness, -damping] };
    let linear = linear(given, a, Matrix::column(&[0.0, 1.0]))?;
    environment(given, linear.held(positive(given, "dt")?), Picture::Slides)
}

/// The system of A and B with the weights given.
fn linear(given: &Given, a: Matrix, b: Matrix) -> Result<Linear, EnvError> {
    let weights = options::weights(given, a.rows, b.columns)?;
    Linear::new(a, b, weights).map_err(|(option, problem)| given.bad(option, problem))
}

fn environment(given: &Given, linear: Linear, picture: Picture) -> Result<Box<dyn Env>, EnvError> {
    let space = BoxSpace::uniform(linear.state_dim(), f64::NEG_INFINITY, f64::INFINITY);
    System::env(given, linear, picture, positive(given, "action_limit")?, space, None)
}

/// x⁺ = A x + B u.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    a: Matrix,
    b: Matrix,
    weights: Quadratic,
    dt: f64,
}

impl Linear {
    /// The system of A `[n, n]` and B `[n, m]`, discrete in time.
    ///
    /// # Errors
    /// The name of the matrix that does not fit (`a`, `b`, `q`, `r`), and why.
    pub fn new(a: Matrix, b: Matrix, weights: Quadratic) -> Result<Self, (&'static str, String)> {
        let (n, m) = (a.rows, b.columns);
        let sizes = [
            ("a", &a, (n, n), "as many columns as rows"),
            ("b", &b, (n, m), "as many rows as `a`"),
            ("q", &weights.state, (n, n), "the size of `a`"),
            ("r", &weights.input, (m, m), "a row and a column for each column of `b`"),
        ];
        for (name, matrix, size, wanted) in sizes {
            if (matrix.rows, matrix.columns) != size || n == 0 || m == 0 {
                return Err((name, format!("is {} × {}, must have {wanted}", matrix.rows, matrix.columns)));
            }
            if matrix.values.iter().any(|x| !x.is_finite()) {
                return Err((name, "has an entry that is not finite".to_owned()));
            }
        }
        weights.check().map_err(|(name, problem)| (name, problem.to_owned()))?;
        Ok(Self { a, b, weights, dt: 0.0 })
    }

    /// This system read as ẋ = A x + B u, in steps of `dt` seconds of a held input.
    pub fn held(self, dt: f64) -> Self {
        let (a, b) = Matrix::hold(&self.a, &self.b, dt);
        Self { a, b, dt, ..self }
    }
}

impl Model for Linear {
    fn boxed(&self) -> Box<dyn Model> {
        Box::new(self.clone())
    }

    fn state_dim(&self) -> usize {
        self.a.rows
    }

    fn input_dim(&self) -> usize {
        self.b.columns
    }

    fn dt(&self) -> f64 {
        self.dt
    }

    fn cost_weights(&self) -> &Quadratic {
        &self.weights
    }

    fn advance(&self, x: &[f64], u: &[f64], next: &mut [f64]) {
        next.fill(0.0);
        self.a.multiply_add(x, next);
        self.b.multiply_add(u, next);
    }

    fn jacobian_hull(&self, _low: &[f64], _high: &[f64]) -> Option<Vec<(Matrix, Matrix)>> {
        Some(vec![(self.a.clone(), self.b.clone())])
    }

    fn jacobians(&self, _x: &[f64], _u: &[f64], a: &mut [f64], b: &mut [f64]) {
        a.copy_from_slice(&self.a.values);
        b.copy_from_slice(&self.b.values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::testing::check;

    #[test]
    fn derivatives_are_those_of_the_step() {
        let a = Matrix::from_rows(&[&[0.9, 0.2, 0.0], &[-0.3, 0.8, 0.1], &[0.0, 0.5, 1.1]]).unwrap();
        let b = Matrix::from_rows(&[&[0.1, 0.0], &[0.3, -0.2], &[0.0, 1.0]]).unwrap();
        let q = Matrix::from_rows(&[&[2.0, 0.5, 0.0], &[0.5, 1.0, 0.0], &[0.0, 0.0, 0.0]]).unwrap();
        let r = Matrix::from_rows(&[&[1.0, 0.2], &[0.2, 0.3]]).unwrap();
        let linear = Linear::new(a, b, Quadratic { state: q, input: r }).unwrap();
        check(&linear, &[1.0, 2.0, 3.0], 2.0);
        check(&linear.held(0.05), &[1.0, 2.0, 3.0], 2.0);
    }
}
