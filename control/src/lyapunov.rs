//! The discrete Lyapunov equation by doubling.

use faer::{Mat, MatRef};

use crate::{
    algebra::{check, spectral_radius, symmetric},
    error::ControlError,
};

/// P = Σₖ (Aᵀ)ᵏ Q Aᵏ, the solution of P = Q + AᵀPA, for a stable A `[n, n]` and a symmetric Q `[n,
/// n]`. P ← P + AᵀPA, A ← A² doubles the number of terms at each step.
///
/// # Errors
/// [`ControlError::NotStable`] if A's spectral radius is 1 or more; [`ControlError::BadInput`] for
/// sizes that do not fit.
pub fn lyapunov(a: MatRef<'_, f64>, q: MatRef<'_, f64>) -> Result<Mat<f64>, ControlError> {
    let n = a.nrows();
    check("A", a, n, n)?;
    check("Q", q, n, n)?;
    let radius = spectral_radius(a)?;
    if radius >= 1.0 {
        return Err(ControlError::NotStable { radius, what: "a stationary sum" });
    }
    let (mut power, mut sum) = (a.to_owned(), q.to_owned());
    // After k doublings the rest of the sum is of size radius^(2^(k+1)), up to a constant.
    for _ in 0..100 {
        let more = power.transpose() * &sum * &power;
        sum = symmetric((&sum + &more).as_ref());
        if more.norm_l2() <= f64::EPSILON * sum.norm_l2() {
            return Ok(sum);
        }
        power = &power * &power;
    }
    Err(ControlError::NotConverged { what: "the Lyapunov equation" })
}
