//! κ from the gradient of the reward or of the discriminator's logit D, after the ancestors of PURPLE
//! in the history of the code of arXiv 2006.16785 (`gail_grad_mod`, `gail_mod_r`):
//! p = max(0, ‖∇r(s, a)‖₂ − k)², κ = max(floor, exp(−p/σ)), r̃ = κ r, with σ of `kappa`.
//!
//! Differs from them by default in: the gradient is the reward's; `of: logit` gives theirs, ‖∇D‖.

use garde::Validate;
use liprl_numerics::StateIo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    kappa::{Kappa, KappaOptions, penalty},
    rows::{GradientOf, ShapedRows, Shaping, Steps},
};
use crate::{AgentError, Metrics};

/// κ r with κ from the gradient of the reward or the logit. Sources: the history of arXiv 2006.16785's
/// authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct GradientConfig {
    /// The function whose gradient is meant. Default `reward`.
    pub of: GradientOf,
    /// k: norms of the gradient up to this cost nothing. Default `1`.
    #[garde(range(min = 0.0))]
    pub target: f64,
    /// κ is never smaller. Default `0`: no floor.
    #[garde(range(min = 0.0, max = 1.0))]
    pub floor: f64,
    /// Calls whose mean penalties are merged again into the running moments with each call; 1
    /// counts each call once, as there. Default `1`.
    #[garde(range(min = 1, max = 1_000_000))]
    pub history: usize,
    /// The penalties' running deviation is never smaller. Default `0.1`.
    #[garde(range(min = 1e-9))]
    pub std_floor: f64,
    /// One κ for all rows of a window (of the batch, if windows have one row) rather than one for
    /// each row. Default `false`.
    pub per_call: bool,
}

impl Default for GradientConfig {
    fn default() -> Self {
        Self { of: GradientOf::Reward, target: 1.0, floor: 0.0, history: 1, std_floor: 0.1, per_call: false }
    }
}

/// The shaping.
#[derive(Debug)]
pub struct Gradient {
    of: GradientOf,
    target: f64,
    kappa: Kappa,
}

impl Gradient {
    /// The shaping before its first call.
    pub fn new(config: &GradientConfig) -> Self {
        let GradientConfig { of, target, floor, history, std_floor, per_call } = *config;
        Self { of, target, kappa: Kappa::new(KappaOptions { floor, history, std_floor, per_call }) }
    }
}

impl Shaping for Gradient {
    fn shape(
        &mut self,
        rows: &mut ShapedRows<'_>,
        reward: &mut [f32],
        metrics: &mut Metrics,
    ) -> Result<(), AgentError> {
        let norms = (rows.gradient_norms)(self.of)?;
        let penalties: Vec<f32> = norms.iter().map(|&norm| penalty(norm, self.target)).collect();
        self.kappa.apply(&penalties, rows, reward, metrics);
        Ok(())
    }

    fn shape_absorbing(&mut self, rows: &mut ShapedRows<'_>, reward: f32) -> Result<f32, AgentError> {
        let norm = (rows.gradient_norms)(self.of)?[0];
        Ok(self.kappa.held(penalty(norm, self.target), reward))
    }

    fn learn(&mut self, _: &Steps<'_>, _: &mut Metrics) -> Result<(), AgentError> {
        Ok(())
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.kappa.state(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shaping::testing::Sample;

    #[test]
    fn rewards_with_large_gradients_are_made_smaller() {
        // p = 0, 0.04, 0.16, 0.09 around k = 1, mean 0.0725; one call, so σ = 0.1.
        let mut sample = Sample::new(4, 2, 1);
        sample.reward_gradient = Some(vec![0.5, 1.2, 1.4, 1.3]);
        let (mut gradient, mut reward) = (Gradient::new(&GradientConfig::default()), [1.0, 1.0, 2.0, 1.0]);
        sample.shape(&mut gradient, 1, &mut reward);
        for (reward, expected) in reward.iter().zip([1.0, (-0.4f64).exp(), 2.0 * (-1.6f64).exp(), (-0.9f64).exp()]) {
            assert!((f64::from(*reward) - expected).abs() < 1e-5, "{reward} {expected}");
        }
        let config = GradientConfig { floor: 0.5, per_call: true, ..GradientConfig::default() };
        let mut reward = [1.0; 4];
        sample.shape(&mut Gradient::new(&config), 1, &mut reward);
        assert!(reward.iter().all(|reward| (f64::from(*reward) - 0.5).abs() < 1e-6), "exp(−0.725) is below the floor");
    }

    #[test]
    fn a_reward_without_a_gradient_is_an_error() {
        let sample = Sample::new(4, 2, 1);
        let mut gradient = Gradient::new(&GradientConfig::default());
        let error = sample.try_shape(&mut gradient, 1, &mut [1.0; 4], &mut Metrics::default()).unwrap_err();
        assert!(error.to_string().contains("no gradient"));
    }
}
