//! Response of a stable linear loop to disturbances: exact gains, and contraction in a weighted
//! norm.

use faer::{Mat, MatRef, Side};
use liprl_numerics::linalg::spectral_norm;

use crate::{
    algebra::{check, extreme_eigenvalues, solve, spectral_radius},
    error::ControlError,
    lyapunov::lyapunov,
};

/// ‖Aᵏ‖ ≤ κ ρᵏ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contraction {
    /// κ ≥ 1.
    pub overshoot: f64,
    /// ρ < 1.
    pub rate: f64,
}

impl Contraction {
    /// κ/(1 − ρ) ≥ Σₖ ‖Aᵏ‖.
    pub fn sum(&self) -> f64 {
        self.overshoot / (1.0 - self.rate)
    }
}

/// Σₖ ‖Aᵏ B‖₂ over k ≥ 0, an upper bound tight to a relative 1e-12. A `[n, n]`, B `[n, m]`. With
/// the input's matrix B it is the gain G from a bounded disturbance of the input to the state; with
/// the identity it is Σ‖Aᵏ‖.
///
/// Terms are summed in blocks of s with ‖Aˢ‖ ≤ ½. The terms after a block sum to at most that block
/// times ‖Aˢ‖/(1 − ‖Aˢ‖), which is added.
///
/// # Errors
/// [`ControlError::NotStable`] for a spectral radius of 1 or more.
pub fn power_sum(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Result<f64, ControlError> {
    let n = a.nrows();
    check("A", a, n, n)?;
    check("B", b, n, b.ncols())?;
    let radius = spectral_radius(a)?;
    if radius >= 1.0 {
        return Err(ControlError::NotStable { radius, what: "the gain Σ‖AᵏB‖" });
    }
    let (mut block, mut power) = (1u64, a.to_owned());
    let mut shrink = spectral_norm(power.as_ref())?;
    while shrink > 0.5 {
        if block >= 1 << 24 {
            return Err(ControlError::NotConverged { what: "the gain Σ‖AᵏB‖ (the loop is all but unstable)" });
        }
        power = &power * &power;
        (block, shrink) = (2 * block, spectral_norm(power.as_ref())?);
    }
    let (mut term, mut sum) = (b.to_owned(), 0.0);
    loop {
        let mut block_sum = 0.0;
        for _ in 0..block {
            block_sum += spectral_norm(term.as_ref())?;
            term = a * &term;
        }
        sum += block_sum;
        let tail = block_sum * shrink / (1.0 - shrink);
        if tail <= 1e-13 * sum {
            // The rounding of so many terms is well below this.
            return Ok((sum + tail) * (1.0 + 1e-13));
        }
    }
}

/// (κ, ρ) of A in the norm ‖x‖_P = √(xᵀPx): ρ = ‖P^½ A P^-½‖₂ and κ = √cond(P). `weight [n, n]`
/// symmetric, positive definite.
///
/// # Errors
/// [`ControlError::BadInput`] if P is not positive definite; [`ControlError::NotStable`] if A does
/// not contract in that norm.
pub fn contraction(a: MatRef<'_, f64>, weight: MatRef<'_, f64>) -> Result<Contraction, ControlError> {
    let rate = spectral_norm(in_norm(a, weight)?.as_ref())?;
    if rate >= 1.0 {
        return Err(ControlError::NotStable { radius: rate, what: "a contraction in this norm" });
    }
    let (least, largest) = extreme_eigenvalues(weight)?;
    Ok(Contraction { overshoot: (largest / least).sqrt(), rate })
}

/// LᵀAL⁻ᵀ for P = LLᵀ: A in coordinates that make ‖·‖_P Euclidean.
pub(super) fn in_norm(a: MatRef<'_, f64>, weight: MatRef<'_, f64>) -> Result<Mat<f64>, ControlError> {
    let n = a.nrows();
    check("A", a, n, n)?;
    check("P", weight, n, n)?;
    let factor = weight.llt(Side::Lower).map_err(|_| ControlError::bad("P", "is not positive definite"))?;
    let lower = factor.L();
    let half = lower.transpose() * a;
    // X Lᵀ = LᵀA, that is L Xᵀ = AᵀL.
    Ok(solve(lower, half.transpose()).transpose().to_owned())
}

/// The least κ/(1 − ρ) of a scan over `steps` values of ρ between A's spectral radius and 1. Y
/// solves AᵀYA − ρ²Y = −I, so that A contracts by ρ in ‖·‖_Y. It is sometimes better than the
/// Riccati P, sometimes not: take the smaller of the two.
///
/// # Errors
/// [`ControlError::NotStable`] for a spectral radius of 1 or more.
pub fn scanned_contraction(a: MatRef<'_, f64>, steps: u32) -> Result<Contraction, ControlError> {
    let radius = spectral_radius(a)?;
    if radius >= 1.0 {
        return Err(ControlError::NotStable { radius, what: "a contraction" });
    }
    let n = a.nrows();
    let mut best: Option<Contraction> = None;
    for step in 1..=steps.max(1) {
        let rate = radius + (1.0 - radius) * f64::from(step) / f64::from(steps.max(1) + 1);
        let scaled = faer::Scale(1.0 / rate) * a;
        let weight = lyapunov(scaled.as_ref(), (faer::Scale(rate.powi(-2)) * Mat::<f64>::identity(n, n)).as_ref())?;
        let (least, largest) = extreme_eigenvalues(weight.as_ref())?;
        let found = Contraction { overshoot: (largest / least).sqrt(), rate };
        if best.is_none_or(|best| found.sum() < best.sum()) {
            best = Some(found);
        }
    }
    best.ok_or(ControlError::NotConverged { what: "the scan for a contraction" })
}
