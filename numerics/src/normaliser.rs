//! Running moments of observations, and standardisation by them.
//!
//! Moments are f64 and batches are merged by Chan, Golub & LeVeque (1983, "Algorithms for computing
//! the sample variance", eq. 2.1), so neither the number of rows nor their division into batches
//! costs accuracy.

use serde::{Deserialize, Serialize};

use crate::{error::NumericsError, state_io::StateIo};

/// Moments per coordinate, and x ↦ clip((x − mean) / std).
#[derive(Clone, Debug, PartialEq)]
pub struct RunningNormaliser {
    count: u64,
    mean: Vec<f64>,
    /// Sum of squared deviations from the mean.
    m2: Vec<f64>,
    options: NormaliserOptions,
    /// 1 / std, kept beside the moments for `apply`.
    scale: Vec<f64>,
}

/// Clip and floor of the standardisation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormaliserOptions {
    /// Bound of the standardised values, which are clipped to ± this; infinite for no clip.
    pub clip: f64,
    /// Least variance to divide by, so that a nearly constant coordinate is not amplified.
    pub variance_floor: f64,
}

impl Default for NormaliserOptions {
    fn default() -> Self {
        Self { clip: 5.0, variance_floor: 1e-8 }
    }
}

impl RunningNormaliser {
    /// A normaliser of rows of `dim` numbers without data. Until the first row it clips and does
    /// not standardise.
    pub fn new(dim: usize, options: NormaliserOptions) -> Self {
        Self { count: 0, mean: vec![0.0; dim], m2: vec![0.0; dim], options, scale: vec![1.0; dim] }
    }

    /// A normaliser with these moments, which count as one row's. Both have one number for each
    /// coordinate.
    pub fn of_moments(mean: Vec<f64>, variance: Vec<f64>, options: NormaliserOptions) -> Self {
        let mut normaliser = Self { count: 1, scale: vec![1.0; mean.len()], mean, m2: variance, options };
        normaliser.rescale();
        normaliser
    }

    /// Numbers in a row.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Rows seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Mean of each coordinate.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Factor 1 / std of each coordinate.
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// Clip and floor.
    pub fn options(&self) -> NormaliserOptions {
        self.options
    }

    /// Variance of each coordinate (division by the count, as NumPy's `var`); 0 before the first
    /// row.
    pub fn variance(&self) -> impl Iterator<Item = f64> {
        self.m2.iter().map(|m2| m2 / self.count.max(1) as f64)
    }

    /// Adds rows, `[k, dim]` flat; numbers beyond the last whole row are ignored.
    pub fn update(&mut self, rows: &[f32]) {
        let (dim, count) = (self.dim(), rows.len() / self.dim().max(1));
        if count == 0 {
            return;
        }
        let (mut mean, mut m2) = (vec![0.0; dim], vec![0.0; dim]);
        for row in rows.chunks_exact(dim) {
            mean.iter_mut().zip(row).for_each(|(mean, &x)| *mean += f64::from(x));
        }
        mean.iter_mut().for_each(|mean| *mean /= count as f64);
        for row in rows.chunks_exact(dim) {
            for ((m2, mean), &x) in m2.iter_mut().zip(&mean).zip(row) {
                *m2 += (f64::from(x) - mean).powi(2);
            }
        }
        self.merge(count as u64, &mean, &m2);
    }

    /// Chan et al.'s eq. 2.1: δ = mean_b − mean_a; mean += δ n_b / n; M₂ += M₂ᵇ + δ² n_a n_b / n.
    fn merge(&mut self, count: u64, mean: &[f64], m2: &[f64]) {
        let (own, other) = (self.count as f64, count as f64);
        let total = own + other;
        for i in 0..self.dim() {
            let delta = mean[i] - self.mean[i];
            self.mean[i] += delta * other / total;
            self.m2[i] += m2[i] + delta * delta * own * other / total;
        }
        self.count += count;
        self.rescale();
    }

    fn rescale(&mut self) {
        if self.count > 0 {
            for (scale, m2) in self.scale.iter_mut().zip(&self.m2) {
                *scale = (m2 / self.count as f64).max(self.options.variance_floor).sqrt().recip();
            }
        }
    }

