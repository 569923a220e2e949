//! When the model is fitted, how long rollouts are, and how many imagined transitions are kept (Janner et al. 2019, appendix C, and
//! its authors' code). t counts environment steps from the end of the random ones, epochs from 0.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MbpoConfig, config::Profile};

/// Steps of a rollout: a number, or growing with epochs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(untagged)]
pub enum Length {
    /// Always the same.
    Constant(#[garde(range(min = 1, max = 1000))] u64),
    /// Straight from one length to another between two epochs.
    Growing(#[garde(dive)] RolloutLength),
}

/// k(e) = ⌊x + clip((e − a)/(b − a), 0, 1) · (y − x)⌋.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct RolloutLength {
    /// a: the epoch until which rollouts have the first length.
    #[garde(skip)]
    pub first_epoch: u64,
    /// b: the epoch from which on they have the last.
    #[garde(custom(not_before(self.first_epoch)))]
    pub last_epoch: u64,
    /// x: steps at first.
    #[garde(range(min = 1, max = 1000))]
    pub from: u64,
    /// y: steps at last.
    #[garde(range(min = 1, max = 1000))]
    pub to: u64,
}

fn not_before(first: u64) -> impl FnOnce(&u64, &()) -> garde::Result {
    move |last, ()| match *last {
        last if last < first => {
            Err(garde::Error::new(format!("{last}: the schedule ends before it starts, in epoch {first}")))
        }
        _ => Ok(()),
    }
}

impl Length {
    /// k(e).
    pub fn at(&self, epoch: u64) -> u64 {
        match *self {
            Self::Constant(steps) => steps,
            Self::Growing(RolloutLength { first_epoch: a, last_epoch: b, from, to }) => {
                let (x, y) = (from as f64, to as f64);
                let share = match epoch {
                    e if e >= b => 1.0,
                    e if e <= a => 0.0,
                    e => (e - a) as f64 / (b - a) as f64,
                };
                (x + share * (y - x)).floor().max(1.0) as u64
            }
        }
    }
}

impl MbpoConfig {
    /// The epoch of t.
    pub fn epoch(&self, t: u64) -> u64 {
        t / self.epoch_steps
    }

    /// Whether the model is fitted at t: steps are counted within each epoch. The authors' epochs begin with a fit, the ports' do not.
    pub fn refit_due(&self, t: u64) -> bool {
        let within = t % self.epoch_steps;
        within.is_multiple_of(self.refit_every) && (within > 0 || self.profile == Profile::Authors)
    }

    /// Imagined transitions kept while rollouts have `length` steps: those of the last `retain_epochs` epochs.
    pub fn model_capacity(&self, length: u64) -> usize {
        let fits = self.epoch_steps.div_ceil(self.refit_every);
        let rows = fits.saturating_mul(self.retain_epochs).saturating_mul(length).saturating_mul(self.rollouts as u64);
        let most = self.model_buffer_size.unwrap_or(usize::MAX).min(u32::MAX as usize);
        usize::try_from(rows).unwrap_or(usize::MAX).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hopper_s_schedule_worked_out_by_hand() {
        let length = Length::Growing(RolloutLength { first_epoch: 20, last_epoch: 150, from: 1, to: 15 });
        // ⌊1 + 14 (e − 20)/130⌋: two steps from the first e with 14 (e − 20) ≥ 130, which is 30.
        for (epoch, k) in [(0, 1), (20, 1), (29, 1), (30, 2), (85, 8), (149, 14), (150, 15), (1000, 15)] {
            assert_eq!(length.at(epoch), k, "epoch {epoch}");
        }
        let step = Length::Growing(RolloutLength { first_epoch: 3, last_epoch: 3, from: 1, to: 5 });
        assert_eq!((step.at(2), step.at(3)), (1, 5));
        assert_eq!(Length::Constant(4).at(77), 4);
    }

    #[test]
    fn four_fits_an_epoch_or_the_ports_three() {
        let mut config = MbpoConfig::default();
        let fits = |config: &MbpoConfig| (0..2000).filter(|&t| config.refit_due(t)).collect::<Vec<_>>();
        assert_eq!(fits(&config), [0, 250, 500, 750, 1000, 1250, 1500, 1750]);
        config.profile = Profile::Ports;
        assert_eq!(fits(&config), [250, 500, 750, 1250, 1500, 1750]);
        assert_eq!((config.epoch(999), config.epoch(1000)), (0, 1));
    }

    #[test]
    fn the_model_buffer_holds_400_000_transitions_a_step() {
        let mut config = MbpoConfig::default();
        assert_eq!((config.model_capacity(1), config.model_capacity(15)), (400_000, 6_000_000));
        // Humanoid: F 1000, retain 5.
        config = MbpoConfig { refit_every: 1000, retain_epochs: 5, ..config };
        assert_eq!(config.model_capacity(25), 12_500_000);
        // 300 does not divide an epoch, which has fits at 0, 300, 600 and 900 all the same.
        let uneven = MbpoConfig { refit_every: 300, ..config.clone() };
        assert_eq!((0..5000).filter(|&t| uneven.refit_due(t)).count(), 20);
        assert_eq!(uneven.model_capacity(1), 2_000_000);
        config.model_buffer_size = Some(1_000_000);
        assert_eq!(config.model_capacity(25), 1_000_000);
    }
}
