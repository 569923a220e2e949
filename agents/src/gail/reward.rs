//! Rewards of a `gail` run; three of them are functions of the discriminator's logit x, large for
//! demonstrated transitions (Ho & Ermon 2016; Fu et al. 2018; arXiv 2006.16785).
//!
//! | form | r(x) | dr/dx |
//! | --- | --- | --- |
//! | minimax | −log(1 − σ(x) + 1e-8) = min(softplus(x), 18.42) to rounding | σ(x), but for the cap |
//! | non-saturating | log σ(x) | σ(−x) |
//! | AIRL | x | 1 |
//!
//! So ‖∇r‖ = |dr/dx| ‖∇D‖ ≤ ‖∇D‖: a k-Lipschitz logit gives a k-Lipschitz reward.
//!
//! Another reward is a struct of settings with its [`RewardKind`] and a line in the table here, or,
//! from another crate, in that program's extensions.

use garde::Validate;
use liprl_numerics::StateIo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::red::{Red, RedConfig};
use crate::{
    AgentError, Setup,
    kinds::{Choice, Settings, part},
    memory::MemoryParts,
};

/// The `reward:` part of a config: the reward of a transition, from the discriminator's logit x
/// (large for demonstrated ones) unless stated otherwise.
pub type RewardConfig = Choice<dyn RewardKind>;

/// Settings of a kind of reward.
pub trait RewardKind: Settings {
    /// The origin of the reward.
    fn source(&self) -> RewardSource<'_>;

    /// True if a reward can be below zero, as far as the settings tell.
    fn can_be_negative(&self) -> bool {
        true
    }

    /// Adds the memory of its networks; none by default.
    fn memory(&self, _parts: &mut MemoryParts) {}
}

/// The part of a run that gives its rewards.
#[derive(Clone, Copy)]
pub enum RewardSource<'a> {
    /// The discriminator, by a function of its logit.
    Logit(LogitReward),
    /// A function of the discriminator's rows, (s, a) or (s, s'), that the demonstrations decide.
    /// The discriminator is not trained.
    Rows(&'a dyn FitRows),
    /// The environment.
    Environment,
    /// A number.
    Constant(f64),
}

/// Settings of a reward of rows.
pub trait FitRows {
    /// The reward that the demonstrated rows `[E, I]` decide, contiguous f32 on the CPU, at least one.
    fn fit(&self, demonstrated: &Tensor, setup: &Setup) -> Result<Box<dyn RowReward>, AgentError>;
}

/// A reward r of the rows x `[R, I]` that a discriminator would see, contiguous f32 on the CPU.
pub trait RowReward: Send {
    /// r(x), `R`.
    fn reward(&mut self, x: &Tensor) -> Result<Vec<f32>, AgentError>;

    /// ‖∇r(x)‖₂, `R`.
    fn gradient_norms(&mut self, x: &Tensor) -> Result<Vec<f32>, AgentError>;

    /// Everything that a checkpoint has to keep; nothing by default.
    fn state(&mut self, _: &mut StateIo<'_>) -> Result<(), AgentError> {
        Ok(())
    }
}

part!(RewardKind, "RewardConfig", "reward", "The reward of a transition, from the discriminator's logit x (large for demonstrated ones) unless stated otherwise.", {
    "minimax": Minimax,
    "non_saturating": NonSaturating,
    "airl": Airl,
    "red": RedConfig,
    "environment": Environment,
    "constant": Constant,
});

impl Default for RewardConfig {
    fn default() -> Self {
        Self::new("minimax", Box::new(Minimax {}))
    }
}

impl RewardConfig {
    /// True if the discriminator gives the reward, and has to be trained.
    pub fn from_logits(&self) -> bool {
        matches!(self.source(), RewardSource::Logit(_))
    }

    /// True if the reward needs demonstrations.
    pub fn imitates(&self) -> bool {
        !matches!(self.source(), RewardSource::Environment | RewardSource::Constant(_))
    }
}

/// −log(1 − σ(x) + 1e-8): from 0 to 18.42, never negative (GAIL's; the paper's).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Minimax {}

impl RewardKind for Minimax {
    fn source(&self) -> RewardSource<'_> {
        RewardSource::Logit(MINIMAX)
    }

    fn can_be_negative(&self) -> bool {
        false
    }
}

/// log σ(x): never positive.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct NonSaturating {}

