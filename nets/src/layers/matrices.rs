//! Matrices that are 1-Lipschitz whatever the numbers they are made from, by autograd in the type
//! of their input (f64 for a guarantee that survives rounding). Derivations:
//! docs/derivations/lipschitz_layers.md.

use tch::{Kind, Tensor};

use crate::NetsError;

/// Björck iterations; singular values from 2⁻⁹ of the largest on end within 1e-3 of 1.
const BJORCK_ITERATIONS: usize = 20;

/// Added to WᵀW in the LDLᵀ form (its `a`).
pub(super) const LDLT_RIDGE: f64 = 1.0;

/// ‖W‖₂ of `w [m, n]` as a scalar with gradient: uᵀWv, (u, v) the exact top singular vectors, held
/// fixed. By eigenvalues of the smaller Gram matrix, to a relative 1e-15 or so in f64.
pub fn spectral_norm(w: &Tensor) -> Result<Tensor, NetsError> {
    let fixed = w.f_detach()?;
    let (rows, columns) = fixed.size2()?;
    let gram = if rows <= columns { fixed.f_matmul(&fixed.f_tr()?)? } else { fixed.f_tr()?.f_matmul(&fixed)? };
    let (_, vectors) = gram.f_linalg_eigh("L")?;
    let top = vectors.f_select(1, -1)?;
    let other = if rows <= columns { fixed.f_tr()?.f_matmul(&top)? } else { fixed.f_matmul(&top)? };
    let other = other.f_div(&other.f_norm()?.f_clamp_min(1e-300)?)?;
    let (u, v) = if rows <= columns { (top, other) } else { (other, top) };
    Ok(u.f_dot(&w.f_matmul(&v)?)?)
}

/// W / max(1, ‖W‖₂) (Miyato et al. 2018, but no larger than it was and with the exact norm).
pub fn spectral(w: &Tensor) -> Result<Tensor, NetsError> {
    Ok(w.f_div(&spectral_norm(w)?.f_clamp_min(1.0)?)?)
}

/// Orthonormal rows or columns by Björck & Bowie's (1971) iteration W ← 3/2 W − ½ W WᵀW, from W /
/// ‖W‖₂. It takes a singular value s ≤ 1 to one in [s, 1], so the result never exceeds 1, however
/// many iterations.
pub fn bjorck(w: &Tensor) -> Result<Tensor, NetsError> {
    let mut w = w.f_div(&spectral_norm(w)?.f_clamp_min(1e-300)?)?;
    let wide = w.size()[0] <= w.size()[1];
    for _ in 0..BJORCK_ITERATIONS {
        let transposed = w.f_tr()?;
        let cubed = if wide { w.f_matmul(&transposed)?.f_matmul(&w)? } else { w.f_matmul(&transposed.f_matmul(&w)?)? };
        w = w * 1.5 - cubed * 0.5;
    }
    Ok(w)
}

/// A matrix with orthonormal columns from any `x [r, c]`, r ≥ c (Trockman & Kolter 2021): with x =
/// [U; V] and Z = U − Uᵀ + VᵀV, it is [(I + Z)⁻¹(I − Z); −2V(I + Z)⁻¹].
pub fn cayley(x: &Tensor) -> Result<Tensor, NetsError> {
    let (rows, columns) = x.size2()?;
    let (u, v) = (x.f_narrow(0, 0, columns)?, x.f_narrow(0, columns, rows - columns)?);
    let z = u.f_sub(&u.f_tr()?)?.f_add(&v.f_tr()?.f_matmul(&v)?)?;
    let identity = Tensor::f_eye(columns, (x.kind(), x.device()))?;
    let inverse = Tensor::f_linalg_inv(&identity.f_add(&z)?)?;
    let top = inverse.f_matmul(&identity.f_sub(&z)?)?;
    Ok(Tensor::f_cat(&[top, v.f_matmul(&inverse)? * -2.0], 0)?)
}

/// Orthonormal rows or columns, whichever are fewer, by `cayley`.
pub fn semi_orthogonal(w: &Tensor) -> Result<Tensor, NetsError> {
    if w.size()[0] >= w.size()[1] { cayley(w) } else { Ok(cayley(&w.f_tr()?)?.f_tr()?) }
}

/// W diag(Σⱼ |WᵀW|ᵢⱼ)^−½, almost orthogonal (Prach & Lampert 2022); columns of zeros stay.
pub fn aol(w: &Tensor) -> Result<Tensor, NetsError> {
    let sums = w.f_tr()?.f_matmul(w)?.f_abs()?.f_sum_dim_intlist([1i64].as_slice(), true, None::<Kind>)?;
    Ok(w.f_mul(&sums.f_clamp_min(1e-300)?.f_rsqrt()?.f_tr()?)?)
}

/// The two parts of a sandwich layer (Wang & Manchester 2023) from `x [inputs + outputs, outputs]`:
/// Aᵀ `[outputs, outputs]` and B `[outputs, inputs]` with AAᵀ + BBᵀ = I.
pub fn sandwich(x: &Tensor) -> Result<(Tensor, Tensor), NetsError> {
    let (rows, outputs) = x.size2()?;
    let q = cayley(x)?;
    Ok((q.f_narrow(0, 0, outputs)?, q.f_narrow(0, outputs, rows - outputs)?.f_tr()?))
}

