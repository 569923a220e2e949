//! Log-variances ℓ that two softplus hold between learned bounds (Chua et al. 2018, appendix A.1):
//!
//!   ℓ₁ = max − softplus(max − ℓ),  ℓ₂ = min + softplus(ℓ₁ − min).
//!
//! Only e^{ℓ₂} and derivatives are wanted, and these need no logarithm. With q = σ(ℓ − max) and
//! u = e^{max − min} q = e^{ℓ₁ − min}:
//!
//!   e^{ℓ₂} = e^{min} (1 + u),  ∂ℓ₁/∂ℓ = 1 − q,  ∂ℓ₂/∂ℓ₁ = u / (1 + u).

use liprl_numerics::kernels;

/// The largest distance of the bounds, beyond which e^{max − min} leaves f32.
pub(super) const WIDEST: f64 = 80.0;

/// Bounds of D log-variances, as the loops need them; empty for a model without variances.
#[derive(Clone, Debug, Default)]
pub struct LogVarianceBounds {
    /// max, `[D]`.
    max: Vec<f32>,
    /// min, `[D]`.
    min: Vec<f32>,
    /// e^{min/2}, `[D]`.
    least_deviation: Vec<f32>,
    /// e^{−min}, `[D]`.
    most_precision: Vec<f32>,
    /// e^{max − min}, `[D]`.
    range: Vec<f32>,
}

/// One log-variance's part of the likelihood.
pub(super) struct Bounded {
    /// u; ℓ₂ = min + log(1 + u).
    pub(super) odds: f32,
    /// e^{−ℓ₂}.
    pub(super) precision: f32,
    /// ∂ℓ₁/∂ℓ.
    pub(super) to_raw: f32,
    /// ∂ℓ₂/∂ℓ₁.
    pub(super) to_below: f32,
}

impl LogVarianceBounds {
    /// Takes over `bounds [2 D]`, the upper ones first.
    pub(super) fn set(&mut self, bounds: &[f32]) {
        fn refill(numbers: &mut Vec<f32>, with: impl Iterator<Item = f32>) {
            numbers.clear();
            numbers.extend(with);
        }
        let (max, min) = bounds.split_at(bounds.len() / 2);
        refill(&mut self.max, max.iter().copied());
        refill(&mut self.min, min.iter().copied());
        refill(&mut self.least_deviation, min.iter().map(|min| kernels::exp(0.5 * min)));
        refill(&mut self.most_precision, min.iter().map(|min| kernels::exp(-min)));
        refill(&mut self.range, max.iter().zip(min).map(|(max, min)| kernels::exp(max - min)));
    }

    /// D.
    pub(super) fn len(&self) -> usize {
        self.max.len()
    }

    /// min, `[D]`.
    pub(super) fn min(&self) -> &[f32] {
        &self.min
    }

    /// Writes q to the last D numbers of each of R rows of `q`, from ℓ in the second half of each row of
    /// `outputs [R, 2 D]`. Numbers before them are overwritten too: rows are shorter than a vector, so
    /// the loop goes through all at once.
    pub(super) fn shares(&self, outputs: &[f32], q: &mut [f32]) {
        let dims = self.len();
        let width = q.len() / (outputs.len() / (2 * dims));
        for (output, row) in outputs.chunks_exact(2 * dims).zip(q.chunks_exact_mut(width)) {
            let (rest, q) = row.split_at_mut(width - dims);
            rest.fill(0.0);
            q.iter_mut().zip(&output[dims..]).zip(&self.max).for_each(|((q, log_var), max)| *q = log_var - max);
        }
        kernels::sigmoid_all(q);
    }

    /// The likelihood's parts of coordinate `j`, from its q.
    pub(super) fn bounded(&self, j: usize, q: f32) -> Bounded {
        let odds = self.range[j] * q;
        let below = 1.0 / (1.0 + odds);
        Bounded { odds, precision: self.most_precision[j] * below, to_raw: 1.0 - q, to_below: odds * below }
    }

    /// Writes e^{ℓ₂/2}, `[R, D]`, from ℓ in the second half of each row of `outputs [R, 2 D]`.
    pub(super) fn deviations(&self, outputs: &[f32], deviations: &mut [f32]) {
        self.shares(outputs, deviations);
        for row in deviations.chunks_exact_mut(self.len()) {
            for ((q, least), range) in row.iter_mut().zip(&self.least_deviation).zip(&self.range) {
                *q = least * (1.0 + range * *q).sqrt();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ℓ₂ as it is defined, in f64.
    fn bounded(log_var: f64, max: f64, min: f64) -> f64 {
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let below = max - softplus(max - log_var);
        min + softplus(below - min)
    }

    #[test]
    fn deviations_and_derivatives_are_those_of_the_definition() {
        let (max, min) = (0.5f32, -10.0f32);
        let mut bounds = LogVarianceBounds::default();
        bounds.set(&[max, max, min, min]);
        for log_var in [-200.0f32, -30.0, -10.0, -3.0, 0.0, 0.5, 4.0, 30.0, 200.0] {
            let of = |x: f64| bounded(x, max.into(), min.into());
            let (x, row) = (f64::from(log_var), [0.0, 0.0, log_var, log_var]);
            let (mut deviations, mut q) = ([0.0; 2], [0.0; 4]);
            bounds.deviations(&row, &mut deviations);
            bounds.shares(&row, &mut q);
            let found = bounds.bounded(1, q[3]);
            let close = |found: f64, expected: f64| (found - expected).abs() < 2e-6 * expected.abs().max(1e-3);
            assert!(close(deviations[1].into(), (0.5 * of(x)).exp()), "{log_var}: {deviations:?}");
            assert!(close(found.precision.into(), (-of(x)).exp()), "{log_var}");
            assert!(close(f64::from(min) + f64::from(found.odds).ln_1p(), of(x)), "{log_var}");
            let slope = (of(x + 1e-5) - of(x - 1e-5)) / 2e-5;
            let by_hand = f64::from(found.to_raw * found.to_below);
            assert!((by_hand - slope).abs() < 1e-6, "{log_var}: {by_hand} {slope}");
        }
        let mut deviations = [0.0; 2];
        bounds.deviations(&[0.0, 0.0, f32::NAN, 0.0], &mut deviations);
        assert!(deviations[0].is_nan() && deviations[1] > 0.0);
    }
}
