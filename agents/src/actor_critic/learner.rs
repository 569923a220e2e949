//! Interface of an off-policy actor–critic: it acts, and learns from batches, wherever those come
//! from.

use liprl_nets::optim::TrainState;
use liprl_numerics::{Single, StateIo, StreamRng};
use tch::Tensor;

use super::critics::Critics;
use crate::{AgentError, Batch, Metrics, cloning::CloningConfig};

/// An actor–critic without a replay buffer. Observations come normalised, actions are in `[-1, 1]`.
pub trait Learner {
    /// An exploring action.
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError>;

    /// The greedy action. Draws nothing, changes nothing.
    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError>;

    /// One gradient update on this batch; its metrics are added to `metrics`.
    fn update(&mut self, batch: &Batch, metrics: &mut Metrics) -> Result<(), AgentError>;

    /// The episode ended: exploration starts anew.
    fn end_episode(&mut self);

    /// Updates done.
    fn updates(&self) -> u64;

    /// The policy's network; its first A outputs, through tanh, are the greedy action.
    fn actor(&self) -> &TrainState;

    /// The critics, each of (s, a).
    fn critics(&self) -> &Critics;

    /// Fits the policy to actions `[E, A]` in `[-1, 1]` at observations `[E, O]` as it sees them
    /// (behaviour cloning); targets that follow it start again as its copies. Returns the loss it
    /// ends with; see `cloning` for both.
    fn clone_policy(
        &mut self,
        obs: &Tensor,
        action: &Tensor,
        config: &CloningConfig,
        rng: &mut StreamRng,
    ) -> Result<f64, AgentError>;

    /// Everything that changes.
    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError>;
}

/// The policy network for one observation at a time, on the CPU wherever it trains.
#[derive(Debug)]
pub(crate) struct Acting {
    single: Single,
    /// A copy of the parameters if they live on another device; empty when it has to be fetched.
    copy: Vec<f32>,
}

impl Acting {
    pub(crate) fn new(actor: &TrainState) -> Self {
        Self { single: Single::new(&actor.mlps()[0]), copy: Vec::new() }
    }

    /// The network's output at `obs`.
    pub(crate) fn head(&mut self, actor: &TrainState, obs: &[f32]) -> Result<&[f32], AgentError> {
        if actor.params().tensor().device() == tch::Device::Cpu {
            return Ok(self.single.forward(actor.params().slice(), obs));
        }
        if self.copy.is_empty() {
            self.copy = actor.params().to_vec()?;
        }
        Ok(self.single.forward(&self.copy, obs))
    }

    /// The parameters changed.
    pub(crate) fn refresh(&mut self) {
        self.copy.clear();
    }
}
