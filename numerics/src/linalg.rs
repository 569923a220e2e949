//! Dense f64 linear algebra shared by control and certificates, on faer. It runs on the calling
//! thread.

use faer::MatRef;

/// Failure of a decomposition.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{what} did not converge")]
pub struct NotConverged {
    /// The decomposition.
    pub what: &'static str,
}

/// ‖A‖₂, the largest singular value of a matrix of finite numbers; 0 of an empty one.
///
/// # Errors
/// [`NotConverged`] if the decomposition fails or its result is not finite.
pub fn spectral_norm(a: MatRef<'_, f64>) -> Result<f64, NotConverged> {
    if a.nrows() == 0 || a.ncols() == 0 {
        return Ok(0.0);
    }
    let failed = NotConverged { what: "a singular value decomposition" };
    let values = a.singular_values().map_err(|_| failed)?;
    let largest = values.iter().fold(0.0, |largest: f64, &value| largest.max(value));
    if values.iter().all(|value| value.is_finite()) { Ok(largest) } else { Err(failed) }
}

#[cfg(test)]
mod tests {
    use faer::Mat;

    use super::*;

    #[test]
    fn norms_by_hand() {
        // A Aᵀ = [[9, 12], [12, 41]] has the eigenvalues 45 and 5.
        let a = Mat::from_fn(2, 2, |i, j| [[3.0, 0.0], [4.0, -5.0]][i][j]);
        assert!((spectral_norm(a.as_ref()).unwrap() - 45f64.sqrt()).abs() < 1e-14);
        assert_eq!(spectral_norm(Mat::<f64>::zeros(0, 3).as_ref()).unwrap(), 0.0);
        assert!(spectral_norm(Mat::from_fn(2, 2, |_, _| f64::NAN).as_ref()).is_err());
    }
}
