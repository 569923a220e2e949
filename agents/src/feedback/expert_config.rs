//! Settings of experts and of queries to them.

use std::path::PathBuf;

use garde::Validate;
use liprl_control::MpcConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The expert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum ExpertConfig {
    /// The optimal linear feedback of the task linearised at its equilibrium. For tasks whose equations are known.
    Lqr,
    /// A planner. For tasks whose equations are known and that have one action.
    Mpc(#[garde(dive)] MpcConfig),
    /// A policy trained on the same task.
    Run {
        /// A run folder (its best checkpoint), a checkpoint folder or an exported policy file.
        path: PathBuf,
    },
}

/// Queries to the expert while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum QueriesConfig {
    /// DAgger (Ross, Gordon & Bagnell 2011): the learner acts, the expert labels. With probability
    /// β = max(0, 1 − round/`rounds`) a step is the expert's.
    Dagger {
        /// Rounds until the learner acts alone and queries end. Default `15` (the `imitation` library).
        #[serde(default = "rounds")]
        #[garde(range(min = 1))]
        rounds: u64,
        /// Steps of a round. Default `1000`.
        #[serde(default = "round_steps")]
        #[garde(range(min = 1))]
        steps: u64,
    },
    /// DART (Laskey et al. 2017): the expert acts under noise shaped like the learner's errors; labels are
    /// its actions before the noise.
    Dart {
        /// Rounds until queries end. Default `15`.
        #[serde(default = "rounds")]
        #[garde(range(min = 1))]
        rounds: u64,
        /// Steps of a round; after each round the noise's covariance is estimated again. Default `1000`.
        #[serde(default = "round_steps")]
        #[garde(range(min = 1))]
        steps: u64,
        /// Trace of the noise's covariance, its mean square per step, in actions of [-1, 1]. Default
        /// `0.01`.
        #[serde(default = "noise")]
        #[garde(range(min = 0.0))]
        noise: f64,
    },
}

impl QueriesConfig {
    /// Number of rounds, and steps of each.
    pub(super) fn rounds(&self) -> (u64, u64) {
        let (Self::Dagger { rounds, steps, .. } | Self::Dart { rounds, steps, .. }) = self;
        (*rounds, *steps)
    }
}

fn rounds() -> u64 {
    15
}
fn round_steps() -> u64 {
    1000
}
fn noise() -> f64 {
    0.01
}
