//! A shaping of your own: the settings, which are also what they build.

use garde::Validate;
use liprl::agents::{
    AgentError, Metrics, Setup,
    shaping::{ShapedRows, Shaping, ShapingKind, Steps},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// r clipped to ± `limit`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clipped {
    /// Largest size of a shaped reward, above 0.
    #[garde(range(min = 1e-9))]
    limit: f32,
}

impl ShapingKind for Clipped {
    fn build(&self, _: &Setup, _gamma: f64, _absorbing: bool) -> Result<Box<dyn Shaping>, AgentError> {
        Ok(Box::new(*self))
    }
}

impl Shaping for Clipped {
    fn shape(&mut self, _: &mut ShapedRows<'_>, reward: &mut [f32], _: &mut Metrics) -> Result<(), AgentError> {
        reward.iter_mut().for_each(|reward| *reward = reward.clamp(-self.limit, self.limit));
        Ok(())
    }

    fn shape_absorbing(&mut self, _: &mut ShapedRows<'_>, reward: f32) -> Result<f32, AgentError> {
        Ok(reward.clamp(-self.limit, self.limit))
    }

    fn learn(&mut self, _: &Steps<'_>, _: &mut Metrics) -> Result<(), AgentError> {
        Ok(())
    }
}
