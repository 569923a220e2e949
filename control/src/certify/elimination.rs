//! LipSDP's matrix inequality (Fazlyab et al. 2019, arXiv 1906.04893), one layer eliminated after
//! another. Multipliers t > 0 with positive definite Schur complements give the proven bound √ρ(t),
//! ρ convex in t, and its gradient (derivation: `docs/derivations/certificates.md`).
//!
//! With A, B, C the diagonal matrices of αβ, of β + α and of t, neuron by neuron, for layers k = K
//! … 1:
//!
//! - S_K = 2T_K − W_{K+1}ᵀ W_{K+1}; S_k = 2T_k + 2 W_{k+1}ᵀ A T W_{k+1} − W_{k+1}ᵀ C T S_{k+1}⁻¹ T
//!   C W_{k+1}, T, A and C being layer k+1's;
//! - ρ = λ_max(W_1ᵀ C T S_1⁻¹ T C W_1 − 2 W_1ᵀ A T W_1);
//! - with x_0 the eigenvector, v = W_k x_{k−1}, x_k = S_k⁻¹ C T v: ∂ρ/∂t = −2 (x − αv)(x − βv),
//!   coordinate by coordinate.
//!
//! λ_max has kinks where eigenvalues meet. So ν⁻¹ log Σ exp(ν λ_i) is minimised, which exceeds it
//! by at most log(n)/ν.

use faer::{
    Mat, MatRef,
    linalg::solvers::{Llt, Solve},
};

use super::{
    algebra::{UNIT_ROUNDOFF, cholesky, scale_rows, symmetric_eigen},
    error::CertifyError,
};

/// One hidden layer: its weight and the sector of each of its neurons' slopes.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// `[n_k, n_{k−1}]`, of norm about 1.
    pub(super) weight: Mat<f64>,
    /// Least and largest slope of each neuron, `n_k`; α < β or β ≠ 0.
    pub(super) sector: Vec<(f64, f64)>,
}

/// The quantity to bound: max ‖W_{K+1} D_K W_K … D_1 W_1‖² over all diagonal D_k within the
/// sectors.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) layers: Vec<Layer>,
    /// W_{K+1}ᵀ W_{K+1}, `[n_K, n_K]`.
    pub(super) last_gram: Mat<f64>,
}

/// A matrix inequality that proves √ρ for some multipliers t > 0.
pub(super) trait Inequality {
    /// ρ, its smoothing with `nu` and the gradient, at t = exp(`log_t`); `None` if a Schur
    /// complement is not positive definite.
    fn value(&self, log_t: &[f64], nu: f64) -> Result<Option<Evaluation>, CertifyError>;

    /// True if √ρ is proven to be an upper bound, by one Cholesky factorisation of the whole matrix
    /// inequality at t = exp(`log_t`).
    fn proves(&self, log_t: &[f64], rho: f64) -> bool;
}

/// λ_max = ρ of a symmetric matrix, its smoothing ν⁻¹ log Σ exp(ν λ_i), and the eigenvectors that
/// have a part in it, scaled so that x xᵀ is the smoothing's gradient.
pub(super) fn softened(matrix: MatRef<'_, f64>, nu: f64) -> Result<(f64, f64, Mat<f64>), CertifyError> {
    let (values, vectors) = symmetric_eigen(matrix)?;
    let rho = values.last().copied().unwrap_or_default();
    let weights: Vec<f64> = values.iter().map(|value| (nu * (value - rho)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let kept: Vec<usize> = (0..values.len()).filter(|&i| weights[i] > 1e-12 * total).collect();
    let x = Mat::from_fn(vectors.nrows(), kept.len(), |i, j| vectors[(i, kept[j])] * (weights[kept[j]] / total).sqrt());
    Ok((rho, rho + total.ln() / nu, x))
}

/// Bound and gradient of one t.
pub(super) struct Evaluation {
    /// λ_max: √ρ bounds the constant.
    pub(super) rho: f64,
    /// The smoothed ρ.
    pub(super) smooth: f64,
    /// Derivative of the smoothed ρ by log t, layer after layer.
    pub(super) gradient: Vec<f64>,
}

impl Problem {
    /// Numbers in t.
    pub(super) fn len(&self) -> usize {
        self.layers.iter().map(|layer| layer.sector.len()).sum()
    }

    /// t split into layers.
    fn cut<'a>(&self, t: &'a [f64]) -> Vec<&'a [f64]> {
        let mut rest = t;
        let cut = |layer: &Layer| {
            let (own, after) = rest.split_at(layer.sector.len());
            rest = after;
            own
        };
        self.layers.iter().map(cut).collect()
    }

    /// The Cholesky factors of S_1 … S_K, and the matrix whose largest eigenvalue is ρ.
    fn eliminate(&self, t: &[&[f64]]) -> Option<(Vec<Llt<f64>>, Mat<f64>)> {
        let mut rest = Mat::from_fn(self.last_gram.nrows(), self.last_gram.ncols(), |i, j| -self.last_gram[(i, j)]);
        let mut factors = Vec::with_capacity(t.len());
        for (layer, t) in self.layers.iter().zip(t).rev() {
            for (i, t) in t.iter().enumerate() {
                rest[(i, i)] += 2.0 * t;
            }
            let factor = cholesky(rest.as_ref())?;
            let pulled: Vec<f64> = layer.sector.iter().zip(*t).map(|((a, b), t)| (a + b) * t).collect();
            let mut half = scale_rows(layer.weight.as_ref(), &pulled);
            factor.L().solve_lower_triangular_in_place(&mut half);
            rest = half.transpose() * &half;
            rest = -&rest;
            if let Some(linear) = layer.linear_part(t) {
                rest += layer.weight.transpose() * linear;
            }
            factors.push(factor);
        }
        factors.reverse();
        Some((factors, -&rest))
    }
}