    /// Standardises rows in place, `[k, dim]` flat.
    pub fn apply(&self, rows: &mut [f32]) {
        let clip = self.options.clip;
        for row in rows.chunks_exact_mut(self.dim().max(1)) {
            for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *x = ((f64::from(*x) - mean) * scale).clamp(-clip, clip) as f32;
            }
        }
    }

    /// Coordinate `i` standardised but not clipped, and the slope 1 / std of the standardisation.
    pub fn affine(&self, i: usize, x: f32) -> (f32, f32) {
        let i = i % self.dim();
        (((f64::from(x) - self.mean[i]) * self.scale[i]) as f32, self.scale[i] as f32)
    }

    /// Mean of coordinate `i` and the slope 1 / std of standardising it, in f64.
    pub fn moments(&self, i: usize) -> (f64, f64) {
        (self.mean[i], self.scale[i])
    }

    /// A normaliser of `dim` coordinates with the moments of this one, which has one coordinate for
    /// all.
    pub fn broadcast(&self, dim: usize) -> Self {
        let repeat = |numbers: &[f64]| numbers.iter().copied().cycle().take(dim).collect();
        Self { mean: repeat(&self.mean), m2: repeat(&self.m2), scale: repeat(&self.scale), ..*self }
    }

    /// The moments.
    pub fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), NumericsError> {
        io.value("count", &mut self.count)?;
        io.f64("mean", &mut self.mean)?;
        io.f64("m2", &mut self.m2)?;
        if io.loading() {
            self.rescale();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    const ROWS: [f32; 10] = [1.0, -7.5, 4.0, 1e3, -2.5, 3.0, 0.0, 2.0, 9.0, 1.0];

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12 * b.abs().max(1.0)
    }

    /// Mean and variance of a column by their definitions.
    fn moments(column: usize) -> (f64, f64) {
        let xs: Vec<f64> = ROWS.iter().skip(column).step_by(2).map(|&x| f64::from(x)).collect();
        let mean = xs.iter().sum::<f64>() / 5.0;
        (mean, xs.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 5.0)
    }

    #[test]
    fn every_way_to_batch_gives_the_moments_of_the_definition() {
        for split in [vec![10], vec![2; 5], vec![4, 6], vec![6, 2, 2]] {
            let (mut normaliser, mut rest) = (RunningNormaliser::new(2, NormaliserOptions::default()), &ROWS[..]);
            for len in split {
                normaliser.update(&rest[..len]);
                rest = &rest[len..];
            }
            assert_eq!(normaliser.count(), 5);
            for (column, variance) in normaliser.variance().enumerate() {
                assert!(close(normaliser.mean()[column], moments(column).0));
                assert!(close(variance, moments(column).1));
            }
        }
    }

    #[test]
    fn a_large_offset_costs_no_accuracy() {
        let mut normaliser = RunningNormaliser::new(1, NormaliserOptions::default());
        // 2²³ + {0, 1, 2, 3} is exact in f32; the variance of 0..4 is 1.25. Naive Σx² − (Σx)² in
        // f32 gives nonsense.
        (0..1000).for_each(|_| normaliser.update(&[8_388_608.0, 8_388_609.0, 8_388_610.0, 8_388_611.0]));
        assert!((normaliser.variance().next().unwrap() - 1.25).abs() < 1e-6);
        let mut row = [8_388_611.0];
        normaliser.apply(&mut row);
        assert!((row[0] - (1.5 / 1.25_f64.sqrt()) as f32).abs() < 1e-6);
    }

    #[test]
    fn rows_are_standardised_clipped_and_floored() {
        let mut normaliser = RunningNormaliser::new(2, NormaliserOptions { clip: 1.5, variance_floor: 0.25 });
        // First coordinate: mean 2, std 2. Second: constant 7, so the floor's std of 0.5.
        normaliser.update(&[0.0, 7.0, 4.0, 7.0]);
        let mut rows = [3.0, 7.0, 0.0, 7.25, 100.0, -100.0];
        normaliser.apply(&mut rows);
        assert_eq!(rows, [0.5, 0.0, -1.0, 0.5, 1.5, -1.5]);
    }

    #[test]
    fn given_moments_standardise_by_their_definition() {
        let options = NormaliserOptions { clip: 4.0, variance_floor: 0.0 };
        let normaliser = RunningNormaliser::of_moments(vec![1.0, -2.0], vec![4.0, 0.25], options);
        let mut rows = [3.0, -1.5, -100.0, -1.75];
        normaliser.apply(&mut rows);
        assert_eq!(rows, [1.0, 1.0, -4.0, 0.5]);
    }

    #[test]
    fn a_restored_normaliser_is_the_saved_one() {
        let mut saved = RunningNormaliser::new(2, NormaliserOptions::default());
        saved.update(&ROWS);
        let state = State::of(|io| saved.state(io)).unwrap();
        let load = |dim: usize| {
            let mut loaded = RunningNormaliser::new(dim, NormaliserOptions::default());
            loaded.state(&mut StateIo::load_from(&state)).map(|()| loaded)
        };
        assert_eq!(load(2).unwrap(), saved);
        assert!(load(3).is_err());
    }
}
