//! Reward shaping: a change of any reward before the learner sees it.
//!
//! | file | content |
//! | --- | --- |
//! | `rows` | the interface of a shaping, [`Shaping`] |
//! | `config` | the kinds that a config can name, each with its constructor |
//! | `purple` | r̃ = κ r with κ from the forward model's gradient (arXiv 2006.16785's pessimistic preconditioning) |
//! | `gradient` | r̃ = κ r with κ from the gradient of the reward or the logit |
//! | `constant` | r̃ = κ r with a fixed κ |
//! | `expression` | r̃ = r + γ Φ(s') − Φ(s) + bonus, by formulas of the config (Ng et al. 1999) |
//! | `kappa` | from penalties to κ, for `purple` and `gradient` |
//! | `running_std` | the running deviation that scales κ's penalties |
//! | `forward` | the forward model f̂(s, a) ≈ s' and the norm of its gradient |
//!
//! A shaping of your own is one file that implements [`Shaping`] and [`ShapingKind`] for its settings.
//! Those of this crate are listed in `config`; docs/extending.md has one of another crate.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `lipschitz/kappa_mean` | mean of κ over the rows of a call, with `purple` and `gradient` |
//! | `lipschitz/kappa_min` | smallest κ of a call |
//! | `lipschitz/kappa_floor_share` | share of the rows whose κ is the floor |
//! | `train/forward_model_loss` | squared error of f̂, mean over rows and coordinates, with `purple` |

mod config;
mod constant;
mod expression;
mod forward;
mod gradient;
mod kappa;
mod purple;
mod rows;
mod running_std;
#[cfg(test)]
mod testing;

pub use config::{ShapingConfig, ShapingKind};
pub(crate) use config::{forward_model, no_gradient};
pub use constant::{Constant, ConstantConfig};
pub use expression::{Expression, ExpressionConfig};
pub use forward::{ForwardModel, ForwardModelConfig};
pub use gradient::{Gradient, GradientConfig};
pub use kappa::KappaOptions;
pub use purple::{Purple, PurpleConfig};
pub(crate) use rows::WindowRows;
pub use rows::{GradientOf, ShapedRows, Shaping, Steps};
pub(crate) use running_std::RunningStd;
