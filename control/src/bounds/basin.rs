//! An ellipsoid around the equilibrium of a nonlinear system in which the linear expert's loop
//! contracts, and which a disturbed loop does not leave.
//!
//! Let ‖x‖_P = √(xᵀPx), P the Riccati solution at the equilibrium, and E_R = {‖x‖_P ≤ R}, small
//! enough for |Kx| to keep within the actuator's limit. On E_R the Jacobian of F*(x) = f(x, −Kx)
//! lies in the hull of the A_v − B_vK. E_R is convex, so by the mean value theorem F* contracts
//! ‖·‖_P by ρ = max ‖P^½(A_v − B_vK)P^-½‖, and F*(0) = 0 keeps the loop inside.
//!
//! An input off by e moves the next state by at most L_P e in ‖·‖_P, L_P = max ‖P^½B_v‖. So ‖x_t‖_P
//! ≤ ρᵗ‖x_0‖_P + L_P e/(1 − ρ), and while that is at most R the loop stays in E_R (A5). If the hull
//! is not known, A and B are evaluated at points (x, −Kx): for an f that is not affine in u, such
//! as the cart-pole's, A depends on the input too.

use faer::{Mat, MatRef};
use liprl_envs::systems::Model;
use liprl_numerics::linalg::spectral_norm;

use super::{closed_loop::Stability, constant::Constant};
use crate::{
    algebra::{dense, extreme_eigenvalues, form, linearisation, solve},
    error::ControlError,
    gain::in_norm,
    lqr::Lqr,
};

/// Number of radii tried, each half the one before.
const HALVINGS: u32 = 12;
/// Points at which Jacobians are evaluated if their hull is not known.
const SAMPLES: u32 = 4000;

/// The ellipsoid and the constants that hold in it.
#[derive(Clone, Debug)]
pub struct Basin {
    /// R.
    pub radius: f64,
    /// Half the sides of the box around E_R, `[n]`.
    pub half: Vec<f64>,
    /// ρ.
    pub rate: Constant,
    /// κ = √cond(P).
    pub overshoot: f64,
    /// L_P, in ‖·‖_P.
    pub reach: Constant,
    /// √λ_min(P): ‖x‖₂ is at most ‖x‖_P over this.
    pub shortest: f64,
    /// √λ_max(P): ‖x‖_P is at most this times ‖x‖₂.
    pub longest: f64,
    weight: Mat<f64>,
}

impl Basin {
    /// The largest ellipsoid tried in which the loop of the optimal feedback contracts. Radii are
    /// halved from the one at which the input meets its limit; without a limit, from `at_most` in
    /// every coordinate. Certified if the model knows the hull of its Jacobians, else estimated
    /// from samples.
    ///
    /// # Errors
    /// [`ControlError::NotStable`] if the loop contracts in none of them;
    /// [`ControlError::NotConverged`] if a decomposition fails.
    pub fn of(model: &dyn Model, lqr: &Lqr, at_most: f64) -> Result<Self, ControlError> {
        let (n, m) = (model.state_dim(), model.input_dim());
        let (weight, gain) = (&lqr.optimal.cost, &lqr.optimal.gain);
        let inverse = solve(weight.as_ref(), Mat::<f64>::identity(n, n).as_ref());
        let spread = gain * &inverse * gain.transpose();
        let limit = model.input_limit();
        let mut radius = (0..m).map(|j| limit / spread[(j, j)].sqrt()).fold(f64::INFINITY, f64::min);
        let width = |radius: f64| -> Vec<f64> { (0..n).map(|i| radius * inverse[(i, i)].sqrt()).collect() };
        let widest = width(1.0).into_iter().fold(0.0, f64::max);
        // Slightly less than the radius at which the input meets its limit.
        radius = (radius * (1.0 - 1e-9)).min(at_most / widest);
        let (least, largest) = extreme_eigenvalues(weight.as_ref())?;
        let mut last = f64::INFINITY;
        for _ in 0..HALVINGS {
            let half = width(radius);
            let (jacobians, proven) = jacobians(model, &half, gain);
            let (mut rate, mut reach) = (0.0f64, 0.0f64);
            for (a, b) in &jacobians {
                rate = rate.max(spectral_norm(in_norm((a - b * gain).as_ref(), weight.as_ref())?.as_ref())?);
                reach = reach.max(reach_of(b.as_ref(), weight.as_ref())?);
            }
            if rate < 1.0 {
                let constant = if proven { Constant::certified } else { Constant::estimated };
                return Ok(Self {
                    radius,
                    half,
                    rate: constant(rate * (1.0 + 1e-12)),
                    overshoot: (largest / least).sqrt(),
                    reach: constant(reach * (1.0 + 1e-12)),
                    shortest: least.sqrt(),
                    longest: largest.sqrt(),
                    weight: weight.clone(),
                });
            }
            (last, radius) = (rate, 0.5 * radius);
        }
        Err(ControlError::NotStable {
            radius: last,
            what: "a region around the equilibrium in which the loop contracts",
        })
    }

