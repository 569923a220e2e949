//! Box spaces: per-coordinate bounds, as Gymnasium's `Box`.

/// A product of intervals. Unbounded sides are infinite.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxSpace {
    /// Lower bound of each coordinate.
    pub low: Vec<f64>,
    /// Upper bound of each coordinate.
    pub high: Vec<f64>,
}

impl BoxSpace {
    /// A box with the same interval in each of `dim` coordinates.
    pub fn uniform(dim: usize, low: f64, high: f64) -> Self {
        Self { low: vec![low; dim], high: vec![high; dim] }
    }

    /// The box from -`high` to `high`.
    pub(crate) fn symmetric(high: &[f64]) -> Self {
        Self { low: high.iter().map(|x| -x).collect(), high: high.to_vec() }
    }

    /// This box with its bounds rounded to f32, as Gymnasium keeps them.
    pub(crate) fn rounded(mut self) -> Self {
        self.low.iter_mut().chain(&mut self.high).for_each(|x| *x = f64::from(*x as f32));
        self
    }

    /// Number of coordinates.
    pub fn dim(&self) -> usize {
        self.low.len()
    }
}
