//! Linear feedback of a linear system with quadratic cost: the optimal one, and the cost of any
//! other in closed form.

use faer::{Mat, MatRef};
use liprl_envs::systems::Model;
use liprl_numerics::linalg::spectral_norm;

use crate::{
    algebra::{check, dense, extreme_eigenvalues, form, linearisation},
    error::ControlError,
    gain::power_sum,
    lyapunov::lyapunov,
    riccati::{Riccati, riccati},
};

/// A linear system, its cost, and its optimal feedback.
#[derive(Clone, Debug)]
pub struct Lqr {
    /// A `[n, n]`.
    pub a: Mat<f64>,
    /// B `[n, m]`.
    pub b: Mat<f64>,
    /// Q `[n, n]`.
    pub q: Mat<f64>,
    /// R `[m, m]`.
    pub r: Mat<f64>,
    /// P, K and the closed loop.
    pub optimal: Riccati,
}

impl Lqr {
    /// The problem of these matrices.
    ///
    /// # Errors
    /// As [`riccati`].
    pub fn new(a: Mat<f64>, b: Mat<f64>, q: Mat<f64>, r: Mat<f64>) -> Result<Self, ControlError> {
        let optimal = riccati(a.as_ref(), b.as_ref(), q.as_ref(), r.as_ref())?;
        Ok(Self { a, b, q, r, optimal })
    }

    /// The model linearised at its equilibrium x = 0, u = 0.
    ///
    /// # Errors
    /// As [`riccati`].
    pub fn of(model: &dyn Model) -> Result<Self, ControlError> {
        let (a, b) = linearisation(model, &vec![0.0; model.state_dim()], &vec![0.0; model.input_dim()]);
        let weights = model.cost_weights();
        Self::new(a, b, dense(&weights.state), dense(&weights.input))
    }

    /// A − BK of any feedback u = −Kx, `gain [m, n]`.
    pub fn closed_loop(&self, gain: MatRef<'_, f64>) -> Mat<f64> {
        &self.a - &self.b * gain
    }

    /// P of u = −Kx: the cost from x on is xᵀPx, and the expected cost from x ~ N(0, I) is tr P.
    ///
    /// # Errors
    /// [`ControlError::NotStable`] if the loop is not stable.
    pub fn cost_of(&self, gain: MatRef<'_, f64>) -> Result<Mat<f64>, ControlError> {
        check("K", gain, self.b.ncols(), self.a.nrows())?;
        lyapunov(self.closed_loop(gain).as_ref(), self.stage(gain).as_ref())
    }

    /// G = Σₖ‖(A − BK)ᵏB‖₂ of the optimal K: the largest deviation of the state that input errors
    /// of size 1 can cause.
    ///
    /// # Errors
    /// As [`power_sum`].
    pub fn gain(&self) -> Result<f64, ControlError> {
        power_sum(self.optimal.closed_loop.as_ref(), self.b.as_ref())
    }

    /// ‖K‖₂ of the optimal K: its Lipschitz constant.
    ///
    /// # Errors
    /// [`ControlError::NotConverged`] if the decomposition fails.
    pub fn slope(&self) -> Result<f64, ControlError> {
        Ok(spectral_norm(self.optimal.gain.as_ref())?)
    }

    /// Writes the optimal feedback −Kx for the state in the first n numbers of `x` into `u [m]`.
    pub fn input(&self, x: &[f64], u: &mut [f64]) {
        let gain = &self.optimal.gain;
        for (i, u) in u.iter_mut().enumerate() {
            *u = -(0..gain.ncols()).map(|j| gain[(i, j)] * x[j]).sum::<f64>();
        }
    }

    /// Exact long-run cost of choosing u instead of −Kx at x: (u + Kx)ᵀ(R + BᵀPB)(u + Kx).
    pub fn excess(&self, x: &[f64], u: &[f64]) -> f64 {
        let gain = &self.optimal.gain;
        let deviation: Vec<f64> =
            (0..u.len()).map(|i| u[i] + (0..x.len()).map(|j| gain[(i, j)] * x[j]).sum::<f64>()).collect();
        form(self.optimal.deviation.as_ref(), &deviation)
    }

    /// xᵀPx: the optimal feedback's cost from x on.
    pub fn optimal_cost(&self, x: &[f64]) -> f64 {
        form(self.optimal.cost.as_ref(), x)
    }

    /// λ_max(R + BᵀPB): the largest `excess` for each unit of ‖u + Kx‖².
    ///
    /// # Errors
    /// [`ControlError::NotConverged`] if a decomposition fails.
    pub fn excess_rate(&self) -> Result<f64, ControlError> {
        Ok(extreme_eigenvalues(self.optimal.deviation.as_ref())?.1)
    }

    fn stage(&self, gain: MatRef<'_, f64>) -> Mat<f64> {
        &self.q + gain.transpose() * &self.r * gain
    }
}
