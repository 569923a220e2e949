//! Norms and factorisations of dense f64 matrices. Runs on the calling thread.

use faer::{Mat, MatRef, Side, linalg::solvers::Llt};
use liprl_numerics::linalg::spectral_norm;

use super::{bound::Norm, error::CertifyError};

/// Half the distance from 1 to the next f64.
pub(super) const UNIT_ROUNDOFF: f64 = f64::EPSILON / 2.0;

/// The largest sum of absolute values of a row; 0 of an empty matrix.
pub(super) fn largest_row_sum(a: MatRef<'_, f64>) -> f64 {
    (0..a.nrows()).map(|i| a.row(i).iter().map(|x| x.abs()).sum()).fold(0.0, f64::max)
}

/// An upper bound on the largest singular value without a decomposition, for when there is not the
/// time: the less of √(‖A‖₁ ‖A‖∞), the root of the largest column sum times the largest row sum, and
/// the Frobenius norm; with what rounding can hide.
pub(super) fn quick_spectral_bound(a: MatRef<'_, f64>) -> f64 {
    let sums = largest_row_sum(a).sqrt() * largest_row_sum(a.transpose()).sqrt();
    let squares: f64 = (0..a.ncols()).map(|j| a.col(j).iter().map(|x| x * x).sum::<f64>()).sum();
    // Squares may underflow; the sums of absolute values do not.
    let frobenius = if squares > f64::MIN_POSITIVE.sqrt() { squares.sqrt() } else { sums };
    sums.min(frobenius) * (1.0 + 4.0 * UNIT_ROUNDOFF * (a.nrows() * a.ncols() + 8) as f64)
}

/// The operator norm of a matrix, lengths being measured by `norm`.
pub(super) fn operator_norm(a: MatRef<'_, f64>, norm: Norm) -> Result<f64, CertifyError> {
    match norm {
        Norm::L2 => Ok(spectral_norm(a)?),
        Norm::Linf => Ok(largest_row_sum(a)),
    }
}

/// The Cholesky factor of a symmetric matrix (its lower triangle is read); `None` if it is not
/// positive definite.
pub(super) fn cholesky(a: MatRef<'_, f64>) -> Option<Llt<f64>> {
    let factor = a.llt(Side::Lower).ok()?;
    let diagonal = factor.L();
    (0..diagonal.nrows()).all(|i| diagonal[(i, i)].is_finite() && diagonal[(i, i)] > 0.0).then_some(factor)
}

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix (its lower triangle is read).
pub(super) fn symmetric_eigen(a: MatRef<'_, f64>) -> Result<(Vec<f64>, Mat<f64>), CertifyError> {
    let failed = || CertifyError::NotConverged { what: "an eigenvalue decomposition" };
    let eigen = a.self_adjoint_eigen(Side::Lower).map_err(|_| failed())?;
    let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
    if values.iter().all(|value| value.is_finite()) { Ok((values, eigen.U().to_owned())) } else { Err(failed()) }
}

/// diag(`by`) · a.
pub(super) fn scale_rows(a: MatRef<'_, f64>, by: &[f64]) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| by[i] * a[(i, j)])
}

/// The square R with RᵀR = AᵀA of a matrix with more rows than columns, by QR; any other matrix as
/// it is. ‖A x‖ = ‖R x‖ for all x, since AᵀA alone determines the lengths.
pub(super) fn triangular(a: MatRef<'_, f64>) -> Mat<f64> {
    if a.nrows() <= a.ncols() { a.to_owned() } else { a.qr().thin_R().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_sums_by_hand() {
        let a = Mat::from_fn(2, 2, |i, j| [[3.0, 0.0], [4.0, -5.0]][i][j]);
        assert_eq!(largest_row_sum(a.as_ref()), 9.0);
    }

    #[test]
    fn quick_bounds_lie_above_the_largest_singular_value() {
        // ‖[[3, 0], [4, −5]]‖₂ = √45; column sums 7 and 5, row sums 3 and 9, squares 50.
        let a = Mat::from_fn(2, 2, |i, j| [[3.0, 0.0], [4.0, -5.0]][i][j]);
        let found = quick_spectral_bound(a.as_ref());
        assert!(found >= 50f64.sqrt() && found < 50f64.sqrt() * (1.0 + 1e-14), "{found}");
        // The identity: sums of 1, squares n. A dense matrix of small numbers: 1e-200 n either way.
        assert!((quick_spectral_bound(Mat::<f64>::identity(9, 9).as_ref()) - 1.0).abs() < 1e-13);
        let tiny = Mat::from_fn(3, 3, |_, _| 1e-200);
        assert!((quick_spectral_bound(tiny.as_ref()) / 3e-200 - 1.0).abs() < 1e-13);
        for seed in 0..50u32 {
            let a = Mat::from_fn(4, 7, |i, j| f64::from((i as u32 * 7 + j as u32) * (2 * seed + 1)).sin());
            assert!(quick_spectral_bound(a.as_ref()) >= spectral_norm(a.as_ref()).unwrap());
        }
    }

    #[test]
    fn cholesky_tells_definite_from_indefinite() {
        let matrix = |corner: f64| Mat::from_fn(2, 2, |i, j| [[2.0, 1.0], [1.0, corner]][i][j]);
        assert!(cholesky(matrix(0.51).as_ref()).is_some());
        for corner in [0.49, -1.0, f64::NAN] {
            assert!(cholesky(matrix(corner).as_ref()).is_none(), "{corner}");
        }
    }

    #[test]
    fn a_triangular_factor_measures_lengths_as_the_matrix_does() {
        let a = Mat::from_fn(5, 3, |i, j| f64::from(i as u32 + 1).sin() * f64::from(j as u32 * 3 + 1).cos());
        let r = triangular(a.as_ref());
        assert_eq!((r.nrows(), r.ncols()), (3, 3));
        assert!((a.transpose() * &a - r.transpose() * &r).norm_max() < 1e-14);
    }
}
