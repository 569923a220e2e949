//! Experts without planning: linear feedback, and a trained policy.

use faer::Mat;
use liprl_envs::systems::Model;
use liprl_numerics::NumericsError;

use crate::{
    algebra::check,
    error::ControlError,
    expert::{Expert, check_sizes},
    lqr::Lqr,
    policy::Policy,
};

/// u = −Kx, x being the state behind the observation with its angles wrapped. The model, not the
/// expert, clamps u to the actuator's limit.
pub struct LinearFeedback {
    model: Box<dyn Model>,
    gain: Mat<f64>,
    state: Vec<f64>,
}

impl LinearFeedback {
    /// The optimal feedback of the model linearised at its equilibrium.
    ///
    /// # Errors
    /// [`ControlError::NotStabilisable`] if there is none.
    pub fn optimal(model: &dyn Model) -> Result<Self, ControlError> {
        Self::new(model, Lqr::of(model)?.optimal.gain)
    }

    /// The feedback with this gain `[m, n]`.
    ///
    /// # Errors
    /// [`ControlError::BadInput`] for another size.
    pub fn new(model: &dyn Model, gain: Mat<f64>) -> Result<Self, ControlError> {
        check("K", gain.as_ref(), model.input_dim(), model.state_dim())?;
        Ok(Self { state: vec![0.0; model.state_dim()], model: model.boxed(), gain })
    }

    /// K `[m, n]`. Its norm ‖K‖₂ is the expert's Lipschitz constant if observations are states.
    pub fn gain(&self) -> &Mat<f64> {
        &self.gain
    }
}

impl Expert for LinearFeedback {
    fn obs_dim(&self) -> usize {
        self.model.observation_dim()
    }

    fn act_dim(&self) -> usize {
        self.model.input_dim()
    }

    fn action(&mut self, obs: &[f64], action: &mut [f64]) -> Result<(), ControlError> {
        check_sizes(self, obs, action)?;
        self.model.state_of(obs, &mut self.state);
        for (i, action) in action.iter_mut().enumerate() {
            *action =
                -(0..self.state.len()).map(|j| self.gain[(i, j)] * self.model.deviation(&self.state, j)).sum::<f64>();
        }
        Ok(())
    }
}

/// A trained policy as an expert, in the environment's units.
pub struct PolicyExpert {
    policy: Policy,
    centre: Vec<f64>,
    half_width: Vec<f64>,
    obs: Vec<f32>,
    action: Vec<f32>,
}

impl PolicyExpert {
    /// The policy with its actions scaled to `low` … `high`, the action space it was trained on.
    ///
    /// # Errors
    /// [`NumericsError::BadConfig`] unless there are as many finite bounds as actions.
    pub fn new(policy: Policy, low: &[f64], high: &[f64]) -> Result<Self, ControlError> {
        let bounds = || low.iter().zip(high);
        let dim = policy.act_dim();
        if (low.len(), high.len()) != (dim, dim) || !bounds().all(|(low, high)| low.is_finite() && high.is_finite()) {
            let problem = format!("a policy of {dim} actions cannot be scaled to {low:?} … {high:?}");
            return Err(NumericsError::BadConfig { setting: "expert".to_owned(), problem }.into());
        }
        Ok(Self {
            centre: bounds().map(|(low, high)| 0.5 * (low + high)).collect(),
            half_width: bounds().map(|(low, high)| 0.5 * (high - low)).collect(),
            obs: vec![0.0; policy.obs_dim()],
            action: vec![0.0; dim],
            policy,
        })
    }
}

impl Expert for PolicyExpert {
    fn obs_dim(&self) -> usize {
        self.obs.len()
    }

    fn act_dim(&self) -> usize {
        self.action.len()
    }

    fn action(&mut self, obs: &[f64], action: &mut [f64]) -> Result<(), ControlError> {
        check_sizes(self, obs, action)?;
        self.obs.iter_mut().zip(obs).for_each(|(narrow, wide)| *narrow = *wide as f32);
        self.policy.act(&self.obs, &mut self.action)?;
        for (i, action) in action.iter_mut().enumerate() {
            *action = self.centre[i] + self.half_width[i] * f64::from(self.action[i]);
        }
        Ok(())
    }
}
