//! Histograms: numbers sorted into buckets.

use super::proto::Histogram;

/// Number of buckets, as in TensorBoard itself.
const BUCKETS: usize = 30;

/// Histogram of `numbers` in [`BUCKETS`] buckets of equal width from the least to the greatest.
/// Numbers that are not finite do not count.
pub(super) fn of(numbers: &[f32]) -> Histogram {
    let finite = || numbers.iter().filter(|x| x.is_finite()).map(|&x| f64::from(x));
    let num = finite().count();
    if num == 0 {
        return Histogram::default();
    }
    let (min, max) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let (sum, sum_squares) = finite().fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
    let summed = Histogram { min, max, num: num as f64, sum, sum_squares, ..Histogram::default() };
    if min == max {
        return Histogram { bucket_limit: vec![max], bucket: vec![num as f64], ..summed };
    }
    let width = (max - min) / BUCKETS as f64;
    let mut bucket = vec![0.0; BUCKETS];
    for x in finite() {
        bucket[(((x - min) / width) as usize).min(BUCKETS - 1)] += 1.0;
    }
    let mut bucket_limit: Vec<f64> = (1..=BUCKETS).map(|i| min + width * i as f64).collect();
    bucket_limit[BUCKETS - 1] = max;
    Histogram { bucket_limit, bucket, ..summed }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn counts_by_hand() {
        // Width 1 from 0 to 30: 0 and 0.5 in the first, 29.5 and 30 in the last, 1 in the second.
        let h = of(&[0.0, 0.5, 1.0, 29.5, 30.0, f32::NAN, f32::INFINITY]);
        assert_eq!((h.min, h.max, h.num, h.sum, h.sum_squares), (0.0, 30.0, 5.0, 61.0, 1771.5));
        assert_eq!((h.bucket[0], h.bucket[1], h.bucket[29]), (2.0, 1.0, 2.0));
        assert_eq!(h.bucket.iter().sum::<f64>(), 5.0);
        assert_eq!((h.bucket_limit[0], h.bucket_limit[29]), (1.0, 30.0));
    }

    #[test]
    fn one_value_and_none() {
        let h = of(&[2.0, 2.0]);
        assert_eq!((h.bucket_limit, h.bucket), (vec![2.0], vec![2.0]));
        assert_eq!(of(&[f32::NAN]).num, 0.0);
    }
}
