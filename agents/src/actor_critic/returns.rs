//! Return normalisation and Pop-Art (van Hasselt et al. 2016, "Learning values across many orders
//! of magnitude", arXiv 1602.07714).
//!
//! The critics put out n and stand for Q = σ n + μ, μ and σ being the running mean and standard
//! deviation of the targets y; they learn (y − μ) / σ. Everything else (targets, the actor's loss,
//! SAC's entropy, priorities, metrics) goes on in units of reward.
//!
//! - statistics (section 2.2): σ² = ν − μ², μ and ν being exponential averages of y and y². With a
//!   batch of mean m and variance s² that is μ ← μ + β (m − μ) and σ² ← (1 − β) (σ² + β (m − μ)²) +
//!   β s², from the old μ, where nothing large cancels. They start at μ = 0 and σ = 1 and are not
//!   corrected for that: Pop-Art keeps the critics' first, random values too, and a σ far below
//!   those makes weights so large that Adam needs long to undo them, while critics that learn as σ
//!   falls keep outputs of size 1;
//! - Pop-Art (proposition 1): as they move, the critics' last layers take W ← (σ_old / σ) W and b ←
//!   (σ_old b + μ_old − μ) / σ, the target critics' too, so that no Q changes. Adam's moments stay
//!   as they are.
//!
//! y is computed before the statistics move, and learnt after.

use garde::Validate;
use liprl_nets::optim::{Target, TrainState};
use liprl_numerics::StateIo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::outputs::Units;
use crate::AgentError;

/// Normalisation of what scalar critics learn. Sources: [V] van Hasselt et al. 2016 (arXiv
/// 1602.07714); [M] Hessel et al. 2019, "Multi-task Deep Reinforcement Learning with PopArt" (arXiv
/// 1809.04474).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ReturnsConfig {
    /// Rescales the critics' last layers when the statistics move, so that no value changes.
    /// That holds for the first, random values too. Default `true` [V].
    pub pop_art: bool,
    /// Share of an update's targets in the running statistics. Default `3e-4` [M].
    #[garde(range(min = 1e-9, max = 1.0))]
    pub rate: f64,
    /// The standard deviation is at least this, in units of reward. Default `1e-4` [M].
    #[garde(range(min = 1e-9))]
    pub min_std: f64,
}

impl Default for ReturnsConfig {
    fn default() -> Self {
        Self { pop_art: true, rate: 3e-4, min_std: 1e-4 }
    }
}

/// The running statistics of the targets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Returns {
    config: ReturnsConfig,
    mean: f64,
    variance: f64,
}

impl Returns {
    /// Mean 0 and deviation 1.
    pub(crate) fn new(config: ReturnsConfig) -> Self {
        Self { config, mean: 0.0, variance: 1.0 }
    }

    /// μ.
    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// σ.
    pub(crate) fn std(&self) -> f64 {
        self.variance.sqrt().max(self.config.min_std)
    }

    /// Units of the critics' outputs now.
    pub(crate) fn units(&self) -> Units {
        Units { scale: self.std() as f32, shift: self.mean as f32 }
    }

    /// (y − μ) / σ.
    pub(crate) fn normalise(&self, target: f32) -> f32 {
        ((f64::from(target) - self.mean) / self.std()) as f32
    }

    /// Takes in the targets y `[B]` of one update, on any device, and returns the normalised ones.
    pub(crate) fn normalise_tensor(
        &mut self,
        target: &Tensor,
        critics: &mut TrainState,
        targets: &mut Target,
    ) -> Result<Tensor, AgentError> {
        self.observe(Vec::<f32>::try_from(target.f_to(Device::Cpu)?)?.iter(), critics, targets)?;
        let normalised = (target.f_to_kind(Kind::Double)? - self.mean) / self.std();
        Ok(normalised.f_to_kind(Kind::Float)?)
    }

    /// Moves the statistics by the targets of one update; with Pop-Art, `critics` and `targets`
    /// keep their values.
    pub(crate) fn observe<'a>(
        &mut self,
        batch: impl Iterator<Item = &'a f32> + Clone,
        critics: &mut TrainState,
        targets: &mut Target,
    ) -> Result<(), AgentError> {
        let (mean, std) = (self.mean, self.std());
        self.average(batch);
        if self.config.pop_art {
            let (factor, shift) = (std / self.std(), (mean - self.mean) / self.std());
            critics.rescale_outputs(factor, shift)?;
            targets.rescale_outputs(critics.mlps(), factor, shift)?;
        }
        Ok(())
    }

    fn average<'a>(&mut self, batch: impl Iterator<Item = &'a f32> + Clone) {
        let (sum, count) = batch.clone().fold((0.0, 0.0), |(sum, count), &y| (sum + f64::from(y), count + 1.0));
        if count == 0.0 {
            return;
        }
        let mean = sum / count;
        let variance = batch.map(|&y| (f64::from(y) - mean).powi(2)).sum::<f64>() / count;
        let (rate, change) = (self.config.rate, mean - self.mean);
        self.mean += rate * change;
        self.variance = (1.0 - rate) * (self.variance + rate * change * change) + rate * variance;
    }

    /// Everything that changes, under `returns/…`.
    pub(crate) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        Ok(io.scalars("returns/mean_variance", [&mut self.mean, &mut self.variance])?)
    }
}

