//! The discrete Riccati equation by structured doubling.
//!
//! P = Q + AᵀPA − AᵀPB (R + BᵀPB)⁻¹ BᵀPA, whose stabilising solution is the cost-to-go of the best
//! feedback, xᵀPx. From (A, G, H) = (A, BR⁻¹Bᵀ, Q), with W = (I + GH)⁻¹,
//!
//! ```text
//! A' = A W A        G' = G + A W G Aᵀ        H' = H + Aᵀ H W A
//! ```
//!
//! doubles the horizon at each step: H is the cost-to-go of 1, 2, 4, … steps and converges
//! quadratically to P (Chu, Fan, Lin and Wang 2004). Value iteration adds one step at a time and
//! needs tens of thousands for a cart-pole.

use faer::{Mat, MatRef};

use crate::{
    algebra::{check, extreme_eigenvalues, is_finite, solve, spectral_radius, symmetric},
    error::ControlError,
};

/// The solution: `P [n, n]`, the gain `K [m, n]` of u = −Kx, and the closed loop A − BK.
#[derive(Clone, Debug)]
pub struct Riccati {
    /// Cost-to-go: Σ xᵀQx + uᵀRu from x on is xᵀPx.
    pub cost: Mat<f64>,
    /// K = (R + BᵀPB)⁻¹BᵀPA.
    pub gain: Mat<f64>,
    /// A − BK, of spectral radius below 1.
    pub closed_loop: Mat<f64>,
    /// R + BᵀPB: the cost of one unit of deviation from u = −Kx.
    pub deviation: Mat<f64>,
    /// Number of doublings.
    pub iterations: usize,
}

/// Doublings after which a problem counts as unsolvable: a horizon of 2⁶⁰ steps.
const LIMIT: usize = 60;

/// Solves the equation for A `[n, n]`, B `[n, m]`, symmetric Q ⪰ 0 `[n, n]` and R ≻ 0 `[m, m]`.
///
/// # Errors
/// [`ControlError::BadInput`] for sizes or weights that do not fit;
/// [`ControlError::NotStabilisable`] if there is no stabilising solution.
pub fn riccati(
    a: MatRef<'_, f64>,
    b: MatRef<'_, f64>,
    q: MatRef<'_, f64>,
    r: MatRef<'_, f64>,
) -> Result<Riccati, ControlError> {
    let (n, m) = (a.nrows(), b.ncols());
    check("A", a, n, n)?;
    check("B", b, n, m)?;
    check("Q", q, n, n)?;
    check("R", r, m, m)?;
    if extreme_eigenvalues(r)?.0 <= 0.0 {
        return Err(ControlError::bad("R", "is not positive definite: every input must cost something"));
    }
    let (least, largest) = extreme_eigenvalues(q)?;
    if least < -1e-10 * largest.abs() {
        return Err(ControlError::bad("Q", format!("is not positive semidefinite: it has the eigenvalue {least}")));
    }
    let none = |problem: String| ControlError::NotStabilisable { problem };
    let (mut step, mut reach, mut cost) =
        (a.to_owned(), symmetric((b * solve(r, b.transpose())).as_ref()), q.to_owned());
    let mut iterations = 0;
    loop {
        let identity = Mat::<f64>::identity(n, n);
        let (w_step, w_reach) = {
            let lu = &identity + &reach * &cost;
            (solve(lu.as_ref(), step.as_ref()), solve(lu.as_ref(), reach.as_ref()))
        };
        let grown = symmetric((&cost + step.transpose() * &cost * &w_step).as_ref());
        reach = symmetric((&reach + &step * &w_reach * step.transpose()).as_ref());
        step = &step * &w_step;
        iterations += 1;
        let change = (&grown - &cost).norm_l2();
        cost = grown;
        if !(is_finite(cost.as_ref()) && is_finite(reach.as_ref()) && is_finite(step.as_ref())) {
            return Err(none(format!("the cost-to-go grows without end ({iterations} doublings of the horizon)")));
        }
        if change <= 4.0 * f64::EPSILON * cost.norm_l2() {
            break;
        }
        if iterations == LIMIT {
            return Err(none(format!("the cost-to-go still changes after {LIMIT} doublings of the horizon")));
        }
    }
    let deviation = symmetric((r + b.transpose() * &cost * b).as_ref());
    let gain = solve(deviation.as_ref(), (b.transpose() * &cost * a).as_ref());
    let closed_loop = a - b * &gain;
    let radius = spectral_radius(closed_loop.as_ref())?;
    // A mode that neither input nor cost touches ends here, with its eigenvalue in the closed loop.
    if radius >= 1.0 - 1e-12 {
        return Err(none(format!("the spectral radius of A − BK is {radius}")));
    }
    let equation = q + a.transpose() * &cost * &closed_loop - &cost;
    if equation.norm_l2() > 1e-6 * cost.norm_l2().max(1e-300) {
        return Err(none(format!("the equation is left unsolved by {:e}", equation.norm_l2())));
    }
    Ok(Riccati { cost, gain, closed_loop, deviation, iterations })
}
