//! LipSDP's matrix inequality with all hidden units eliminated at once: for networks whose layers see
//! more than the layer before, and for max_min (derivation: `docs/derivations/certificates.md`).
//!
//! Units that are carried along are multiplied out, and so are those whose slope is certain. What is
//! left are N units w = φ(z), z = C v and y = H v, linear in v = (x, w), C strictly lower triangular
//! in w. With T, A, B the diagonal matrices of t, αβ, α + β:
//!
//! - S = 2T − B T C_w − (B T C_w)ᵀ + 2 C_wᵀ A T C_w − H_wᵀ H_w;
//! - Y = B T C_x − 2 C_wᵀ A T C_x + H_wᵀ H_x, X = H_xᵀ H_x − 2 C_xᵀ A T C_x;
//! - if S ≻ 0, ρ = λ_max(X + Yᵀ S⁻¹ Y), and √ρ bounds the constant;
//! - with x the eigenvector, w = S⁻¹ Y x, z = C v: ∂ρ/∂t = −2 (w − αz)(w − βz), unit by unit.

use faer::{Mat, linalg::solvers::Solve};

use liprl_numerics::linalg::spectral_norm;

use super::{
    algebra::{UNIT_ROUNDOFF, cholesky, scale_rows, symmetric_eigen, triangular},
    elimination::{Evaluation, Inequality, softened},
    error::CertifyError,
    reduce::{feasible_multiplier, widened},
};

/// The multiplied-out network.
#[derive(Clone, Debug)]
pub(super) struct Joint {
    /// Number of inputs.
    inputs: usize,
    /// C, `[N, inputs + N]`.
    before: Mat<f64>,
    /// H, `[outputs, inputs + N]`.
    outputs: Mat<f64>,
    /// Least and largest slope of each unit, `N`.
    sector: Vec<(f64, f64)>,
    /// The layer of each unit, `N`.
    layer: Vec<usize>,
    /// Sums of the absolute values that went into C and H; their errors are at most `error` times
    /// these.
    sizes: [Mat<f64>; 2],
    error: f64,
}

impl Joint {
    /// Of hidden layers whose first `carried` units have no activation and whose others have slopes
    /// within `slopes`; `last` is the weight behind them.
    pub(super) fn new(
        hidden: &[Mat<f64>],
        carried: &[usize],
        slopes: &[Vec<(f64, f64)>],
        widest: (f64, f64),
        last: &Mat<f64>,
    ) -> Self {
        // Without directions of the input that no layer sees.
        let first = hidden.first().map(|first| triangular(first.transpose()).transpose().to_owned());
        let inputs = first.as_ref().unwrap_or(last).ncols();
        let is_unit = |k: usize, i: usize| i >= carried[k] && slopes[k][i].0 < slopes[k][i].1;
        let units = (0..hidden.len()).map(|k| (0..slopes[k].len()).filter(|&i| is_unit(k, i)).count()).sum::<usize>();
        let start = Mat::from_fn(inputs, inputs + units, |i, j| f64::from(u8::from(i == j)));
        let (mut values, mut sizes, mut terms) = (start.clone(), start, 8);
        let (mut sector, mut layer) = (Vec::new(), Vec::new());
        let mut before = [Mat::zeros(units, inputs + units), Mat::zeros(units, inputs + units)];
        for (k, weight) in first.iter().chain(hidden.iter().skip(1)).enumerate() {
            (values, sizes) = (weight * &values, absolute(weight) * &sizes);
            terms += weight.ncols() + 2;
            for (i, &slopes) in slopes[k].iter().enumerate() {
                let kept = if i < carried[k] { 1.0 } else { slopes.0 };
                let own = is_unit(k, i).then_some(sector.len());
                for j in 0..inputs + units {
                    if let Some(unit) = own {
                        (before[0][(unit, j)], before[1][(unit, j)]) = (values[(i, j)], sizes[(i, j)]);
                        values[(i, j)] = f64::from(u8::from(j == inputs + unit));
                        sizes[(i, j)] = values[(i, j)];
                    } else {
                        values[(i, j)] *= kept;
                        sizes[(i, j)] *= kept.abs();
                    }
                }
                if own.is_some() {
                    sector.push(widened(slopes, widest));
                    layer.push(k);
                }
            }
        }
        let [before, before_sizes] = before;
        let sizes = [before_sizes, absolute(last) * sizes];
        let error = 2.0 * UNIT_ROUNDOFF * (terms + last.ncols()) as f64;
        Self { inputs, before, outputs: last * values, sector, layer, sizes, error }
    }

