//! Weight matrices and their singular values: orthonormal factors, caps and clips, by products
//! alone where they are due at every step (arXiv 2507.13338). Buffers are allocated once.

use liprl_numerics::Mlp;
use tch::{Device, Kind, Tensor};

use crate::{NetsError, product};

/// Odd quintics a x + b x³ + c x⁵, times 1024, whose composition takes singular values from 0.01
/// of the Frobenius norm on into [0.9956, 0.9993], and smaller ones no higher.
const QUINTICS: [[f64; 3]; 6] = [
    [3955.0, -8306.0, 5008.0],
    [3735.0, -6681.0, 3463.0],
    [3799.0, -6499.0, 3211.0],
    [4019.0, -6385.0, 2906.0],
    [2677.0, -3029.0, 1162.0],
    [2172.0, -1833.0, 682.0],
];

/// α x² up to which x − α x³ rises, so that the cap is largest at the end of its range.
const RISING: f64 = 1.0 / 3.0;

/// A weight matrix in a flat buffer, with room for products. With r the smaller side:
#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) start: usize,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    /// `[r, other side]`.
    x: Tensor,
    y: Tensor,
    /// `[r, r]`.
    square: Tensor,
    fourth: Tensor,
}

impl Matrix {
    /// The weight matrices of these networks, whose parameters lie one after the other.
    pub(super) fn all(mlps: &[Mlp], device: Device) -> Result<Vec<Self>, NetsError> {
        let (mut offset, mut all) = (0, Vec::new());
        for mlp in mlps {
            for layer in &mlp.layers {
                let (outputs, inputs) = (layer.outputs as i64, layer.inputs as i64);
                let (short, long) = (outputs.min(inputs), outputs.max(inputs));
                let zeros = |columns| Tensor::f_zeros([short, columns], (Kind::Float, device));
                all.push(Self {
                    start: offset + layer.start,
                    outputs: layer.outputs,
                    inputs: layer.inputs,
                    x: zeros(long)?,
                    y: zeros(long)?,
                    square: zeros(short)?,
                    fourth: zeros(short)?,
                });
            }
            offset += mlp.len();
        }
        Ok(all)
    }

    /// It with room of its own.
    pub(super) fn copy(&self) -> Result<Self, NetsError> {
        let &Self { start, outputs, inputs, .. } = self;
        let copy = |tensor: &Tensor| tensor.f_zeros_like();
        let (x, y, square, fourth) = (copy(&self.x)?, copy(&self.y)?, copy(&self.square)?, copy(&self.fourth)?);
        Ok(Self { start, outputs, inputs, x, y, square, fourth })
    }

    /// Numbers in it.
    pub(super) fn len(&self) -> usize {
        self.outputs * self.inputs
    }

    /// √(outputs / inputs), the spectral norm of a matrix of norm 1 from root mean squares to root
    /// mean squares.
    pub(super) fn scale(&self) -> f64 {
        (self.outputs as f64 / self.inputs as f64).sqrt()
    }

    /// It in a flat buffer, `[outputs, inputs]`.
    pub(super) fn of(&self, flat: &Tensor) -> Result<Tensor, NetsError> {
        let flat = flat.f_narrow(0, self.start as i64, self.len() as i64)?;
        Ok(flat.f_view([self.outputs as i64, self.inputs as i64])?)
    }

    /// `w [outputs, inputs]` or its transpose, whichever has fewer rows.
    fn wide(&self, w: &Tensor) -> Result<Tensor, NetsError> {
        if self.outputs <= self.inputs { Ok(w.shallow_clone()) } else { Ok(w.f_tr()?) }
    }

    /// UVᵀ of `m` = UΣVᵀ `[outputs, inputs]`, nearly; no singular value exceeds 1.
    pub(super) fn msign(&mut self, m: &Tensor) -> Result<Tensor, NetsError> {
        let Self { x, y, square, fourth, .. } = self;
        let norm = m.f_norm()?.f_clamp_min(1e-30)?;
        let m = if self.outputs <= self.inputs { m.shallow_clone() } else { m.f_tr()? };
        x.f_copy_(&m)?;
        let _ = x.f_div_(&norm)?;
        for [a, b, c] in QUINTICS.map(|quintic| quintic.map(|number| number / 1024.0)) {
            product(square, x, &x.f_tr()?, false)?;
            product(fourth, square, square, false)?;
            let _ = fourth.f_mul_scalar_(c)?;
            let _ = fourth.f_add_(&square.f_mul_scalar_(b)?)?;
            product(y, fourth, x, false)?;
            let _ = x.f_mul_scalar_(a)?.f_add_(y)?;
        }
        self.wide(&self.x)
    }

    /// Brings the singular values of `w [outputs, inputs]`, all at most `most`, to at most `limit`,
    /// in place: x − α x³, then x + α x³. α solves p(most) = limit; where that is too much for one
    /// round, p would be larger inside, there are several.
    pub(super) fn soft_cap(&mut self, w: &Tensor, most: f64, limit: f64) -> Result<(), NetsError> {
        let (mut w, mut most) = (self.wide(w)?, most);
        while most > limit {
            let share = cap_share(limit / most).min(RISING);
            for sign in [-1.0, 1.0] {
                product(&self.square, &w, &w.f_tr()?, false)?;
                product(&self.y, &self.square, &w, false)?;
                let _ = self.y.f_mul_scalar_(sign * share / (most * most))?;
                let _ = w.f_add_(&self.y)?;
            }
            most *= capped(share);
        }
        Ok(())
    }

