//! The interface of a shaping, and the rows that it works on.

use std::borrow::Cow;

use liprl_numerics::StateIo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{AgentError, Flags, Metrics, WindowBatch};

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
    /// Steps of the episode before each, `R`; empty unless a shaping reads them.
    pub t: &'a [u32],
}

/// The rows of windows as single steps.
pub(crate) struct WindowRows<'a> {
    obs: Tensor,
    action: Tensor,
    next_obs: Tensor,
    flags: Cow<'a, [Flags]>,
    t: &'a [u32],
}

impl<'a> WindowRows<'a> {
    /// Every row, `B · n`.
    pub(crate) fn all(window: &'a WindowBatch) -> Result<Self, AgentError> {
        let flat = |tensor: &Tensor| tensor.f_view([window.flags.len() as i64, -1]);
        let (obs, action, next_obs) = (flat(&window.obs)?, flat(&window.action)?, flat(&window.next_obs)?);
        Ok(Self { obs, action, next_obs, flags: Cow::Borrowed(&window.flags), t: &window.t })
    }

    /// Each window's first row, `B`.
    pub(crate) fn first(window: &'a WindowBatch) -> Result<Self, AgentError> {
        let first = |tensor: &Tensor| tensor.f_select(1, 0)?.f_contiguous();
        let (obs, action, next_obs) = (first(&window.obs)?, first(&window.action)?, first(&window.next_obs)?);
        let flags = window.flags.iter().step_by(window.batch.n_step()).copied().collect();
        Ok(Self { obs, action, next_obs, flags: Cow::Owned(flags), t: &[] })
    }

    /// The steps.
    pub(crate) fn steps(&self) -> Steps<'_> {
        Steps { obs: &self.obs, action: &self.action, next_obs: &self.next_obs, flags: &self.flags, t: self.t }
    }
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
    /// ‖∇r‖₂ of the unshaped reward, or ‖∇D‖₂ of the logit, at each row, `R`; computed only when
    /// called. An error if there is no such gradient (the environment's reward).
    pub gradient_norms: &'a mut dyn FnMut(GradientOf) -> Result<Vec<f32>, AgentError>,
}

/// A function of rows that has a gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GradientOf {
    /// The reward before shaping.
    #[default]
    Reward,
    /// The discriminator's logit.
    Logit,
}

impl ShapedRows<'_> {
    /// True if row `row` counts.
    pub fn counts(&self, row: usize) -> bool {
        self.mask.is_none_or(|mask| mask[row] > 0.0)
    }
}

/// A reward's shaping.
pub trait Shaping: Send {
    /// Replaces the rows' rewards, `R`, by the shaped ones.
    fn shape(&mut self, rows: &mut ShapedRows<'_>, reward: &mut [f32], metrics: &mut Metrics)
    -> Result<(), AgentError>;

    /// The shaped reward of the one row of `rows`, the absorbing state's own, which is paid for
    /// ever. Unlike `shape` it changes no running scale, since the row was not replayed.
    fn shape_absorbing(&mut self, rows: &mut ShapedRows<'_>, reward: f32) -> Result<f32, AgentError>;

    /// Learning due once per gradient update of the agent, from replayed single steps.
    fn learn(&mut self, steps: &Steps<'_>, metrics: &mut Metrics) -> Result<(), AgentError>;

    /// True if it reads [`Steps::t`], which the replay counts only then.
    fn reads_t(&self) -> bool {
        false
    }

    /// Everything that changes; nothing by default.
    fn state(&mut self, _: &mut StateIo<'_>) -> Result<(), AgentError> {
        Ok(())
    }
}