    /// True if no hidden unit is left, or none has an effect.
    pub(super) fn is_linear(&self) -> bool {
        self.sector.is_empty() || self.outputs.norm_max() == 0.0
    }

    /// The constant if that is so.
    pub(super) fn norm(&self) -> Result<f64, CertifyError> {
        Ok(spectral_norm(self.outputs.as_ref())? + self.error * self.sizes[1].norm_l2())
    }

    /// Divides the outputs by a power of 2.
    pub(super) fn divide(&mut self, power: f64) {
        self.outputs = &self.outputs / power;
        self.sizes[1] = &self.sizes[1] / power;
    }

    /// Logarithms of one multiplier for all units of each layer.
    pub(super) fn by_layer(&self, t: &[f64]) -> Vec<f64> {
        self.layer.iter().map(|&k| t[k].ln()).collect()
    }

    /// Numbers in t.
    pub(super) fn len(&self) -> usize {
        self.sector.len()
    }

    /// Multipliers that are always feasible, as logarithms: layer by layer from the last, as
    /// `lipsdp`'s for a chain, with the norm of the form that the layers behind leave. `None` if
    /// that form exceeds the range of f64.
    pub(super) fn greedy(&self) -> Result<Option<Vec<f64>>, CertifyError> {
        let mut form = self.outputs.transpose() * &self.outputs;
        let floor = 1e-12 * (0..form.nrows()).map(|i| form[(i, i)]).fold(f64::MIN_POSITIVE, f64::max);
        let mut log_t = vec![0.0; self.sector.len()];
        let mut end = self.sector.len();
        while end > 0 {
            let first = self.layer.partition_point(|&k| k < self.layer[end - 1]);
            let (from, count) = (self.inputs + first, end - first);
            let block = form.submatrix(from, from, count, count).to_owned();
            if !form.is_all_finite() {
                return Ok(None);
            }
            let gain = symmetric_eigen(block.as_ref())?.0.last().copied().unwrap_or_default().max(floor);
            let mut s = -&block;
            for i in 0..count {
                let (t, _) = feasible_multiplier(self.sector[first + i], gain);
                log_t[first + i] = t.ln();
                s[(i, i)] += 2.0 * t;
            }
            let Some(factor) = cholesky(s.as_ref()) else { return Ok(None) };
            let c = self.before.submatrix(first, 0, count, from);
            let part = |f: &dyn Fn((f64, f64)) -> f64| -> Vec<f64> {
                (first..end).map(|i| f(self.sector[i]) * log_t[i].exp()).collect()
            };
            let mut half = scale_rows(c, &part(&|(a, b)| a + b)) + form.submatrix(from, 0, count, from);
            factor.L().solve_lower_triangular_in_place(&mut half);
            let linear = c.transpose() * scale_rows(c, &part(&|(a, b)| 2.0 * a * b));
            form = form.submatrix(0, 0, from, from) - linear + half.transpose() * &half;
            end = first;
        }
        Ok(Some(log_t))
    }

    /// The form of the inequality without ρ: [[−X, −Yᵀ], [−Y, S]].
    fn matrix(&self, t: &[f64]) -> Mat<f64> {
        let mut matrix = self.outputs.transpose() * &self.outputs;
        matrix = -&matrix;
        let factors: Vec<f64> = self.sector.iter().zip(t).map(|((a, b), t)| 2.0 * a * b * t).collect();
        if factors.iter().any(|&factor| factor != 0.0) {
            matrix += self.before.transpose() * scale_rows(self.before.as_ref(), &factors);
        }
        for (i, ((alpha, beta), t)) in self.sector.iter().zip(t).enumerate() {
            let own = self.inputs + i;
            for j in 0..own {
                let pulled = (alpha + beta) * t * self.before[(i, j)];
                matrix[(own, j)] -= pulled;
                matrix[(j, own)] -= pulled;
            }
            matrix[(own, own)] += 2.0 * t;
        }
        matrix
    }
}

