//! Estimators over seeds: mean, standard deviation, interquartile mean, percentile bootstrap.
//!
//! Definitions follow Agarwal et al., "Deep RL at the edge of the statistical precipice" (2021), whose Python
//! package `rliable` researchers compare with: the interquartile mean is the mean without the lowest and highest
//! ⌊n/4⌋ values, intervals are percentiles of the estimate over resampled seeds.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Arithmetic mean; NaN for no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard deviation with Bessel's correction; 0 for a single value, which says nothing about spread.
pub fn std(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// Interquartile mean: the mean after dropping ⌊n/4⌋ values at each end. Sorts `values`.
pub fn interquartile_mean(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let cut = values.len() / 4;
    mean(&values[cut..values.len() - cut])
}

/// Quantile by linear interpolation between order statistics (NumPy's default) of sorted values.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = position.ceil() as usize;
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

/// Percentile-bootstrap interval of `estimate` at the given coverage: seeds are drawn with replacement
/// `resamples` times by a generator that starts from `seed`, so a figure is the same each time it is made.
pub fn bootstrap_interval(
    values: &[f64],
    coverage: f64,
    resamples: usize,
    seed: u64,
    estimate: impl Fn(&mut [f64]) -> f64,
) -> (f64, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = vec![0.0; values.len()];
    let mut estimates: Vec<f64> = (0..resamples)
        .map(|_| {
            for slot in &mut draw {
                *slot = values[rng.random_range(0..values.len())];
            }
            estimate(&mut draw)
        })
        .collect();
    estimates.sort_by(f64::total_cmp);
    let tail = (1.0 - coverage) / 2.0;
    (quantile(&estimates, tail), quantile(&estimates, 1.0 - tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interquartile_mean_equals_hand_calculations() {
        // n = 5: one value is dropped at each end, (2 + 3 + 10) / 3.
        assert_eq!(interquartile_mean(&mut [100.0, 2.0, 3.0, 10.0, -7.0]), 5.0);
        // n = 3: ⌊3/4⌋ = 0, nothing is dropped.
        assert_eq!(interquartile_mean(&mut [3.0, 1.0, 8.0]), 4.0);
        // n = 8: two at each end.
        assert_eq!(interquartile_mean(&mut [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 800.0]), 4.5);
    }

    #[test]
    fn std_is_the_unbiased_one() {
        assert_eq!(std(&[2.0, 4.0]), 2.0_f64.sqrt());
        assert_eq!(std(&[5.0]), 0.0);
    }

    #[test]
    fn quantile_interpolates_as_numpy_does() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile(&sorted, 0.5), 3.0);
        assert!((quantile(&sorted, 0.9) - 6.8).abs() < 1e-12); // numpy.quantile([1, 2, 4, 8], 0.9)
        assert_eq!(quantile(&sorted, 1.0), 8.0);
    }

    #[test]
    fn bootstrap_of_the_mean_matches_the_normal_interval() {
        // 400 values of known spread: the percentile interval of the mean approaches ± 1.96 σ/√n.
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let (low, high) = bootstrap_interval(&values, 0.95, 4000, 0, |draw| mean(draw));
        let half = 1.96 * std(&values) / 20.0;
        assert!((high - low - 2.0 * half).abs() < 0.06 * 2.0 * half, "{low} {high} {half}");
        assert!((0.5 * (low + high) - mean(&values)).abs() < 0.1 * half);
    }
}