    /// Brings singular values of `w [outputs, inputs]` above `limit` down to it, in place and
    /// exactly, in f64: V ← Q diag(min(1, limit / √λ)) Qᵀ V, with VVᵀ = Q diag(λ) Qᵀ.
    pub(super) fn clip(&self, w: &Tensor, limit: f64) -> Result<(), NetsError> {
        let mut narrow = self.wide(w)?;
        let wide = narrow.f_to_kind(Kind::Double)?;
        let (values, vectors) = wide.f_matmul(&wide.f_tr()?)?.f_linalg_eigh("L")?;
        let norms = values.f_clamp_min(1e-300)?.f_sqrt()?;
        if norms.f_select(0, -1)?.f_double_value(&[])? <= limit {
            return Ok(());
        }
        let kept = (norms.f_reciprocal()? * limit).f_clamp_max(1.0)?;
        let clipped = vectors.f_mul(&kept)?.f_matmul(&vectors.f_tr()?)?.f_matmul(&wide)?;
        narrow.f_copy_(&clipped)?;
        Ok(())
    }
}

/// 1 − 3a² + 3a³ − a⁴: p(k) / k of the soft cap, for a = α k².
fn capped(a: f64) -> f64 {
    1.0 + a * a * (-3.0 + a * (3.0 - a))
}

/// The a = α k² with p(k) = `ratio` k, the least that is not negative: `capped` falls from 1 at 0 to
/// 0 at 1, as its slope −a (6 − 9a + 4a²) has no other zero.
fn cap_share(ratio: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if capped(middle) > ratio { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{Activation, Init, testing::numbers};

    use super::*;

    fn singular_values(w: &Tensor) -> Vec<f64> {
        Vec::try_from(w.to_kind(Kind::Double).svd(true, true).1).unwrap()
    }

    /// A matrix of these sizes with these singular values, as many as the smaller side.
    fn with_values(outputs: usize, inputs: usize, values: &[f64]) -> (Matrix, Tensor) {
        let mlp = Mlp::new(inputs, &[], outputs, Activation::Relu, false, Init::Uniform);
        let random = Tensor::from_slice(&numbers(outputs * inputs, "matrix")).view([outputs as i64, inputs as i64]);
        let (u, _, v) = random.to_kind(Kind::Double).svd(true, true);
        let w = (u * Tensor::from_slice(values)).matmul(&v.tr()).to_kind(Kind::Float);
        (Matrix::all(&[mlp], Device::Cpu).unwrap().remove(0), w)
    }

    #[test]
    fn the_cap_s_coefficients_are_the_paper_s() {
        // (w_max, decay, step) and α: arXiv 2507.13338's equation, solved elsewhere.
        for (limit, decay, step, expected) in
            [(1.0, 0.0, 0.1, 0.158864), (1.0, 0.0, 0.01, 0.058025), (2.0, 0.0, 0.1, 0.030610), (1.0, 0.1, 0.1, 0.0)]
        {
            let most: f64 = limit * (1.0 - decay) + step;
            let alpha = cap_share(limit / most) / (most * most);
            assert!((alpha - expected).abs() < 1e-6, "{limit} {decay} {step}: {alpha}");
        }
    }

    #[test]
    fn a_cap_is_its_polynomial_and_no_singular_value_exceeds_the_limit() {
        for (outputs, inputs) in [(5, 9), (9, 5), (6, 6)] {
            for most in [1.05, 1.2, 1.5, 3.0] {
                let count = outputs.min(inputs);
                let values: Vec<f64> = (0..count).map(|i| most * (1.0 - i as f64 / count as f64)).collect();
                let (mut matrix, w) = with_values(outputs, inputs, &values);
                matrix.soft_cap(&w, most, 1.0).unwrap();
                let found = singular_values(&w);
                assert!(found[0] <= 1.0 + 1e-6, "{outputs}×{inputs} {most}: {found:?}");
                if most < 1.3 {
                    let alpha = cap_share(1.0 / most) / (most * most);
                    let mut expected: Vec<f64> =
                        values.iter().map(|x| x - alpha * x.powi(3)).map(|x| x + alpha * x.powi(3)).collect();
                    expected.sort_by(|a, b| b.total_cmp(a));
                    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
                }
            }
        }
    }

    #[test]
    fn msign_s_singular_values_are_near_one_and_never_above() {
        for (outputs, inputs) in [(7, 12), (12, 7), (7, 7)] {
            let values = [1.0, 0.7, 0.3, 0.1, 0.03, 0.02, 1e-4];
            let (mut matrix, w) = with_values(outputs, inputs, &values);
            let sign = matrix.msign(&w).unwrap();
            assert_eq!(sign.size(), [outputs as i64, inputs as i64]);
            let found = singular_values(&sign);
            assert!(found[..6].iter().all(|x| (0.9956..0.9994).contains(x)), "{found:?}");
            assert!(found[6] < 0.12 && found[6] > 0.05, "{found:?}");
            // It is UVᵀ: with W it makes the symmetric factor, whose trace is the sum of values.
            let trace = (sign * w).sum(Kind::Double).double_value(&[]);
            assert!((trace - values.iter().sum::<f64>()).abs() < 0.02, "{trace}");
        }
        let (mut matrix, _) = with_values(3, 4, &[1.0; 3]);
        let zero = Tensor::zeros([3, 4], (Kind::Float, Device::Cpu));
        assert_eq!(matrix.msign(&zero).unwrap(), zero);
    }

    #[test]
    fn a_clip_changes_no_value_below_the_limit() {
        for (outputs, inputs) in [(5, 9), (9, 5)] {
            let (matrix, w) = with_values(outputs, inputs, &[3.0, 1.5, 0.9, 0.5, 0.1]);
            let before = w.copy();
            matrix.clip(&w, 4.0).unwrap();
            assert_eq!(w, before);
            matrix.clip(&w, 1.2).unwrap();
            let found = singular_values(&w);
            let expected = [1.2, 1.2, 0.9, 0.5, 0.1];
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        }
    }
}