impl Inequality for Problem {
    fn value(&self, log_t: &[f64], nu: f64) -> Result<Option<Evaluation>, CertifyError> {
        let t: Vec<f64> = log_t.iter().map(|x| x.exp()).collect();
        let t = self.cut(&t);
        let Some((factors, quotient)) = self.eliminate(&t) else { return Ok(None) };
        if !quotient.is_all_finite() {
            return Ok(None);
        }
        let (rho, smooth, mut x) = softened(quotient.as_ref(), nu)?;
        let mut gradient = Vec::with_capacity(self.len());
        for ((layer, t), factor) in self.layers.iter().zip(&t).zip(&factors) {
            let v = &layer.weight * &x;
            let pulled: Vec<f64> = layer.sector.iter().zip(*t).map(|((a, b), t)| (a + b) * t).collect();
            x = factor.solve(scale_rows(v.as_ref(), &pulled));
            gradient.extend(layer.sector.iter().zip(*t).enumerate().map(|(i, ((alpha, beta), t))| {
                let pairs = x.row(i).iter().zip(v.row(i).iter());
                -2.0 * t * pairs.map(|(x, v)| (x - alpha * v) * (x - beta * v)).sum::<f64>()
            }));
        }
        Ok(Some(Evaluation { rho, smooth, gradient }))
    }

    /// Its diagonal is scaled to 1 and then reduced by more than rounding can have added; it must
    /// still be positive definite. Rounding adds n u times the absolute values summed in setting it
    /// up, and (n + 1) u times the trace in factoring it (Higham 2002, theorem 10.3).
    fn proves(&self, log_t: &[f64], rho: f64) -> bool {
        let t: Vec<f64> = log_t.iter().map(|x| x.exp()).collect();
        let t = self.cut(&t);
        let first = self.layers.first().map_or(self.last_gram.nrows(), |layer| layer.weight.ncols());
        let order = first + self.len();
        let mut matrix = Mat::<f64>::zeros(order, order);
        // The absolute values summed in each diagonal element.
        let mut sizes = vec![rho; first];
        (0..first).for_each(|i| matrix[(i, i)] = rho);
        let mut start = 0;
        for (layer, t) in self.layers.iter().zip(&t) {
            let (inputs, own) = (layer.weight.ncols(), start + layer.weight.ncols());
            if let Some(linear) = layer.linear_part(t) {
                let block = layer.weight.transpose() * linear;
                for j in 0..inputs {
                    (0..inputs).for_each(|i| matrix[(start + i, start + j)] += block[(i, j)]);
                    let column = layer.weight.col(j).iter().zip(&layer.sector).zip(*t);
                    sizes[start + j] += column.map(|((w, (a, b)), t)| 2.0 * (a * b).abs() * t * w * w).sum::<f64>();
                }
            }
            for (i, ((alpha, beta), t)) in layer.sector.iter().zip(*t).enumerate() {
                for j in 0..inputs {
                    matrix[(own + i, start + j)] = -(alpha + beta) * t * layer.weight[(i, j)];
                }
                matrix[(own + i, own + i)] = 2.0 * t;
                sizes.push(2.0 * t);
            }
            start = own;
        }
        for j in 0..self.last_gram.ncols() {
            (0..self.last_gram.nrows()).for_each(|i| matrix[(start + i, start + j)] -= self.last_gram[(i, j)]);
            sizes[start + j] += self.last_gram[(j, j)];
        }
        let diagonal: Vec<f64> = (0..order).map(|i| matrix[(i, i)]).collect();
        if !diagonal.iter().all(|d| d.is_finite() && *d > 0.0) {
            return false;
        }
        let relative: f64 = sizes.iter().zip(&diagonal).map(|(size, d)| size / d).sum();
        let spare = 2.0 * UNIT_ROUNDOFF * (order + 8) as f64 * (order as f64 + relative);
        let roots: Vec<f64> = diagonal.iter().map(|d| d.sqrt()).collect();
        for j in 0..order {
            (0..order).for_each(|i| matrix[(i, j)] /= roots[i] * roots[j]);
            matrix[(j, j)] -= spare;
        }
        cholesky(matrix.as_ref()).is_some()
    }
}

impl Layer {
    /// 2 A T W; `None` if αβ = 0 for every neuron.
    fn linear_part(&self, t: &[f64]) -> Option<Mat<f64>> {
        let factors: Vec<f64> = self.sector.iter().zip(t).map(|((a, b), t)| 2.0 * a * b * t).collect();
        factors.iter().any(|&factor| factor != 0.0).then(|| scale_rows(self.weight.as_ref(), &factors))
    }
}
