//! The settings of a search, `search:` in a sweep file.

use std::collections::BTreeMap;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sweep::distribution::Distribution;

/// A search for the settings with the best score: `report.metric` by `report.score`, mean over
/// `seeds`. Points are asked for in batches; each batch follows from the results of all before it.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct SearchConfig {
    /// The method that chooses points. Default `tpe`.
    #[serde(default)]
    pub method: SearchMethod,
    /// Number of points, each a variant. More points keep the earlier ones.
    #[garde(range(min = 1, max = 5_000))]
    pub points: usize,
    /// Points of a batch. All of them are done before the next batch is asked for. Default `4`.
    #[serde(default = "default_parallel")]
    #[garde(range(min = 1, max = 1_000))]
    pub parallel: usize,
    /// First points, which are drawn at random before `tpe` models results. Default `10`.
    #[serde(default = "default_startup")]
    pub startup: usize,
    /// Seed of the search. Default `0`.
    #[serde(default)]
    pub seed: u64,
    /// The better side of the score. Default `maximise`.
    #[serde(default)]
    pub goal: Goal,
    /// Fresh seeds with which the best point is run again at the end; 0: none. Default `5`.
    #[serde(default = "default_confirm")]
    #[garde(range(max = 1_000))]
    pub confirm: u64,
    /// Dotted path → distribution. `tpe` does not take `normal` and `log_normal`.
    pub draw: BTreeMap<String, Distribution>,
    /// A rule that stops runs which fall behind. Default: none.
    #[serde(default)]
    #[garde(dive)]
    pub prune: Option<PruneConfig>,
}

/// The method that chooses points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchMethod {
    /// The tree-structured Parzen estimator, which asks for points like the best tenth so far.
    #[default]
    Tpe,
    /// Draws from the distributions.
    Random,
}

impl SearchMethod {
    /// Name in sweep files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tpe => "tpe",
            Self::Random => "random",
        }
    }
}

/// The better side of the score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The highest score is best.
    #[default]
    Maximise,
    /// The lowest score is best.
    Minimise,
}

impl Goal {
    /// Name in sweep files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Maximise => "maximise",
            Self::Minimise => "minimise",
        }
    }

    /// Sign with which more of a score is better.
    pub(super) fn sign(self) -> f64 {
        match self {
            Self::Maximise => 1.0,
            Self::Minimise => -1.0,
        }
    }
}

/// A rule that stops runs which fall behind, after a checkpoint.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Validate)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum PruneConfig {
    /// A run is stopped if its best value so far is worse than the median of other points' runs at
    /// that step.
    Median(#[garde(dive)] MedianConfig),
    /// Asynchronous successive halving: a run pauses at the steps `first`, `first·factor`,
    /// `first·factor²`, … unless it is among the best 1 / `factor` of the runs that came there. It
    /// goes on once it is.
    Asha(#[garde(dive)] AshaConfig),
}

/// The median rule.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct MedianConfig {
    /// Step from which runs are judged. Default `0`.
    #[serde(default)]
    pub after: u64,
    /// Least number of other points' runs that came to the step. Default `4`.
    #[serde(default = "default_others")]
    #[garde(range(min = 1))]
    pub others: usize,
}

/// Asynchronous successive halving: Li et al. 2020, "A System for Massively Parallel Hyperparameter
/// Tuning".
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct AshaConfig {
    /// Step of the first rung.
    #[garde(range(min = 1))]
    pub first: u64,
    /// Factor from rung to rung; one run of so many goes on. Default `3`.
    #[serde(default = "default_factor")]
    #[garde(range(min = 2, max = 1_000))]
    pub factor: u64,
}

fn default_parallel() -> usize {
    4
}

fn default_startup() -> usize {
    10
}

fn default_confirm() -> u64 {
    5
}

fn default_others() -> usize {
    4
}

fn default_factor() -> u64 {
    3
}
