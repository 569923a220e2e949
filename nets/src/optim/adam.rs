//! Adam's constants and the numbers of one step (Kingma & Ba 2015, with eps outside the root as in
//! PyTorch).

use liprl_numerics::kernels::AdamStep;

use crate::{LipschitzConfig, LrSchedule, NetworkConfig, Optimiser, WeightConstraint};

/// Decay of Adam's first moment.
pub const BETA1: f64 = 0.9;
/// Decay of Adam's second moment.
pub const BETA2: f64 = 0.999;
/// Added to the root of Adam's second moment.
pub const EPS: f64 = 1e-8;

/// Settings of an optimiser besides Adam's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimiserConfig {
    /// Learning rate at the start.
    pub lr: f64,
    /// Its change with updates.
    pub schedule: LrSchedule,
    /// Largest global norm of a gradient.
    pub clip_norm: Option<f64>,
    /// Constant by construction.
    pub lipschitz: Option<LipschitzConfig>,
    /// Limit on the weight matrices.
    pub constraint: Option<WeightConstraint>,
    /// Rule of the steps.
    pub rule: Optimiser,
}

impl From<&NetworkConfig> for OptimiserConfig {
    fn from(config: &NetworkConfig) -> Self {
        Self {
            lr: config.lr,
            schedule: config.lr_schedule,
            clip_norm: config.clip_norm,
            lipschitz: config.lipschitz,
            constraint: config.weight_constraint,
            rule: config.optimiser,
        }
    }
}

impl OptimiserConfig {
    /// Adam at a constant rate, of plain weights.
    pub fn adam(lr: f64) -> Self {
        Self {
            lr,
            schedule: LrSchedule::Constant,
            clip_norm: None,
            lipschitz: None,
            constraint: None,
            rule: Optimiser::Adam,
        }
    }

    /// The numbers of step `step` (1 is the first) for a gradient of this norm.
    pub fn step(&self, step: u64, norm: f64) -> AdamStep {
        let power = step.min(i32::MAX as u64) as i32;
        AdamStep {
            beta1: BETA1 as f32,
            beta2: BETA2 as f32,
            rate: (self.lr * self.schedule.factor(step - 1) / (1.0 - BETA1.powi(power))) as f32,
            root: (1.0 / (1.0 - BETA2.powi(power)).sqrt()) as f32,
            eps: EPS as f32,
            scale: self.clip_norm.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0)) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_scales_longer_gradients_to_the_limit_and_leaves_shorter_ones() {
        let config = OptimiserConfig { clip_norm: Some(2.0), ..OptimiserConfig::adam(1e-3) };
        assert!((f64::from(config.step(1, 8.0).scale) - 0.25).abs() < 1e-6);
        assert_eq!(config.step(1, 1.9).scale, 1.0);
        assert_eq!(OptimiserConfig::adam(1e-3).step(1, 1e9).scale, 1.0);
    }
}
