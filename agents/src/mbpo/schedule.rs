//! Rollout lengths that grow with the epochs (Janner et al. 2019, appendix C, and its authors' code).

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// b: the epoch from which rollouts have the last length.
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
}
