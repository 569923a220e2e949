//! A reward model that relabels replayed transitions when they are drawn.

use liprl_control::certify::Certifiable;
use liprl_numerics::{RunningNormaliser, StateIo};

use super::{Learner, ProbedPairs};
use crate::{AgentError, Flags, Metrics, Replay, Transition, Visited, WindowBatch};

/// A reward other than the environment's, which may learn too. One that does not needs `relabel`
/// alone.
pub trait Rewards: Send {
    /// Called once, before the first action of a run: a start for the learner (a clone).
    /// The normaliser is what its observations go through.
    fn begin(&mut self, _: &mut dyn Learner, _: Option<&mut RunningNormaliser>) -> Result<(), AgentError> {
        Ok(())
    }

    /// True if `begin` fits the learner to observations standardised as they were then. They stay
    /// so until learning starts: the steps before it, often random, would leave the clone with
    /// inputs that it has not learnt.
    fn holds_moments(&self) -> bool {
        false
    }

    /// True if it reads [`WindowBatch::t`], which the buffer counts only then.
    fn reads_t(&self) -> bool {
        false
    }

    /// Puts a transition into the buffer, marked as `relabel` wants it.
    fn observe(&mut self, transition: &Transition<'_>, replay: &mut Replay) -> Result<(), AgentError> {
        replay.push(transition, Flags::NONE)
    }

    /// Replaces the returns of `window.batch` by those of its own rewards; changes discounts if
    /// terminations are worth something.
    fn relabel(&mut self, window: &mut WindowBatch, metrics: &mut Metrics) -> Result<(), AgentError>;

    /// Learning due after each update of the learner that does not depend on it: it may run at the
    /// same time.
    fn learn_beside(&mut self, _: &Replay, _: &mut Metrics) -> Result<(), AgentError> {
        Ok(())
    }

    /// True if `learn` changes the rewards of windows drawn later.
    fn learns_from_windows(&self) -> bool {
        true
    }

    /// Other learning due after each update of the learner; the windows are what that update was on.
    fn learn(&mut self, _: &Replay, _: &WindowBatch, _: &mut Metrics) -> Result<(), AgentError> {
        Ok(())
    }

    /// The demonstrations as pairs, for `diagnose` to measure at too.
    fn expert_pairs(&self) -> Option<Visited> {
        None
    }

    /// Gradient norms of the reward at these pairs, under metric names; changes no state.
    fn diagnose(&mut self, _: &[ProbedPairs]) -> Result<Vec<(String, f64)>, AgentError> {
        Ok(Vec::new())
    }

    /// Weights for TensorBoard; changes no state.
    fn histograms(&mut self) -> Result<Vec<(String, Vec<f32>)>, AgentError> {
        Ok(Vec::new())
    }

    /// The networks it has, for certificates.
    fn networks(&self) -> Result<Vec<Certifiable>, AgentError> {
        Ok(Vec::new())
    }

    /// Everything that changes.
    fn state(&mut self, _: &mut StateIo<'_>) -> Result<(), AgentError> {
        Ok(())
    }
}
