//! Linear feedback of a linear system with quadratic cost: the best one, and what any other costs, in closed form.

use faer::{Mat, MatRef};
use liprl_envs::systems::Model;
use liprl_numerics::linalg::spectral_norm;

use super::{
    ControlError,
    algebra::{check, dense, extreme_eigenvalues, form, linearisation, trace},
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

    /// P of u = −Kx: its cost from x on is xᵀPx, and tr P its expected cost from x ~ N(0, I).
    ///
    /// # Errors
    /// [`ControlError::NotStable`] where the loop is not.
    pub fn cost_of(&self, gain: MatRef<'_, f64>) -> Result<Mat<f64>, ControlError> {
        check("K", gain, self.b.ncols(), self.a.nrows())?;
        lyapunov(self.closed_loop(gain).as_ref(), self.stage(gain).as_ref())
    }

    /// tr P: the expected cost of u = −Kx from x ~ N(0, I).
    ///
    /// # Errors
    /// As `cost_of`.
    pub fn nominal_cost(&self, gain: MatRef<'_, f64>) -> Result<f64, ControlError> {
        Ok(trace(self.cost_of(gain)?.as_ref()))
    }

    /// The stationary cost per step of u = −K(x + δ), δ ~ N(0, std² I): the state's covariance solves Σ = A_cl Σ A_clᵀ + std² BK(BK)ᵀ, and
    /// the cost is tr((Q + KᵀRK)Σ) + std² tr(KᵀRK).
    ///
    /// # Errors
    /// As `cost_of`.
    pub fn noise_cost(&self, gain: MatRef<'_, f64>, std: f64) -> Result<f64, ControlError> {
        check("K", gain, self.b.ncols(), self.a.nrows())?;
        let pushed = &self.b * gain;
        let covariance = lyapunov(self.closed_loop(gain).transpose(), (&pushed * pushed.transpose()).as_ref())?;
        let acting = gain.transpose() * &self.r * gain;
        Ok(std * std * (trace((self.stage(gain) * covariance).as_ref()) + trace(acting.as_ref())))
    }

    /// Σₖ‖A_clᵏBK‖₂: how far measurement errors of size 1 can move the state under u = −K(x + δ), at most.
    ///
    /// # Errors
    /// As `cost_of`.
    pub fn tube(&self, gain: MatRef<'_, f64>) -> Result<f64, ControlError> {
        check("K", gain, self.b.ncols(), self.a.nrows())?;
        power_sum(self.closed_loop(gain).as_ref(), (&self.b * gain).as_ref())
    }

    /// G = Σₖ‖(A − BK)ᵏB‖₂ of the optimal K: how far errors of size 1 in the input can move the state, at most.
    ///
    /// # Errors
    /// As [`power_sum`].
    pub fn gain(&self) -> Result<f64, ControlError> {
        power_sum(self.optimal.closed_loop.as_ref(), self.b.as_ref())
    }

    /// ‖K‖₂ of the optimal K: its Lipschitz constant.
    ///
    /// # Errors
    /// [`ControlError::NotConverged`] where the decomposition fails.
    pub fn slope(&self) -> Result<f64, ControlError> {
        Ok(spectral_norm(self.optimal.gain.as_ref())?)
    }

    /// The optimal feedback: −Kx, of the state's first n numbers in `x`, into `u [m]`.
    pub fn input(&self, x: &[f64], u: &mut [f64]) {
        let gain = &self.optimal.gain;
        for (i, u) in u.iter_mut().enumerate() {
            *u = -(0..gain.ncols()).map(|j| gain[(i, j)] * x[j]).sum::<f64>();
        }
    }

    /// What choosing u instead of −Kx at x costs in the long run, exactly: (u + Kx)ᵀ(R + BᵀPB)(u + Kx).
    pub fn excess(&self, x: &[f64], u: &[f64]) -> f64 {
        let gain = &self.optimal.gain;
        let deviation: Vec<f64> =
            (0..u.len()).map(|i| u[i] + (0..x.len()).map(|j| gain[(i, j)] * x[j]).sum::<f64>()).collect();
        form(self.optimal.deviation.as_ref(), &deviation)
    }

    /// xᵀPx: what the optimal feedback costs from x on.
    pub fn optimal_cost(&self, x: &[f64]) -> f64 {
        form(self.optimal.cost.as_ref(), x)
    }

    /// xᵀQx + uᵀRu.
    pub fn stage_cost(&self, x: &[f64], u: &[f64]) -> f64 {
        form(self.q.as_ref(), x) + form(self.r.as_ref(), u)
    }

    /// λ_max(R + BᵀPB): what `excess` is at most, for each unit of ‖u + Kx‖².
    ///
    /// # Errors
    /// [`ControlError::NotConverged`] where a decomposition fails.
    pub fn excess_rate(&self) -> Result<f64, ControlError> {
        Ok(extreme_eigenvalues(self.optimal.deviation.as_ref())?.1)
    }

    fn stage(&self, gain: MatRef<'_, f64>) -> Mat<f64> {
        &self.q + gain.transpose() * &self.r * gain
    }
}