impl Inequality for Joint {
    fn value(&self, log_t: &[f64], nu: f64) -> Result<Option<Evaluation>, CertifyError> {
        let t: Vec<f64> = log_t.iter().map(|x| x.exp()).collect();
        let matrix = self.matrix(&t);
        let (n, units) = (self.inputs, self.sector.len());
        let Some(factor) = cholesky(matrix.submatrix(n, n, units, units)) else { return Ok(None) };
        let mut half = matrix.submatrix(n, 0, units, n).to_owned();
        let y = -&half;
        factor.L().solve_lower_triangular_in_place(&mut half);
        let quotient = half.transpose() * &half - matrix.submatrix(0, 0, n, n);
        if !quotient.is_all_finite() {
            return Ok(None);
        }
        let (rho, smooth, x) = softened(quotient.as_ref(), nu)?;
        let w = factor.solve(&y * &x);
        let z = self.before.submatrix(0, 0, units, n) * &x + self.before.submatrix(0, n, units, units) * &w;
        let each = self.sector.iter().zip(&t).enumerate().map(|(i, ((alpha, beta), t))| {
            let pairs = w.row(i).iter().zip(z.row(i).iter());
            -2.0 * t * pairs.map(|(w, z)| (w - alpha * z) * (w - beta * z)).sum::<f64>()
        });
        Ok(Some(Evaluation { rho, smooth, gradient: each.collect() }))
    }

    /// As for a chain of layers; the matrix is further reduced by what rounding in C and H can have
    /// changed: each of its terms by `error` times the sizes that went into it, once for a product
    /// with C and twice for a square.
    fn proves(&self, log_t: &[f64], rho: f64) -> bool {
        let t: Vec<f64> = log_t.iter().map(|x| x.exp()).collect();
        let mut matrix = self.matrix(&t);
        let (n, order) = (self.inputs, matrix.nrows());
        (0..n).for_each(|i| matrix[(i, i)] += rho);
        let diagonal: Vec<f64> = (0..order).map(|i| matrix[(i, i)]).collect();
        if !diagonal.iter().all(|d| d.is_finite() && *d > 0.0) {
            return false;
        }
        let [before, outputs] = &self.sizes;
        let square = |x: &f64| x * x;
        let size = |j: usize| {
            let linear = before.col(j).iter().zip(&self.sector).zip(&t);
            let linear: f64 = linear.map(|((c, (a, b)), t)| 2.0 * (a * b).abs() * t * c * c).sum();
            let own = if j < n { rho } else { 2.0 * t[j - n] };
            own + linear + outputs.col(j).iter().map(square).sum::<f64>()
        };
        let relative: f64 = (0..order).map(|j| size(j) / diagonal[j]).sum();
        let pulled = |i: usize, j: usize| {
            let (alpha, beta) = self.sector[i];
            ((alpha + beta) * t[i] * before[(i, j)]).powi(2) / (diagonal[n + i] * diagonal[j])
        };
        let pulled: f64 = (0..t.len()).flat_map(|i| (0..n + i).map(move |j| (i, j))).map(|(i, j)| pulled(i, j)).sum();
        let spare = 2.0 * UNIT_ROUNDOFF * (order + 8) as f64 * (order as f64 + relative)
            + 2.0 * self.error * (relative + (2.0 * pulled).sqrt());
        let roots: Vec<f64> = diagonal.iter().map(|d| d.sqrt()).collect();
        for j in 0..order {
            (0..order).for_each(|i| matrix[(i, j)] /= roots[i] * roots[j]);
            matrix[(j, j)] -= spare;
        }
        cholesky(matrix.as_ref()).is_some()
    }
}

fn absolute(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)].abs())
}

#[cfg(test)]
mod tests;