    /// B2's constants, with κ L_u = L_P/√λ_min(P), which is sharper than the Euclidean product.
    ///
    /// # Errors
    /// As [`Stability::contracting`].
    pub fn stability(&self) -> Result<Stability, ControlError> {
        let input = self.reach.value / (self.shortest * self.overshoot);
        Stability::contracting(Constant::certified(self.overshoot), self.rate, Constant::from(input, &[self.reach]))
    }

    /// ‖x‖_P.
    pub fn norm(&self, x: &[f64]) -> f64 {
        form(self.weight.as_ref(), x).max(0.0).sqrt()
    }

    /// The largest input error with which a loop that starts within `start` in ‖·‖_P stays in E_R.
    pub fn allows(&self, start: f64) -> f64 {
        (self.radius - start) * (1.0 - self.rate.value) / self.reach.value
    }

    /// A5: true if a loop that starts within `start` in ‖·‖_P and whose input is off by at most
    /// `error` stays in E_R.
    pub fn holds(&self, start: f64, error: f64) -> bool {
        start + self.reach.value * error / (1.0 - self.rate.value) <= self.radius
    }
}

/// max ‖P^½ B d‖ over ‖d‖ ≤ 1: the root of ‖BᵀPB‖.
fn reach_of(b: MatRef<'_, f64>, weight: MatRef<'_, f64>) -> Result<f64, ControlError> {
    Ok(spectral_norm((b.transpose() * weight * b).as_ref())?.sqrt())
}

/// A and B at a point.
type Jacobians = (Mat<f64>, Mat<f64>);

/// Jacobians whose hull contains all those of the box, and true; or samples of those along u = −Kx,
/// within its limit, and false.
fn jacobians(model: &dyn Model, half: &[f64], gain: &Mat<f64>) -> (Vec<Jacobians>, bool) {
    let low: Vec<f64> = half.iter().map(|h| -h).collect();
    if let Some(hull) = model.jacobian_hull(&low, half) {
        return (hull.iter().map(|(a, b)| (dense(a), dense(b))).collect(), true);
    }
    let (n, limit) = (half.len(), model.input_limit());
    let at = |x: Vec<f64>| -> Jacobians {
        let pulled = |j: usize| (0..n).map(|i| gain[(j, i)] * x[i]).sum::<f64>();
        let u: Vec<f64> = (0..gain.nrows()).map(|j| (-pulled(j)).clamp(-limit, limit)).collect();
        linearisation(model, &x, &u)
    };
    (points(half).map(at).collect(), false)
}

/// Points of a box around 0, spread evenly by an additive recurrence, without random numbers.
fn points(half: &[f64]) -> impl Iterator<Item = Vec<f64>> {
    (0..SAMPLES).map(|index| {
        let share = |i: usize| (f64::from(index) * 2f64.powf(1.0 / (i as f64 + 2.0)) + 0.5).fract();
        half.iter().enumerate().map(|(i, half)| half * (2.0 * share(i) - 1.0)).collect()
    })
}

#[cfg(test)]
mod tests;
