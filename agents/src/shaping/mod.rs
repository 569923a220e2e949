//! Reward shaping: something put between a reward and the learner that sees it, whatever the reward is.
//!
//! | file | what |
//! | --- | --- |
//! | `config` | the kinds a config can name, and how each is built |
//! | `purple` | r̃ = κ r with κ from the forward model's gradient (arXiv 2006.16785's pessimistic preconditioning) |
//! | `gradient` | r̃ = κ r with κ from the reward's own gradient |
//! | `constant` | r̃ = κ r with a fixed κ |
//! | `potential` | r̃ = r + γ Φ(s') − Φ(s) (Ng et al. 1999) |
//! | `kappa` | from penalties to κ, for `purple` and `gradient` |
//! | `running_std` | the running deviation κ is scaled by |
//! | `forward` | the forward model f̂(s, a) ≈ s' and the norm of its gradient |
//!
//! A shaping of your own is one file that implements [`Shaping`] and one variant of [`ShapingConfig`].
//!
//! | metric | meaning |
//! | --- | --- |
//! | `lipschitz/kappa_mean` | mean of κ over the rows of a call, with `purple` and `gradient` |
//! | `lipschitz/kappa_min` | smallest κ of a call |
//! | `lipschitz/kappa_floor_share` | share of the rows whose κ is the floor |
//! | `train/forward_model_loss` | squared error of f̂, mean over rows and coordinates, with `purple` |

mod config;
mod constant;
mod forward;
mod gradient;
mod kappa;
mod potential;
mod purple;
mod running_std;
#[cfg(test)]
mod testing;

use tch::Tensor;

pub use config::ShapingConfig;
pub use constant::{Constant, ConstantConfig};
pub use forward::{ForwardModel, ForwardModelConfig};
pub use gradient::{Gradient, GradientConfig};
pub use kappa::KappaOptions;
pub use potential::{LinearTerm, Potential, PotentialConfig, PotentialFunction, QuadraticTerm};
pub use purple::{Purple, PurpleConfig};
pub(crate) use running_std::RunningStd;

use crate::{AgentError, Flags, Metrics};
use liprl_numerics::StateIo;

/// Single steps (s, a, s'), `R` of them, contiguous f32 on the CPU. Observations are the environment's own, not normalised;
/// those that the flags call absorbing may hold anything finite.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// s, `[R, O]`.
    pub obs: &'a Tensor,
    /// a, `[R, A]`, in `[-1, 1]`.
    pub action: &'a Tensor,
    /// s', `[R, O]`.
    pub next_obs: &'a Tensor,
    /// How each ended and what is absorbing, `R`.
    pub flags: &'a [Flags],
}

/// The steps whose reward is asked for: `B · n` of them for n-step windows, row-major.
pub struct Rows<'a> {
    /// The steps.
    pub steps: Steps<'a>,
    /// Rows in a window, n; 1 where steps come singly.
    pub window: usize,
    /// For windows: 1 for rows that count, 0 for those beyond a window's cut, `R` (`WindowBatch::mask`). None: all count.
    pub mask: Option<&'a [f32]>,
    /// ‖∇r‖₂ of the unshaped reward at each row, `R`; computed only when called. An error where the reward has none (the
    /// environment's).
    pub reward_gradient: &'a mut dyn FnMut() -> Result<Vec<f32>, AgentError>,
}

impl Rows<'_> {
    /// Whether row `row` counts.
    pub fn counts(&self, row: usize) -> bool {
        self.mask.is_none_or(|mask| mask[row] > 0.0)
    }
}

/// A reward's shaping.
pub trait Shaping {
    /// Replaces the rows' rewards, `R`, by the shaped ones.
    fn shape(&mut self, rows: &mut Rows<'_>, reward: &mut [f32], metrics: &mut Metrics) -> Result<(), AgentError>;

    /// The shaped reward of the one row of `rows`, the absorbing state's own, which is paid for ever: as `shape`, but no running scale takes it in, since it
    /// was not replayed.
    fn shape_absorbing(&mut self, rows: &mut Rows<'_>, reward: f32) -> Result<f32, AgentError>;

    /// Learning due once per gradient update of the agent, from replayed single steps.
    fn learn(&mut self, steps: &Steps<'_>, metrics: &mut Metrics) -> Result<(), AgentError>;

    /// Everything that changes; nothing by default.
    fn state(&mut self, _: &mut StateIo<'_>) -> Result<(), AgentError> {
        Ok(())
    }
}
