//! r̃ = κ r with a fixed κ: the control that shows the worth of a κ that varies.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rows::{ShapedRows, Shaping, Steps};
use crate::{AgentError, Metrics};

/// κ r with a fixed κ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ConstantConfig {
    /// κ, in (0, 1]. No default.
    #[garde(range(min = f64::MIN_POSITIVE, max = 1.0))]
    pub factor: f64,
}

/// The shaping.
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    factor: f32,
}

impl Constant {
    /// The shaping by this factor.
    pub fn new(config: ConstantConfig) -> Self {
        Self { factor: config.factor as f32 }
    }
}

impl Shaping for Constant {
    fn shape(&mut self, _: &mut ShapedRows<'_>, reward: &mut [f32], _: &mut Metrics) -> Result<(), AgentError> {
        reward.iter_mut().for_each(|reward| *reward *= self.factor);
        Ok(())
    }

    fn shape_absorbing(&mut self, _: &mut ShapedRows<'_>, reward: f32) -> Result<f32, AgentError> {
        Ok(reward * self.factor)
    }

    fn learn(&mut self, _: &Steps<'_>, _: &mut Metrics) -> Result<(), AgentError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shaping::testing::Sample;

    #[test]
    fn rewards_are_multiplied() {
        let mut reward = [4.0, -2.0, 0.0];
        let mut constant = Constant::new(ConstantConfig { factor: 0.75 });
        Sample::new(3, 2, 1).shape(&mut constant, 1, &mut reward);
        assert_eq!(reward, [3.0, -1.5, 0.0]);
    }
}
