//! Estimators of plain values: mean, standard deviation, median, interquartile mean, quantiles.
//!
//! Definitions follow Agarwal et al., "Deep RL at the edge of the statistical precipice" (2021),
//! and its Python package `rliable`; for quantiles, NumPy's default.
//! [`Estimator`](crate::scores::Estimator) has them over runs and tasks.

/// Arithmetic mean; NaN for no values.
pub fn mean(values: &[f64]) -> f64 {
    let (sum, count) = (values.iter().sum::<f64>(), values.len() as f64);
    // The sum of large numbers may overflow where their mean does not.
    if sum.is_finite() { sum / count } else { values.iter().map(|value| value / count).sum() }
}

/// Standard deviation with Bessel's correction; 0 for fewer than two values.
pub fn std(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let spread = |scale: f64| {
        let centre = mean(values) / scale;
        let squares: f64 = values.iter().map(|value| (value / scale - centre).powi(2)).sum();
        scale * (squares / (values.len() - 1) as f64).sqrt()
    };
    let plain = spread(1.0);
    // Squares of large numbers overflow.
    if plain.is_finite() { plain } else { spread(values.iter().fold(0.0, |most, value| value.abs().max(most))) }
}

/// Middle value, or the mean of the middle two; NaN for no values. Sorts `values`.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    quantile(values, 0.5)
}

/// Interquartile mean: the mean after dropping ⌊n/4⌋ values at each end; NaN for no values. Sorts
/// `values`.
pub fn interquartile_mean(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let cut = values.len() / 4;
    mean(&values[cut..values.len() - cut])
}

/// Quantile of sorted values, by linear interpolation between order statistics; NaN for no values.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = q.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let above = position.ceil() as usize;
    between(sorted[below], sorted[above], position - below as f64)
}

/// Number at the share `t` of the way from `a` to `b`.
pub(crate) fn between(a: f64, b: f64, t: f64) -> f64 {
    let wide = b - a;
    if wide.is_finite() { a + wide * t } else { a * (1.0 - t) + b * t }
}

/// Least and greatest value; (∞, −∞) for no values.
pub fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    values.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
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
        assert_eq!(median(&mut [8.0, 1.0, 3.0]), 3.0);
    }

    #[test]
    fn large_numbers_do_not_overflow() {
        assert_eq!(mean(&[1e308, 1e308]), 1e308);
        assert_eq!(median(&mut [-1e308, 1e308]), 0.0);
        assert_eq!(quantile(&[-1e308, 1e308], 0.75), 5e307);
        assert_eq!(std(&[1e308, -1e308]), 1e308 * 2.0_f64.sqrt());
        assert_eq!(std(&[1e200, 1e200]), 0.0);
    }

    #[test]
    fn no_values_give_nan() {
        assert!(mean(&[]).is_nan() && median(&mut []).is_nan() && interquartile_mean(&mut []).is_nan());
    }
}