impl RewardKind for NonSaturating {
    fn source(&self) -> RewardSource<'_> {
        RewardSource::Logit(NON_SATURATING)
    }
}

/// log σ(x) − log(1 − σ(x)) = x (Fu et al. 2018; DAC's).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Airl {}

impl RewardKind for Airl {
    fn source(&self) -> RewardSource<'_> {
        RewardSource::Logit(AIRL)
    }
}

/// The environment's own, to test everything but imitation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Environment {}

impl RewardKind for Environment {
    fn source(&self) -> RewardSource<'_> {
        RewardSource::Environment
    }
}

/// One number for every transition: the worth of survival alone, a control.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Constant {
    /// That reward.
    pub value: f64,
}

impl RewardKind for Constant {
    fn source(&self) -> RewardSource<'_> {
        RewardSource::Constant(self.value)
    }

    fn can_be_negative(&self) -> bool {
        self.value < 0.0
    }
}

impl RewardKind for RedConfig {
    fn source(&self) -> RewardSource<'_> {
        RewardSource::Rows(self)
    }

    fn can_be_negative(&self) -> bool {
        false
    }

    fn memory(&self, parts: &mut MemoryParts) {
        super::memory::red(parts, self);
    }
}

impl FitRows for RedConfig {
    fn fit(&self, demonstrated: &Tensor, setup: &Setup) -> Result<Box<dyn RowReward>, AgentError> {
        Ok(Box::new(Red::new(self, demonstrated, setup)?))
    }
}

/// A reward r(x) of the logit x.
#[derive(Clone, Copy, Debug)]
pub struct LogitReward {
    /// r(x).
    pub value: fn(f64) -> f64,
    /// dr/dx, in [0, 1].
    pub slope: fn(f64) -> f64,
}

/// Keeps the logarithm of 1 − σ(x) finite.
const FLOOR: f64 = 1e-8;

/// −log(1 − σ(x) + 1e-8).
pub const MINIMAX: LogitReward =
    LogitReward { value: |x| -(sigmoid(-x) + FLOOR).ln(), slope: |x| sigmoid(x) * sigmoid(-x) / (sigmoid(-x) + FLOOR) };

/// log σ(x).
pub const NON_SATURATING: LogitReward = LogitReward { value: |x| -softplus(-x), slope: |x| sigmoid(-x) };

/// x.
pub const AIRL: LogitReward = LogitReward { value: |x| x, slope: |_| 1.0 };

/// σ(x).
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// log(1 + eˣ).
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEARNED: [(&str, LogitReward); 3] =
        [("minimax", MINIMAX), ("non-saturating", NON_SATURATING), ("AIRL", AIRL)];

    #[test]
    fn minimax_is_softplus_up_to_its_cap() {
        for x in -30..=30 {
            let (x, cap) = (f64::from(x), -FLOOR.ln());
            let (value, exact) = ((MINIMAX.value)(x), softplus(x));
            assert!(value <= cap && (cap - 18.420_680_743_952_367).abs() < 1e-12);
            // 1e-8 moves log(1 − σ) by at most 1e-8 (1 + eˣ).
            assert!((value - exact).abs() <= 1.001e-8 * (1.0 + x.exp()), "{x}: {value} and {exact}");
        }
        assert!((MINIMAX.value)(-800.0).abs() < 2e-8 && (MINIMAX.value)(800.0) < 18.43);
    }

    #[test]
    fn the_forms_add_up_and_keep_their_signs() {
        for x in [-40.0, -3.0, -0.1, 0.0, 0.1, 3.0, 15.0] {
            let [minimax, non_saturating, airl] = LEARNED.map(|(_, form)| (form.value)(x));
            assert!(minimax >= -1.1e-8 && non_saturating <= 0.0);
            assert!((minimax + non_saturating - airl).abs() <= 1e-8 * (1.0 + f64::exp(x)) + 1e-12);
        }
    }

    #[test]
    fn slopes_are_the_derivatives_and_at_most_one() {
        for (name, LogitReward { value, slope }) in LEARNED {
            for x in [-20.0, -3.0, -0.5, 0.0, 0.5, 3.0, 12.0, 20.0] {
                let difference = (value(x + 1e-5) - value(x - 1e-5)) / 2e-5;
                assert!((slope(x) - difference).abs() < 1e-6, "{name} at {x}");
                assert!((0.0..=1.0).contains(&slope(x)));
            }
        }
    }
}
