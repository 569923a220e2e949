//! Experts: policies with an answer at any observation, not only along their own trajectories.

use liprl_numerics::NumericsError;

use crate::error::ControlError;

/// A policy to learn from, in the environment's own units and in f64.
///
/// An answer depends on the observation and on the calls since `begin`: a planner may start from
/// its last plan. Equal calls give equal answers, bit for bit.
pub trait Expert {
    /// Numbers in an observation.
    fn obs_dim(&self) -> usize;

    /// Numbers in an action.
    fn act_dim(&self) -> usize;

    /// Forgets earlier calls. To be called when an episode starts, and before an observation that
    /// does not follow from the last one (a label for a state of a data set).
    fn begin(&mut self) {}

    /// The action at `obs [O]`, written into `action [A]`.
    ///
    /// # Errors
    /// [`NumericsError::BadConfig`] for slices of another length; an expert may add reasons of its
    /// own.
    fn action(&mut self, obs: &[f64], action: &mut [f64]) -> Result<(), ControlError>;
}

/// An expert in a policy's coordinates. Its actions are taken about the action space's centre and
/// divided by the half-width, so that the bounds become `[-1, 1]`. An action beyond the bounds
/// stays beyond them.
pub struct Scaled<E> {
    expert: E,
    centre: Vec<f64>,
    half_width: Vec<f64>,
}

impl<E: Expert> Scaled<E> {
    /// The expert for actions between `low` and `high`.
    ///
    /// # Errors
    /// [`NumericsError::BadConfig`] if a bound is not finite, an interval is empty, or their number
    /// is not the expert's.
    pub fn new(expert: E, low: &[f64], high: &[f64]) -> Result<Self, ControlError> {
        let bounds = || low.iter().zip(high);
        if (low.len(), high.len()) != (expert.act_dim(), expert.act_dim())
            || !bounds().all(|(low, high)| low.is_finite() && high.is_finite() && low < high)
        {
            let problem = format!("actions between {low:?} and {high:?} for an expert of {} actions", expert.act_dim());
            return Err(NumericsError::BadConfig { setting: "expert".to_owned(), problem }.into());
        }
        let centre = bounds().map(|(low, high)| 0.5 * (low + high)).collect();
        Ok(Self { centre, half_width: bounds().map(|(low, high)| 0.5 * (high - low)).collect(), expert })
    }
}

impl<E: Expert> Expert for Scaled<E> {
    fn obs_dim(&self) -> usize {
        self.expert.obs_dim()
    }

    fn act_dim(&self) -> usize {
        self.expert.act_dim()
    }

    fn begin(&mut self) {
        self.expert.begin();
    }

    fn action(&mut self, obs: &[f64], action: &mut [f64]) -> Result<(), ControlError> {
        self.expert.action(obs, action)?;
        for ((action, centre), half_width) in action.iter_mut().zip(&self.centre).zip(&self.half_width) {
            *action = (*action - centre) / half_width;
        }
        Ok(())
    }
}

impl<E: Expert + ?Sized> Expert for Box<E> {
    fn obs_dim(&self) -> usize {
        (**self).obs_dim()
    }

    fn act_dim(&self) -> usize {
        (**self).act_dim()
    }

    fn begin(&mut self) {
        (**self).begin();
    }

    fn action(&mut self, obs: &[f64], action: &mut [f64]) -> Result<(), ControlError> {
        (**self).action(obs, action)
    }
}

/// Rejects slices that are not of the expert's sizes.
pub(super) fn check_sizes(expert: &(impl Expert + ?Sized), obs: &[f64], action: &[f64]) -> Result<(), ControlError> {
    let (wanted, got) = ((expert.obs_dim(), expert.act_dim()), (obs.len(), action.len()));
    if wanted == got {
        return Ok(());
    }
    let problem = format!("is for (observation, action) sizes {wanted:?}, the task has {got:?}");
    Err(NumericsError::BadConfig { setting: "expert".to_owned(), problem }.into())
}
