//! Settings of behaviour cloning.

use garde::Validate;
use liprl_nets::gaussian;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fitting a policy to demonstrations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct CloningConfig {
    /// Gradient updates, at most. Default `10_000`.
    #[garde(range(min = 1))]
    pub updates: u64,
    /// Rows per update, drawn with replacement. Default `256`.
    #[garde(range(min = 1, max = 1_048_576))]
    pub batch_size: usize,
    /// Adam's learning rate. Default `3e-4`.
    #[garde(range(min = 0.0, max = 1.0))]
    pub lr: f64,
    /// Factor of the parameters in a term added to the gradient (PyTorch's `weight_decay` of Adam).
    /// Default `0`.
    #[garde(range(min = 0.0))]
    pub weight_decay: f64,
    /// Least log σ of a tanh-Gaussian policy. Default `-3`: σ of 0.05.
    #[garde(range(min = gaussian::LOG_STD.0, max = gaussian::LOG_STD.1))]
    pub min_log_std: f64,
    /// Keep some rows out to find when to stop. Default: none.
    #[garde(dive)]
    pub held_out: Option<HeldOut>,
}

impl Default for CloningConfig {
    fn default() -> Self {
        Self { updates: 10_000, batch_size: 256, lr: 3e-4, weight_decay: 0.0, min_log_std: -3.0, held_out: None }
    }
}

/// Early stopping: the policy ends as it was at its best loss on rows it was not fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct HeldOut {
    /// Share of the rows kept out, chosen at random; at least one row is kept out and one in.
    /// Default `0.1`.
    #[garde(range(min = 0.001, max = 0.9))]
    pub share: f64,
    /// Updates between measurements. Default `100`.
    #[garde(range(min = 1))]
    pub every: u64,
    /// Measurements in a row without a new best after which it stops. Default `10`.
    #[garde(range(min = 1))]
    pub patience: u64,
}

impl Default for HeldOut {
    fn default() -> Self {
        Self { share: 0.1, every: 100, patience: 10 }
    }
}
