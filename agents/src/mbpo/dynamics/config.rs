//! Settings of the dynamics model. [J] Janner et al. 2019 (arXiv 1906.08253) and its authors' code.

use garde::Validate;
use liprl_numerics::{Activation, widths_for};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log_variance::WIDEST;
use crate::{AgentError, mbpo::profile::Profile};

/// The dynamics model: (s, a) to (reward, s' − s), by one network or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ModelConfig {
    /// Members' predictions and the loss they learn by. Default `probabilistic` [J].
    pub prediction: Prediction,
    /// Units of the targets. Default `raw` [J].
    pub targets: Targets,
    /// Number of networks. Default `7` [J]; 1 is a single model.
    #[garde(range(min = 1, max = 64))]
    pub members: usize,
    /// Members that rollouts use, the best on held-out data. Default: `5` [J], or all if there are fewer.
    #[garde(inner(range(min = 1)), custom(no_more_than(self.members)))]
    pub elites: Option<usize>,
    /// Units of each hidden layer. Default `[200, 200, 200, 200]` [J].
    #[garde(length(min = 1), inner(range(min = 1, max = 65536)), custom(widths_for(self.activation)))]
    pub hidden: Vec<usize>,
    /// Activation after each hidden layer. Default `swish` [J].
    #[garde(dive)]
    pub activation: Activation,
    /// Adam's learning rate. Default `1e-3` [J].
    #[garde(range(min = 0.0, max = 1.0))]
    pub lr: f64,
    /// Rows of a gradient step, for each member. Default `256` [J].
    #[garde(range(min = 1, max = 1_048_576))]
    pub batch_size: usize,
    /// Each layer's c in the loss's c/2 ‖W‖². Default: 2.5e-5 for the first layer, 5e-5 for the second,
    /// 1e-4 for the last, 7.5e-5 for those between [J].
    #[garde(inner(inner(range(min = 0.0))))]
    pub weight_decay: Option<Vec<f64>>,
    /// Share of the data held out of each fit, the same rows for all members. Default `0.2` [J].
    #[garde(range(min = 0.001, max = 0.9))]
    pub holdout_ratio: f64,
    /// Most rows held out. Default `5000` [J]; no limit with `profile: ports`.
    #[garde(inner(range(min = 1)))]
    pub holdout_rows: Option<usize>,
    /// Epochs without an improvement after which a fit ends. Default `5` [J].
    pub patience: u64,
    /// Relative fall of a member's held-out error that counts as an improvement. Default `0.01` [J].
    #[garde(range(min = 0.0, max = 1.0))]
    pub improvement: f64,
    /// Most epochs of a fit. Default: no limit [J].
    #[garde(inner(range(min = 1)))]
    pub max_epochs: Option<u64>,
    /// Each member learns from its own draws with replacement. Default `true` [J]; `false` with
    /// `profile: ports`.
    pub bootstrap: Option<bool>,
    /// After a fit each member goes back to its best epoch. Default `true` [J]; `false` with
    /// `profile: ports`.
    pub restore_best: Option<bool>,
    /// The log-variance's bounds, which it approaches softly. Default `{low: -10, high: 0.5}` [J].
    #[garde(dive)]
    pub log_variance: LogVariance,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            prediction: Prediction::Probabilistic,
            targets: Targets::Raw,
            members: 7,
            elites: None,
            hidden: vec![200; 4],
            activation: Activation::Swish,
            lr: 1e-3,
            batch_size: 256,
            weight_decay: None,
            holdout_ratio: 0.2,
            holdout_rows: None,
            patience: 5,
            improvement: 0.01,
            max_epochs: None,
            bootstrap: None,
            restore_best: None,
            log_variance: LogVariance::default(),
        }
    }
}

fn no_more_than(members: usize) -> impl FnOnce(&Option<usize>, &()) -> garde::Result {
    move |elites, ()| match elites {
        Some(elites) if *elites > members => Err(garde::Error::new(format!("more than the {members} members"))),
        _ => Ok(()),
    }
}

/// Units of the members' targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Targets {
    /// Rewards and differences as they are [J]. Coordinates that move little in a step weigh little in
    /// a squared error, and decay and the log-variance's lower bound are large beside them.
    Raw,
    /// Standardised by the moments of the rows learned from.
    Standardised,
}

/// A member's prediction and its loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// Mean and variance, by maximum likelihood; rollouts draw from them.
    Probabilistic,
    /// The mean, by least squares.
    Deterministic,
    /// Learns as `probabilistic` does; rollouts use the mean alone.
    GaussianMean,
}

impl Prediction {
    /// True if members predict a variance.
    pub fn gaussian(self) -> bool {
        self != Self::Deterministic
    }

    /// True if rollouts draw from the prediction.
    pub fn sampled(self) -> bool {
        self == Self::Probabilistic
    }
}

/// Bounds of the log-variance, one pair for each predicted coordinate, shared by the members.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct LogVariance {
    /// First lower bound. Default `-10` [J].
    #[garde(range(min = -50.0, max = 50.0))]
    pub low: f64,
    /// First upper bound. Default `0.5` [J].
    #[garde(range(min = -50.0, max = 50.0))]
    pub high: f64,
    /// The bounds learn, each pulled inwards with weight 0.01. Default `true` [J]; `false` with
    /// `profile: ports`.
    #[garde(skip)]
    pub learned: Option<bool>,
}

impl Default for LogVariance {
    fn default() -> Self {
        Self { low: -10.0, high: 0.5, learned: None }
    }
}

impl ModelConfig {
    /// Members that rollouts use.
    pub fn elites(&self) -> usize {
        self.elites.unwrap_or(5.min(self.members))
    }

    /// Each layer's decay.
    pub fn decay(&self) -> Vec<f64> {
        let layers = self.hidden.len() + 1;
        let usual = |layer| match layer {
            _ if layer + 1 == layers => 1e-4,
            0 => 2.5e-5,
            1 => 5e-5,
            _ => 7.5e-5,
        };
        self.weight_decay.clone().unwrap_or_else(|| (0..layers).map(usual).collect())
    }

    /// Fills in the profile's choice for each setting that is not given.
    pub fn resolved(mut self, profile: Profile) -> Self {
        let authors = profile == Profile::Authors;
        self.bootstrap.get_or_insert(authors);
        self.restore_best.get_or_insert(authors);
        self.log_variance.learned.get_or_insert(authors);
        self.holdout_rows.get_or_insert(if authors { 5000 } else { usize::MAX });
        self
    }

    /// Checks what ranges cannot.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] names the setting.
    pub fn check(&self) -> Result<(), AgentError> {
        let bad = |setting: &str, problem: String| {
            Err(AgentError::BadConfig { setting: format!("agent.model.{setting}"), problem })
        };
        let (decays, layers) = (self.decay().len(), self.hidden.len() + 1);
        if decays != layers {
            return bad("weight_decay", format!("has {decays} numbers, the network has {layers} layers"));
        }
        if self.log_variance.low >= self.log_variance.high {
            let LogVariance { low, high, .. } = self.log_variance;
            return bad("log_variance", format!("the lower bound {low} is not below the upper bound {high}"));
        }
        if self.log_variance.high - self.log_variance.low > WIDEST {
            return bad("log_variance", format!("the bounds are more than {WIDEST} apart"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_s_decay_and_elites_are_the_defaults() {
        let config = ModelConfig::default();
        assert_eq!(config.decay(), [2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4]);
        assert_eq!(config.elites(), 5);
        assert_eq!(ModelConfig { members: 1, ..config }.elites(), 1);
    }
}
