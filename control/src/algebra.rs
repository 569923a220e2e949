//! Dense f64 algebra of small matrices, on faer. It runs on the calling thread.

use faer::{Mat, MatRef, Side, linalg::solvers::Solve};
use liprl_envs::systems::{Matrix, Model};

use crate::error::ControlError;

/// A system's matrix for faer.
pub fn dense(matrix: &Matrix) -> Mat<f64> {
    Mat::from_fn(matrix.rows, matrix.columns, |i, j| matrix.at(i, j))
}

/// ∂f/∂x `[n, n]` and ∂f/∂u `[n, m]` of a model at (x, u): its linearisation.
pub fn linearisation(model: &dyn Model, x: &[f64], u: &[f64]) -> (Mat<f64>, Mat<f64>) {
    let (n, m) = (model.state_dim(), model.input_dim());
    let (mut a, mut b) = (vec![0.0; n * n], vec![0.0; n * m]);
    model.jacobians(x, u, &mut a, &mut b);
    (Mat::from_fn(n, n, |i, j| a[i * n + j]), Mat::from_fn(n, m, |i, j| b[i * m + j]))
}

/// The largest |eigenvalue| of a square matrix.
pub fn spectral_radius(a: MatRef<'_, f64>) -> Result<f64, ControlError> {
    let what = "an eigenvalue decomposition";
    let values = a.eigenvalues().map_err(|_| ControlError::NotConverged { what })?;
    finite(values.iter().fold(0.0, |largest: f64, value| largest.max(value.re.hypot(value.im))), what)
}

/// Least and largest eigenvalue of a symmetric matrix.
pub fn extreme_eigenvalues(a: MatRef<'_, f64>) -> Result<(f64, f64), ControlError> {
    let what = "an eigenvalue decomposition";
    let values = a.self_adjoint_eigenvalues(Side::Lower).map_err(|_| ControlError::NotConverged { what })?;
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    let (least, largest) = values.iter().fold(start, |(l, h), &value| (l.min(value), h.max(value)));
    Ok((finite(least, what)?, finite(largest, what)?))
}

/// A⁻¹B; not finite if A is singular.
pub(super) fn solve(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    a.partial_piv_lu().solve(b)
}

/// ½(A + Aᵀ).
pub(super) fn symmetric(a: MatRef<'_, f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| 0.5 * (a[(i, j)] + a[(j, i)]))
}

pub(super) fn is_finite(a: MatRef<'_, f64>) -> bool {
    (0..a.ncols()).all(|j| a.col(j).iter().all(|x| x.is_finite()))
}

/// xᵀAx.
pub(super) fn form(a: MatRef<'_, f64>, x: &[f64]) -> f64 {
    (0..a.nrows()).map(|i| x[i] * (0..a.ncols()).map(|j| a[(i, j)] * x[j]).sum::<f64>()).sum()
}

/// Rejects a matrix of another size or with an entry that is not finite.
pub(super) fn check(name: &'static str, a: MatRef<'_, f64>, rows: usize, columns: usize) -> Result<(), ControlError> {
    if (a.nrows(), a.ncols()) != (rows, columns) {
        return Err(ControlError::bad(name, format!("is {} × {}, must be {rows} × {columns}", a.nrows(), a.ncols())));
    }
    if !is_finite(a) {
        return Err(ControlError::bad(name, "has an entry that is not finite"));
    }
    Ok(())
}

fn finite(x: f64, what: &'static str) -> Result<f64, ControlError> {
    if x.is_finite() { Ok(x) } else { Err(ControlError::NotConverged { what }) }
}
