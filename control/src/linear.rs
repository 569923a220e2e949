//! Linear systems for the trade-off's figure: the problem of a linear model, and its expert scaled
//! to a constant α as a policy.

use faer::{Mat, MatRef, Scale};
use liprl_envs::systems::Model;
use liprl_numerics::{Activation, Init, Mlp};

use crate::{
    error::ControlError,
    lqr::Lqr,
    policy::{Policy, PolicyHead},
};

/// The model's problem if its equations are linear and its input is not limited; `None` otherwise.
///
/// # Errors
/// As [`Lqr::new`].
pub fn linear(model: &dyn Model) -> Result<Option<Lqr>, ControlError> {
    let n = model.state_dim();
    let plain = model.observation_dim() == n && !(0..n).any(|i| model.is_angle(i));
    (plain && model.is_linear()).then(|| Lqr::of(model)).transpose()
}

impl Lqr {
    /// The optimal feedback scaled to the constant `alpha`: K α/‖K‖₂, `[m, n]`.
    ///
    /// # Errors
    /// [`ControlError::NotConverged`] if the norm is not found.
    pub fn scaled(&self, alpha: f64) -> Result<Mat<f64>, ControlError> {
        Ok(Scale(alpha / self.slope()?) * &self.optimal.gain)
    }
}

/// u = −Kx as a policy, its actions divided by the action space's `half_width [m]` and clamped to
/// `[-1, 1]`.
pub fn linear_policy(gain: MatRef<'_, f64>, half_width: &[f64]) -> Policy {
    let (m, n) = (gain.nrows(), gain.ncols());
    let mlp = Mlp::new(n, &[], m, Activation::Tanh, false, Init::Uniform);
    let mut params = vec![0.0; mlp.len()];
    // Its one layer's weights [m, n] come first, its biases are zero.
    (0..m * n).for_each(|at| params[at] = (-gain[(at / n, at % n)] / half_width[at / n]) as f32);
    Policy::new(&mlp, params, m, None).with_head(PolicyHead::Clamp)
}