#[cfg(test)]
mod tests {
    use liprl_nets::testing::assert_close;
    use liprl_numerics::testing::numbers;

    use super::*;
    use crate::actor_critic::{outputs::values, testing};

    #[test]
    fn statistics_are_the_exponential_averages_of_the_targets_and_their_squares() {
        let config = ReturnsConfig { rate: 0.1, ..ReturnsConfig::default() };
        let mut returns = Returns::new(config);
        let net = testing::networks().swap_remove(0).0;
        let mut critics = testing::critics(&net, 2, 1, 1);
        let mut targets = critics.target().unwrap();
        let batches: Vec<Vec<f32>> = (0..20)
            .map(|i| numbers(32, &format!("targets {i}")).iter().map(|y| 100.0 + (i as f32) * y).collect())
            .collect();
        for (t, batch) in batches.iter().enumerate() {
            returns.observe(batch.iter(), &mut critics, &mut targets).unwrap();
            // By definition: batch i weighs β (1 − β)^(t − i), the start's y = 0 and y² = 1 the
            // rest.
            let (mut first, mut second) = (0.0, 0.9f64.powi(t as i32 + 1));
            for (i, batch) in batches[..=t].iter().enumerate() {
                let weight = 0.1 * 0.9f64.powi((t - i) as i32) / batch.len() as f64;
                for &y in batch {
                    first += weight * f64::from(y);
                    second += weight * f64::from(y).powi(2);
                }
            }
            let (mean, variance) = (first, second - first * first);
            assert!((returns.mean() - mean).abs() < 1e-9 * mean, "{} {mean}", returns.mean());
            assert!((returns.variance - variance).abs() < 1e-8 * variance.max(1.0), "{} {variance}", returns.variance);
        }
    }

    #[test]
    fn a_large_mean_costs_the_deviation_no_digits() {
        let mut returns = Returns::new(ReturnsConfig { rate: 0.1, ..ReturnsConfig::default() });
        // 2²³ + {0, 1, 2, 3} is exact in f32; the variance of 0..4 is 1.25.
        (0..1000).for_each(|_| returns.average([8_388_608.0, 8_388_609.0, 8_388_610.0, 8_388_611.0].iter()));
        assert!((returns.variance - 1.25).abs() < 1e-9, "{}", returns.variance);
    }

    #[test]
    fn pop_art_keeps_every_value_to_rounding_and_plain_normalisation_does_not() {
        for (net, _, count) in testing::networks() {
            let batch = testing::batch(37, 5, 3);
            let mut critics = testing::critics(&net, 5, 3, count);
            let mut targets = critics.target().unwrap();
            targets.follow(testing::critics(&net, 5, 3, count).params(), 0.3).unwrap();
            targets.params.slice_mut().iter_mut().for_each(|p| *p *= 0.9);
            let mut returns = Returns::new(ReturnsConfig { rate: 0.3, ..ReturnsConfig::default() });
            let all = |critics: &TrainState, targets: &Target, units: Units| {
                let of = |params: &Tensor| values(critics, params, &batch.obs, &batch.action).unwrap();
                let each = [of(critics.params().tensor()), of(targets.params.tensor())];
                each.iter().flatten().map(|outputs| units.values(outputs)).collect::<Vec<_>>()
            };
            let first = all(&critics, &targets, returns.units());
            for step in 0..20 {
                let size = [1e-2, 1e3, 10.0][step % 3];
                let batch: Vec<f32> = numbers(32, &format!("{step}")).iter().map(|y| size * (y + 0.5)).collect();
                let before = (returns.mean(), returns.std());
                returns.observe(batch.iter(), &mut critics, &mut targets).unwrap();
                assert_ne!(before, (returns.mean(), returns.std()));
                // Rounding errors are of the size of σ n and μ, which cancel where μ is large.
                let tolerance =
                    1e-6 * (1 + step) as f64 * (returns.std() + returns.mean().abs() + before.1 + before.0.abs());
                for (now, first) in all(&critics, &targets, returns.units()).iter().zip(&first) {
                    let difference = (now - first).abs().max().double_value(&[]);
                    assert!(difference < tolerance, "step {step}: {difference}, {tolerance}");
                }
            }
            let params = critics.params().slice().to_vec();
            let plain = ReturnsConfig { pop_art: false, ..returns.config };
            let mut returns = Returns { config: plain, ..returns };
            returns.observe([5000.0].iter(), &mut critics, &mut targets).unwrap();
            assert_eq!(critics.params().slice(), params);
        }
    }

    #[test]
    fn the_deviation_has_a_floor_and_targets_are_standardised_by_it() {
        let mut returns = Returns::new(ReturnsConfig { min_std: 0.5, rate: 1.0, ..ReturnsConfig::default() });
        returns.average([2.0f32; 8].iter());
        assert_eq!((returns.mean(), returns.std()), (2.0, 0.5));
        assert_close(f64::from(returns.normalise(3.0)), 2.0);
        assert_eq!(returns.units(), Units { scale: 0.5, shift: 2.0 });
        let before = returns.clone();
        returns.average([].iter());
        assert_eq!(returns, before);
    }
}
