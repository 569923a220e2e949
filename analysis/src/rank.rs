//! Rank correlation of two lists: Spearman's ρ and Kendall's τ-b.
//!
//! Both are 1 if one list rises whenever the other does, and −1 if it falls. Ties share ranks in ρ
//! and are corrected for in τ-b, as in SciPy's `spearmanr` and `kendalltau`.

use crate::stats;

/// Ranks from 1, the mean of their places for equal values.
pub(crate) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = |value: &f64| {
        let below = sorted.partition_point(|other| other < value);
        let until = sorted.partition_point(|other| other <= value);
        (below + until + 1) as f64 / 2.0
    };
    values.iter().map(rank).collect()
}

/// Spearman's ρ of pairs; `None` for fewer than three, or if all values of one side are equal.
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (x, y) = (ranks(&x), ranks(&y));
    let (x_mean, y_mean) = (stats::mean(&x), stats::mean(&y));
    let sum = |a: &[f64], a_mean: f64, b: &[f64], b_mean: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - a_mean) * (b - b_mean)).sum()
    };
    let spread = sum(&x, x_mean, &x, x_mean) * sum(&y, y_mean, &y, y_mean);
    (pairs.len() > 2 && spread > 0.0).then(|| (sum(&x, x_mean, &y, y_mean) / spread.sqrt()).clamp(-1.0, 1.0))
}

/// Kendall's τ-b of pairs; `None` for fewer than three, or if all values of one side are equal.
pub fn kendall(pairs: &[(f64, f64)]) -> Option<f64> {
    let sign = |a: f64, b: f64| f64::from(i8::from(a > b) - i8::from(a < b));
    let (mut agree, mut x_differ, mut y_differ) = (0.0, 0.0, 0.0);
    for (at, a) in pairs.iter().enumerate() {
        for b in &pairs[..at] {
            let (x, y) = (sign(a.0, b.0), sign(a.1, b.1));
            agree += x * y;
            x_differ += x.abs();
            y_differ += y.abs();
        }
    }
    (pairs.len() > 2 && x_differ * y_differ > 0.0).then(|| agree / f64::sqrt(x_differ * y_differ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SciPy 1.17.1: `scipy.stats.spearmanr(x, y)` and `kendalltau(x, y)` of the same lists.
    #[test]
    fn correlations_equal_those_of_scipy() {
        let x = [0.3, 1.2, -0.5, 2.2, 2.2, 0.9, 3.1, -1.0, 0.0, 1.2];
        let y = [10.0, 12.0, 7.0, 30.0, 25.0, 12.0, 28.0, 9.0, 3.0, 11.0];
        let pairs: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
        assert!((spearman(&pairs).unwrap() - 0.902_144_891_222_215_1).abs() < 1e-12);
        assert!((kendall(&pairs).unwrap() - 0.735_680_783_794_762_4).abs() < 1e-12);
    }

    #[test]
    fn order_alone_counts_and_constants_have_none() {
        let curve: Vec<(f64, f64)> = (1..9).map(|x| (f64::from(x), f64::from(x).exp())).collect();
        assert_eq!((spearman(&curve), kendall(&curve)), (Some(1.0), Some(1.0)));
        let down: Vec<(f64, f64)> = curve.iter().map(|(x, y)| (*x, -y)).collect();
        assert_eq!((spearman(&down), kendall(&down)), (Some(-1.0), Some(-1.0)));
        let flat = [(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)];
        assert_eq!((spearman(&flat), kendall(&flat), spearman(&curve[..2])), (None, None, None));
    }
}