/// W̃ = W R⁻¹ with RᵀR = WᵀW + aI, so that W̃W̃ᵀ ≺ I.
pub fn contraction(w: &Tensor) -> Result<Tensor, NetsError> {
    let r = ridged(&w.f_tr()?.f_matmul(w)?)?.f_linalg_cholesky(true)?;
    Ok(r.f_linalg_solve_triangular(w, true, false, false)?)
}

/// C_{k+1}'s right factor Fₖᵀ = √(2a) L⁻¹ applied to the right of `m`, with LLᵀ = WWᵀ + aI for
/// layer k's `w`: FₖFₖᵀ = 2I − 2W̃W̃ᵀ = Dₖ.
pub fn times_factor(m: &Tensor, w: &Tensor) -> Result<Tensor, NetsError> {
    let l = ridged(&w.f_matmul(&w.f_tr()?)?)?.f_linalg_cholesky(false)?;
    Ok(l.f_linalg_solve_triangular(m, false, false, false)? * (2.0 * LDLT_RIDGE).sqrt())
}

/// S + aI.
pub(super) fn ridged(square: &Tensor) -> Result<Tensor, NetsError> {
    Ok(square.f_add(&(Tensor::f_eye(square.size()[0], (square.kind(), square.device()))? * LDLT_RIDGE))?)
}

#[cfg(test)]
mod tests {
    use liprl_numerics::testing::numbers;

    use super::*;
    use crate::lipschitz::spectral_norms;

    fn random(rows: i64, columns: i64, scale: f64) -> Tensor {
        let name = format!("{rows} by {columns}");
        let count = (rows * columns) as usize;
        Tensor::from_slice(&numbers(count, &name)).to_kind(Kind::Double).view([rows, columns]) * scale
    }

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    fn singular_values(w: &Tensor) -> Vec<f64> {
        Vec::try_from(w.svd(true, true).1).unwrap()
    }

    #[test]
    fn spectral_norms_are_exact_with_their_gradient() {
        for (rows, columns) in [(3, 7), (7, 3), (5, 5), (1, 4)] {
            let w = random(rows, columns, 1.0).set_requires_grad(true);
            let norm = spectral_norm(&w).unwrap();
            assert!((norm.double_value(&[]) - singular_values(&w.detach())[0]).abs() < 1e-12);
            let gradient = Tensor::run_backward(&[&norm], &[&w], false, false).swap_remove(0);
            let moved = w.detach() + &gradient * 1e-6;
            let back = w.detach() - &gradient * 1e-6;
            let difference = (singular_values(&moved)[0] - singular_values(&back)[0]) / 2e-6;
            assert!((difference - 1.0).abs() < 1e-6, "{difference}");
        }
    }

    #[test]
    fn no_singular_value_exceeds_one() {
        for (rows, columns) in [(3, 7), (7, 3), (16, 16), (1, 4), (64, 11)] {
            for scale in [1e-3, 0.1, 1.0, 30.0] {
                let w = random(rows, columns, scale);
                for (name, made) in [
                    ("spectral", spectral(&w)),
                    ("björck", bjorck(&w)),
                    ("cayley", semi_orthogonal(&w)),
                    ("aol", aol(&w)),
                    ("ldlt", contraction(&w)),
                ] {
                    let norm = spectral_norms(&made.unwrap()).unwrap()[0];
                    assert!(norm <= 1.0 + 1e-12, "{name} {rows}×{columns} {scale}: {norm}");
                }
                // Orthonormal ones have all of them at 1.
                for values in [singular_values(&semi_orthogonal(&w).unwrap()), singular_values(&bjorck(&w).unwrap())] {
                    assert!(values.iter().all(|value| (value - 1.0).abs() < 1e-3), "{rows}×{columns}: {values:?}");
                }
            }
        }
        // Smaller than 1 stays as it is; a column of zeros divides by nothing.
        let small = random(4, 4, 1e-3);
        assert_eq!(apart(&spectral(&small).unwrap(), &small), 0.0);
        let with_zeros = Tensor::cat(&[random(4, 2, 1.0), Tensor::zeros([4, 1], (Kind::Double, tch::Device::Cpu))], 1);
        assert!(aol(&with_zeros).unwrap().isfinite().all().int64_value(&[]) == 1);
    }

    #[test]
    fn sandwich_parts_are_a_row_of_an_orthogonal_matrix() {
        for (inputs, outputs) in [(3, 7), (7, 3), (5, 5)] {
            let (a_t, b) = sandwich(&random(inputs + outputs, outputs, 1.0)).unwrap();
            let sum = a_t.tr().matmul(&a_t) + b.matmul(&b.tr());
            assert_eq!(b.size(), [outputs, inputs]);
            assert!(apart(&sum, &Tensor::eye(outputs, (Kind::Double, tch::Device::Cpu))) < 1e-12);
        }
    }

    #[test]
    fn the_factor_is_that_of_d() {
        let (w, identity) = (random(5, 3, 1.0), Tensor::eye(5, (Kind::Double, tch::Device::Cpu)));
        let factor_t = times_factor(&identity, &w).unwrap();
        let contraction = contraction(&w).unwrap();
        let d = &identity * 2.0 - contraction.matmul(&contraction.tr()) * 2.0;
        assert!(apart(&factor_t.tr().matmul(&factor_t), &d) < 1e-12);
    }
}
