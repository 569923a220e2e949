//! Vectors between two corners.

use super::algebra::UNIT_ROUNDOFF;

/// All vectors between two corners.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Interval {
    pub(super) low: Vec<f64>,
    pub(super) high: Vec<f64>,
}

impl Interval {
    /// Largest absolute value of each coordinate.
    pub(super) fn sizes(&self) -> Vec<f64> {
        self.low.iter().zip(&self.high).map(|(low, high)| low.abs().max(high.abs())).collect()
    }

    /// True if the box is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.low.iter().zip(&self.high).any(|(low, high)| low > high)
    }

    /// The vectors in both boxes.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        self.ends().zip(other.ends()).map(|(a, b)| (a.0.max(b.0), a.1.min(b.1))).collect()
    }

    /// Both ends of each coordinate.
    pub(super) fn ends(&self) -> impl Iterator<Item = (f64, f64)> {
        self.low.iter().copied().zip(self.high.iter().copied())
    }
}

impl FromIterator<(f64, f64)> for Interval {
    fn from_iter<I: IntoIterator<Item = (f64, f64)>>(ends: I) -> Self {
        let (low, high) = ends.into_iter().unzip();
        Self { low, high }
    }
}

/// The range of d · a for d from `least` to `most`.
pub(super) fn times((least, most): (f64, f64), a: f64) -> (f64, f64) {
    ((least * a).min(most * a), (least * a).max(most * a))
}

/// The range of d · a for both between ends.
pub(super) fn product(slopes: (f64, f64), (low, high): (f64, f64)) -> (f64, f64) {
    let (p, q) = (times(slopes, low), times(slopes, high));
    (p.0.min(q.0), p.1.max(q.1))
}

/// Bound on the rounding error of a sum of `n` products and a few more terms, relative to the sum
/// of their absolute values; twice the true bound.
pub(super) fn rounding(n: usize) -> f64 {
    2.0 * UNIT_ROUNDOFF * (n + 8) as f64
}
