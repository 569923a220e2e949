//! A box of network inputs.

use super::error::CertifyError;

/// All inputs between `low` and `high`, coordinate by coordinate, in the network's raw inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    low: Vec<f64>,
    high: Vec<f64>,
}

impl Region {
    /// The box between these corners.
    ///
    /// # Errors
    /// [`CertifyError::BadRegion`] for corners of different lengths, not finite, or in the wrong
    /// order.
    pub fn new(low: Vec<f64>, high: Vec<f64>) -> Result<Self, CertifyError> {
        let bad = |problem: String| Err(CertifyError::BadRegion { problem });
        if low.len() != high.len() || low.is_empty() {
            return bad(format!("corners have {} and {} coordinates", low.len(), high.len()));
        }
        for (i, (low, high)) in low.iter().zip(&high).enumerate() {
            if !(low.is_finite() && high.is_finite() && low <= high) {
                return bad(format!("coordinate {i} goes from {low} to {high}; it needs finite ends in that order"));
            }
        }
        Ok(Self { low, high })
    }

    /// The box around `centre` that reaches `radius` in each coordinate.
    ///
    /// # Errors
    /// As `new`.
    pub fn around(centre: &[f64], radius: &[f64]) -> Result<Self, CertifyError> {
        let ends = |sign: f64| centre.iter().zip(radius).map(|(c, r)| c + sign * r).collect();
        Self::new(ends(-1.0), ends(1.0))
    }

    /// The smallest box with all these points, `[R, n]` row-major, in it.
    ///
    /// # Errors
    /// As `new`; also if there are no points.
    pub fn hull(points: &[f64], n: usize) -> Result<Self, CertifyError> {
        if n == 0 || points.len() < n {
            return Err(CertifyError::BadRegion { problem: "has no points to enclose".into() });
        }
        let extreme = |pick: fn(f64, f64) -> f64| {
            let mut ends = points[..n].to_vec();
            for point in points.chunks_exact(n) {
                ends.iter_mut().zip(point).for_each(|(end, &x)| *end = pick(*end, x));
            }
            ends
        };
        Self::new(extreme(f64::min), extreme(f64::max))
    }

    /// Number of coordinates.
    pub fn dim(&self) -> usize {
        self.low.len()
    }

    /// The lower corner.
    pub fn low(&self) -> &[f64] {
        &self.low
    }

    /// The upper corner.
    pub fn high(&self) -> &[f64] {
        &self.high
    }

    /// Both ends of each coordinate.
    pub(super) fn ends(&self) -> impl Iterator<Item = (f64, f64)> {
        self.low.iter().copied().zip(self.high.iter().copied())
    }

    /// The middle.
    pub fn centre(&self) -> Vec<f64> {
        self.low.iter().zip(&self.high).map(|(low, high)| 0.5 * (low + high)).collect()
    }

    /// True if `point` is in the box.
    pub fn contains(&self, point: &[f64]) -> bool {
        point.len() == self.dim()
            && point.iter().zip(&self.low).zip(&self.high).all(|((x, low), high)| low <= x && x <= high)
    }

    /// Moves `point` to the nearest point of the box.
    pub fn clamp(&self, point: &mut [f64]) {
        for ((x, &low), &high) in point.iter_mut().zip(&self.low).zip(&self.high) {
            *x = x.clamp(low, high);
        }
    }

    /// The two halves along coordinate `i`.
    pub(super) fn halves(&self, i: usize) -> [Self; 2] {
        let middle = 0.5 * (self.low[i] + self.high[i]);
        let mut halves = [self.clone(), self.clone()];
        halves[0].high[i] = middle;
        halves[1].low[i] = middle;
        halves
    }

    /// The box with every coordinate clamped to its range.
    pub(super) fn clamped(&self, ranges: &[(f64, f64)]) -> Self {
        let ends = |ends: &[f64]| ends.iter().zip(ranges).map(|(x, range)| x.clamp(range.0, range.1)).collect();
        Self { low: ends(&self.low), high: ends(&self.high) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_by_hand() {
        let hull = Region::hull(&[1.0, 5.0, -2.0, 7.0, 0.0, 6.0], 2).unwrap();
        assert_eq!((hull.low(), hull.high()), (&[-2.0, 5.0][..], &[1.0, 7.0][..]));
        assert_eq!(hull.centre(), [-0.5, 6.0]);
        assert!(hull.contains(&[0.0, 5.0]) && !hull.contains(&[0.0, 4.9]) && !hull.contains(&[0.0]));
        let [first, second] = hull.halves(1);
        assert_eq!((first.high()[1], second.low()[1], first.low()[1], second.high()[1]), (6.0, 6.0, 5.0, 7.0));
        let clamped = hull.clamped(&[(-1.0, f64::INFINITY), (8.0, 9.0)]);
        assert_eq!((clamped.low(), clamped.high()), (&[-1.0, 8.0][..], &[1.0, 8.0][..]));
        assert_eq!(Region::around(&[1.0], &[0.5]).unwrap(), Region::new(vec![0.5], vec![1.5]).unwrap());
    }

    #[test]
    fn what_is_no_box_is_refused() {
        for (low, high) in [(vec![1.0], vec![0.0]), (vec![f64::NAN], vec![0.0]), (vec![0.0], vec![1.0, 2.0])] {
            assert!(Region::new(low, high).is_err());
        }
        assert!(Region::hull(&[], 2).is_err() && Region::new(vec![], vec![]).is_err());
        assert!(Region::around(&[0.0], &[-1.0]).is_err());
    }
}
