//! Behaviour cloning: a policy network fitted to an expert's actions (Pomerleau 1989), as a start
//! for an actor–critic or as the baseline it has to beat.
//!
//! | file | content |
//! | --- | --- |
//! | `distribution` | the action distributions and their losses, by autograd and by hand |
//! | `fit` | minibatches, early stopping |
//! | `fitting` | the copy of the policy that is fitted, with an optimiser of its own |

mod config;
mod distribution;
mod fit;
mod fitting;

pub use config::{CloningConfig, HeldOut};
pub use distribution::{ACTION_LIMIT, PolicyDistribution};
pub use fit::fit;
