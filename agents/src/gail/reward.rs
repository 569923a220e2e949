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
//! Another reward of the logit is a [`LogitReward`], a variant of [`RewardConfig`] and its line in
//! [`RewardConfig::source`].

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::red::RedConfig;

/// The reward of a transition, from the discriminator's logit x (large for demonstrated ones)
/// unless stated otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum RewardConfig {
    /// −log(1 − σ(x) + 1e-8): from 0 to 18.42, never negative (GAIL's; the paper's).
    Minimax,
    /// log σ(x): never positive.
    NonSaturating,
    /// log σ(x) − log(1 − σ(x)) = x (Fu et al. 2018; DAC's).
    Airl,
    /// Random expert distillation (Wang et al. 2019): near 1 if a predictor trained on the
    /// demonstrations is right, towards 0 elsewhere. The discriminator is not trained.
    Red(#[garde(dive)] RedConfig),
    /// The environment's own, to test everything but imitation.
    Environment,
    /// One number for every transition: the worth of survival alone, a control.
    Constant {
        /// That reward.
        value: f64,
    },
}

/// The part of a run that gives its rewards.
#[derive(Clone, Copy, Debug)]
pub enum RewardSource<'a> {
    /// The discriminator, by a function of its logit.
    Logit(LogitReward),
    /// Random expert distillation.
    Red(&'a RedConfig),
    /// The environment.
    Environment,
    /// A number.
    Constant(f64),
}

impl RewardConfig {
    /// The part that gives this reward.
    pub fn source(&self) -> RewardSource<'_> {
        match self {
            Self::Minimax => RewardSource::Logit(MINIMAX),
            Self::NonSaturating => RewardSource::Logit(NON_SATURATING),
            Self::Airl => RewardSource::Logit(AIRL),
            Self::Red(config) => RewardSource::Red(config),
            Self::Environment => RewardSource::Environment,
            Self::Constant { value } => RewardSource::Constant(*value),
        }
    }

    /// True if the discriminator gives the reward, and has to be trained.
    pub fn from_logits(&self) -> bool {
        matches!(self.source(), RewardSource::Logit(_))
    }

    /// True if the reward needs demonstrations.
    pub fn imitates(&self) -> bool {
        !matches!(self.source(), RewardSource::Environment | RewardSource::Constant(_))
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
