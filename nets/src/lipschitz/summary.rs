//! Summaries of many norms: mean, quantiles and maximum, since a Lipschitz constant is about the
//! tail.

use serde::{Deserialize, Serialize};

/// Mean, quantiles and maximum of some numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Mean.
    pub mean: f64,
    /// 5 % quantile, interpolated linearly between neighbours as NumPy's default does.
    pub q05: f64,
    /// Median.
    pub q50: f64,
    /// 95 % quantile.
    pub q95: f64,
    /// Largest.
    pub max: f64,
}

impl Summary {
    /// The summary of these numbers; `None` if there are none. A NaN counts as larger than any
    /// number, so that it shows in `max` (and in `mean`).
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.iter().map(|x| if x.is_nan() { f64::NAN } else { *x }).collect();
        sorted.sort_by(f64::total_cmp);
        let max = *sorted.last()?;
        let quantile = |q: f64| {
            let place = q * (sorted.len() - 1) as f64;
            let (below, part) = (place as usize, place.fract());
            // Without this, an infinite neighbour would turn an exact hit into NaN.
            if part == 0.0 { sorted[below] } else { sorted[below] * (1.0 - part) + sorted[below + 1] * part }
        };
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        Some(Self { mean, q05: quantile(0.05), q50: quantile(0.5), q95: quantile(0.95), max })
    }
}

/// The share of `numbers` above `limit`; 0 of none. A NaN counts as above: it cannot be said to be
/// within.
pub fn share_above(numbers: &[f64], limit: f64) -> f64 {
    let within = numbers.iter().filter(|&&x| x <= limit).count();
    (numbers.len() - within) as f64 / numbers.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_hand_and_as_numpy_gives_them() {
        // numpy.quantile([3, 1, 2, 10], [.05, .5, .95]) = [1.15, 2.5, 8.95].
        let summary = Summary::of(&[3.0, 1.0, 2.0, 10.0]).unwrap();
        assert_eq!((summary.mean, summary.q50, summary.max), (4.0, 2.5, 10.0));
        assert!((summary.q05 - 1.15).abs() < 1e-12 && (summary.q95 - 8.95).abs() < 1e-12, "{summary:?}");
        // 21 numbers: the quantiles are the second, the eleventh and the last but one.
        let many: Vec<f64> = (0..21).rev().map(f64::from).collect();
        assert_eq!(Summary::of(&many).unwrap(), Summary { mean: 10.0, q05: 1.0, q50: 10.0, q95: 19.0, max: 20.0 });
        assert_eq!(Summary::of(&[7.0]).unwrap(), Summary { mean: 7.0, q05: 7.0, q50: 7.0, q95: 7.0, max: 7.0 });
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn what_is_not_a_number_is_seen() {
        let summary = Summary::of(&[1.0, -f64::NAN, 2.0]).unwrap();
        assert!(summary.max.is_nan() && summary.mean.is_nan());
        assert_eq!(summary.q50, 2.0);
        assert_eq!(share_above(&[1.0, f64::NAN, 2.0, 0.5], 1.0), 0.5);
        assert_eq!(share_above(&[], 1.0), 0.0);
        assert_eq!(Summary::of(&[1.0, 2.0, f64::INFINITY]).unwrap().q50, 2.0);
    }
}
