//! Experts that a config can name.

use garde::Validate;
use liprl_envs::systems::Model;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::ControlError,
    expert::Expert,
    feedback::LinearFeedback,
    mpc::{Mpc, MpcConfig},
};

/// An expert derived from a system's equations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExpertConfig {
    /// The optimal linear feedback of the system linearised at its equilibrium.
    Lqr,
    /// A planner.
    Mpc(#[garde(dive)] MpcConfig),
}

impl ExpertConfig {
    /// The expert for this model, in the environment's units.
    ///
    /// # Errors
    /// [`ControlError`] if the system has no stabilising feedback, or the planner cannot plan for
    /// it.
    pub fn build(&self, model: &dyn Model) -> Result<Box<dyn Expert>, ControlError> {
        Ok(match self {
            Self::Lqr => Box::new(LinearFeedback::optimal(model)?),
            Self::Mpc(config) => Box::new(Mpc::new(model, config.clone())?),
        })
    }
}
