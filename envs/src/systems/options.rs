//! Options that several systems share: matrices, cost weights and the initial distribution.

use std::borrow::Cow;

use crate::error::EnvError;
use crate::given::Given;
use crate::matrix::Matrix;
use crate::model::Quadratic;
use crate::numpy_rng::NumpyRng;
use crate::options::{MatrixOption, OptionDoc, OptionValue};
use crate::systems::angle::AngleObservation;

/// A number option.
pub(super) const fn number(name: &'static str, default: f64, doc: &'static str) -> OptionDoc {
    OptionDoc::new(name, OptionValue::Number(default), doc)
}

/// A matrix option whose default is a multiple of the identity.
pub(super) const fn scalar(name: &'static str, default: f64, doc: &'static str) -> OptionDoc {
    OptionDoc::new(name, OptionValue::Matrix(MatrixOption::Scalar(default)), doc)
}

/// A matrix option whose default is a diagonal, or a single column.
pub(super) const fn diagonal(name: &'static str, default: &'static [f64], doc: &'static str) -> OptionDoc {
    OptionDoc::new(name, OptionValue::Matrix(MatrixOption::List(Cow::Borrowed(default))), doc)
}

/// The shape of the initial distribution.
pub(super) const START: OptionDoc = OptionDoc::new(
    "start",
    OptionValue::text("box"),
    concat!(
        "How episodes start: `box`, uniformly within start_width of start_mean; ",
        "or `gaussian`, start_width being the standard deviation."
    ),
);

/// The centre of the initial distribution.
pub(super) const START_MEAN: OptionDoc = OptionDoc::new(
    "start_mean",
    OptionValue::list(&[]),
    "Centre of the initial states, one number for each coordinate; empty: zero.",
);

/// The width of the initial distribution, with the system's own default.
pub(super) const fn start_width(default: &'static [f64]) -> OptionDoc {
    OptionDoc::new(
        "start_width",
        OptionValue::list(default),
        "Half-width of the box, or standard deviation; one number for each coordinate, or one for all.",
    )
}

/// The distribution of initial states.
#[derive(Clone, Debug)]
pub(super) struct Start {
    gaussian: bool,
    mean: Vec<f64>,
    width: Vec<f64>,
}

impl Start {
    /// The distribution that the options above describe, for a state of `n` numbers.
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

    /// The size of each coordinate that an episode hardly begins beyond: the mean and three widths.
    pub(super) fn reach(&self) -> Vec<f64> {
        self.mean.iter().zip(&self.width).map(|(mean, width)| mean.abs() + 3.0 * width).collect()
    }

    /// Both ends of each coordinate; `None` for a Gaussian.
    pub(super) fn ends(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        let end = |sign: f64| self.mean.iter().zip(&self.width).map(|(mean, width)| mean + sign * width).collect();
        (!self.gaussian).then(|| (end(-1.0), end(1.0)))
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

/// A matrix option that must be given by rows; a number stands for a 1 × 1 matrix.
pub(super) fn rows(given: &Given, name: &str) -> Result<Matrix, EnvError> {
    match given.matrix(name)? {
        MatrixOption::Scalar(x) => Ok(Matrix::diagonal(&[*x])),
        MatrixOption::List(_) => Err(given.bad(name, "expected a list of rows, found a plain list")),
        MatrixOption::Rows { columns, values } => {
            Ok(Matrix { rows: values.len() / columns, columns: *columns, values: values.to_vec() })
        }
    }
}

/// A number option that must be above zero.
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
