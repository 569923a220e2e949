//! The interface of a shaping, and the rows that it works on.

use liprl_numerics::StateIo;
use tch::Tensor;

use crate::{AgentError, Flags, Metrics};

/// Single steps (s, a, s'), `R` of them, contiguous f32 on the CPU. Observations are the
/// environment's own, not normalised; those that the flags call absorbing may hold anything finite.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// s, `[R, O]`.
    pub obs: &'a Tensor,
    /// a, `[R, A]`, in `[-1, 1]`.
    pub action: &'a Tensor,
    /// s', `[R, O]`.
    pub next_obs: &'a Tensor,
    /// Ends of episodes and absorbing states, `R`.
    pub flags: &'a [Flags],
}

/// The steps whose rewards are shaped: `B · n` of them for n-step windows, row-major.
pub struct ShapedRows<'a> {
    /// The steps.
    pub steps: Steps<'a>,
    /// Rows in a window, n; 1 for single steps.
    pub window: usize,
    /// For windows: 1 for rows that count, 0 for those beyond a window's cut, `R`
    /// (`WindowBatch::mask`). `None`: all count.
    pub mask: Option<&'a [f32]>,
    /// ‖∇r‖₂ of the unshaped reward at each row, `R`; computed only when called. An error if the
    /// reward has no gradient (the environment's).
    pub reward_gradient: &'a mut dyn FnMut() -> Result<Vec<f32>, AgentError>,
}

impl ShapedRows<'_> {
    /// True if row `row` counts.
    pub fn counts(&self, row: usize) -> bool {
        self.mask.is_none_or(|mask| mask[row] > 0.0)
    }
}

/// A reward's shaping.
pub trait Shaping {
    /// Replaces the rows' rewards, `R`, by the shaped ones.
    fn shape(&mut self, rows: &mut ShapedRows<'_>, reward: &mut [f32], metrics: &mut Metrics)
    -> Result<(), AgentError>;

    /// The shaped reward of the one row of `rows`, the absorbing state's own, which is paid for
    /// ever. Unlike `shape` it changes no running scale, since the row was not replayed.
    fn shape_absorbing(&mut self, rows: &mut ShapedRows<'_>, reward: f32) -> Result<f32, AgentError>;

    /// Learning due once per gradient update of the agent, from replayed single steps.
    fn learn(&mut self, steps: &Steps<'_>, metrics: &mut Metrics) -> Result<(), AgentError>;

    /// Everything that changes; nothing by default.
    fn state(&mut self, _: &mut StateIo<'_>) -> Result<(), AgentError> {
        Ok(())
    }
}
