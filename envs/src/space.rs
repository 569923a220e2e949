//! Box spaces: per-coordinate bounds, as Gymnasium's `Box`.

use rand::{Rng, RngExt};

/// A product of intervals. Unbounded sides are infinite.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxSpace {
    /// Lower bound of each coordinate.
    pub low: Vec<f64>,
    /// Upper bound of each coordinate.
    pub high: Vec<f64>,
}

impl BoxSpace {
    /// The same interval in each of `dim` coordinates.
    pub fn uniform(dim: usize, low: f64, high: f64) -> Self {
        Self { low: vec![low; dim], high: vec![high; dim] }
    }

    /// Number of coordinates.
    pub fn dim(&self) -> usize {
        self.low.len()
    }

    /// Whether the point has this space's length and lies inside its bounds.
    pub fn contains(&self, point: &[f64]) -> bool {
        point.len() == self.dim()
            && point.iter().zip(&self.low).zip(&self.high).all(|((x, low), high)| low <= x && x <= high)
    }

    /// Draws uniformly from a bounded space into `out`; unbounded coordinates draw from Gymnasium's
    /// substitutes (standard normal, or a shifted exponential where one side is bounded).
    pub fn sample(&self, rng: &mut impl Rng, out: &mut [f64]) {
        for ((out, &low), &high) in out.iter_mut().zip(&self.low).zip(&self.high) {
            *out = match (low.is_finite(), high.is_finite()) {
                (true, true) => rng.random_range(low..=high),
                (true, false) => low + rng.sample::<f64, _>(rand_distr::Exp1),
                (false, true) => high - rng.sample::<f64, _>(rand_distr::Exp1),
                (false, false) => rng.sample(rand_distr::StandardNormal),
            };
        }
    }
}
