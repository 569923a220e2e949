//! Closed forms of a linear feedback's costs, for tests of this crate and of the program.

use faer::MatRef;

use crate::{algebra::form, error::ControlError, gain::power_sum, lqr::Lqr, lyapunov::lyapunov};

/// tr P: the expected cost of u = −Kx from x ~ N(0, I).
///
/// # Errors
/// As [`Lqr::cost_of`].
pub fn nominal_cost(lqr: &Lqr, gain: MatRef<'_, f64>) -> Result<f64, ControlError> {
    Ok(trace(lqr.cost_of(gain)?.as_ref()))
}

/// The stationary cost per step of u = −K(x + δ), δ ~ N(0, std² I). The state's covariance solves
/// Σ = A_cl Σ A_clᵀ + std² BK(BK)ᵀ, and the cost is tr((Q + KᵀRK)Σ) + std² tr(KᵀRK).
///
/// # Errors
/// As [`Lqr::cost_of`].
pub fn noise_cost(lqr: &Lqr, gain: MatRef<'_, f64>, std: f64) -> Result<f64, ControlError> {
    let pushed = &lqr.b * gain;
    let covariance = lyapunov(lqr.closed_loop(gain).transpose(), (&pushed * pushed.transpose()).as_ref())?;
    let acting = gain.transpose() * &lqr.r * gain;
    let stage = &lqr.q + gain.transpose() * &lqr.r * gain;
    Ok(std * std * (trace((stage * covariance).as_ref()) + trace(acting.as_ref())))
}

/// Σₖ‖A_clᵏBK‖₂: the largest deviation of the state that measurement errors of size 1 can cause
/// under u = −K(x + δ).
///
/// # Errors
/// As [`power_sum`].
pub fn tube(lqr: &Lqr, gain: MatRef<'_, f64>) -> Result<f64, ControlError> {
    power_sum(lqr.closed_loop(gain).as_ref(), (&lqr.b * gain).as_ref())
}

/// xᵀQx + uᵀRu.
pub fn stage_cost(lqr: &Lqr, x: &[f64], u: &[f64]) -> f64 {
    form(lqr.q.as_ref(), x) + form(lqr.r.as_ref(), u)
}

fn trace(a: MatRef<'_, f64>) -> f64 {
    (0..a.nrows()).map(|i| a[(i, i)]).sum()
}
