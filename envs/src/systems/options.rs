//! Matrices, weights and starts out of a config.

use std::borrow::Cow;

use super::{AngleObservation, Matrix, Quadratic};
use crate::{EnvError, Given, MatrixOption, NumpyRng, OptionDoc, OptionValue};

/// Where episodes start.
#[derive(Clone, Debug)]
pub(super) struct Start {
    gaussian: bool,
    mean: Vec<f64>,
    width: Vec<f64>,
}

/// The shape of the initial distribution.
pub(super) const START: OptionDoc = OptionDoc::new(
    "start",
    OptionValue::Text(Cow::Borrowed("box")),
    "How episodes start: `box`, uniformly within start_width of start_mean; or `gaussian`, start_width being the standard deviation.",
);

/// Its centre.
pub(super) const START_MEAN: OptionDoc = OptionDoc::new(
    "start_mean",
    OptionValue::List(Cow::Borrowed(&[])),
    "Centre of the initial states, one number for each coordinate; empty: zero.",
);

/// Its width, with the system's own default.
pub(super) const fn start_width(default: &'static [f64]) -> OptionDoc {
    OptionDoc::new(
        "start_width",
        OptionValue::List(Cow::Borrowed(default)),
        "Half-width of the box, or standard deviation; one number for each coordinate, or one for all.",
    )
}

impl Start {
    /// The start that the options above describe, for a state of `n` numbers.
    pub(super) fn read(given: &Given, n: usize) -> Result<Self, EnvError> {
        let gaussian = match given.text("start")? {
            "box" => false,
            "gaussian" => true,
            other => return Err(given.bad("start", format!("expected `box` or `gaussian`, found `{other}`"))),
        };
        let spread = |name: &str, list: &[f64]| match list {
            [one] => Ok(vec![*one; n]),
            list if list.len() == n => Ok(list.to_vec()),
            list => Err(given.bad(name, format!("has {} numbers for a state of {n}", list.len()))),
        };
        let mean = given.list("start_mean")?;
        let mean = if mean.is_empty() { vec![0.0; n] } else { spread("start_mean", mean)? };
        let width = spread("start_width", given.list("start_width")?)?;
        if let Some(negative) = width.iter().find(|width| **width < 0.0) {
            return Err(given.bad("start_width", format!("{negative} is negative")));
        }
        Ok(Self { gaussian, mean, width })
    }

    /// Draws an initial state.
    pub(super) fn draw(&self, rng: &mut NumpyRng, x: &mut [f64]) {
        for ((x, mean), width) in x.iter_mut().zip(&self.mean).zip(&self.width) {
            *x = mean + if self.gaussian { width * rng.standard_normal() } else { rng.uniform(-width, *width) };
        }
    }
}

/// The stage cost's weights `q` and `r` for a state of `n` and an input of `m` numbers.
pub(super) fn weights(given: &Given, n: usize, m: usize) -> Result<Quadratic, EnvError> {
    let read = |name: &str, size: usize| {
        let matrix = match given.matrix(name)? {
            MatrixOption::Scalar(x) => Matrix::diagonal(&vec![*x; size]),
            MatrixOption::List(diagonal) => Matrix::diagonal(diagonal),
            MatrixOption::Rows { .. } => rows(given, name)?,
        };
        if (matrix.rows, matrix.columns) != (size, size) {
            let problem = format!("is {} × {}, must be {size} × {size}", matrix.rows, matrix.columns);
            return Err(given.bad(name, problem));
        }
        Ok(matrix)
    };
    let weights = Quadratic { state: read("q", n)?, input: read("r", m)? };
    weights.check().map_err(|(name, problem)| given.bad(name, problem))?;
    Ok(weights)
}

impl Quadratic {
    /// The name of the weight that cannot be one, and why.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if !self.state.is_symmetric() {
            return Err(("q", "is not symmetric"));
        }
        if !self.input.is_symmetric() {
            return Err(("r", "is not symmetric"));
        }
        // The shift lets a semidefinite matrix pass in spite of rounding.
        if !self.state.is_positive_definite(1e-10) {
            return Err(("q", "is not positive semidefinite: a state would be rewarded for being far away"));
        }
        if !self.input.is_positive_definite(0.0) {
            return Err(("r", "is not positive definite: every input must cost something"));
        }
        Ok(())
    }
}

/// A matrix that must be given by rows; a number stands for a 1 × 1 matrix.
pub(super) fn rows(given: &Given, name: &str) -> Result<Matrix, EnvError> {
    match given.matrix(name)? {
        MatrixOption::Scalar(x) => Ok(Matrix::diagonal(&[*x])),
        MatrixOption::List(_) => Err(given.bad(name, "expected a list of rows, found a plain list")),
        MatrixOption::Rows { columns, values } => {
            Ok(Matrix { rows: values.len() / columns, columns: *columns, values: values.to_vec() })
        }
    }
}

/// A number that must be above zero.
pub(super) fn positive(given: &Given, name: &str) -> Result<f64, EnvError> {
    let x = given.number(name)?;
    if x > 0.0 { Ok(x) } else { Err(given.bad(name, format!("must be above 0, found {x}"))) }
}

/// The option `observation`.
pub(super) fn observation(given: &Given) -> Result<AngleObservation, EnvError> {
    match given.text("observation")? {
        "angle" => Ok(AngleObservation::Angle),
        "trig" => Ok(AngleObservation::Trig),
        other => Err(given.bad("observation", format!("expected `angle` or `trig`, found `{other}`"))),
    }
}
