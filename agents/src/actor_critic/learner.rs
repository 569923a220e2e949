//! What SAC and TD3 are to the agents built on them: something that acts and learns from batches, wherever those come from.

use liprl_nets::{NetsError, optim::Trained};
use liprl_numerics::{Single, StateIo, StreamRng};
use tch::Tensor;

use crate::{AgentError, Batch, Metrics, cloning::CloningConfig};

/// An actor–critic without a replay buffer. Observations come normalised, actions are in `[-1, 1]`.
pub trait Learner {
    /// An exploring action.
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError>;

    /// The best action it knows. Draws nothing, changes nothing.
    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError>;

    /// One gradient update on this batch; its metrics are added to `metrics`.
    fn update(&mut self, batch: &Batch, metrics: &mut Metrics) -> Result<(), AgentError>;

    /// Of the last batch, each row's priority in prioritised replay, `[B]`: |δ| in units of reward (mean over the critics), or a
    /// distributional critic's loss.
    fn errors(&self) -> Vec<f32>;

    /// The episode ended: exploration starts anew.
    fn end_episode(&mut self);

    /// Updates done.
    fn updates(&self) -> u64;

    /// The policy's network; its first A outputs, through tanh, are the greedy action.
    fn actor(&self) -> &Trained;

    /// The critics, each of (s, a).
    fn critics(&self) -> &Trained;

    /// The parameters the critics are used with, on their device: the learnt ones, or what spectral normalisation makes of them.
    fn critic_params(&self) -> &Tensor;

    /// What one unit of a scalar critic's output is worth in reward; nothing where the critic puts out a distribution.
    fn output_scale(&self) -> Option<f64>;

    /// Fits the policy to actions `[E, A]` in `[-1, 1]` at observations `[E, O]` as it sees them (behaviour cloning); targets that
    /// follow it start again as its copies. Returns the loss it ends with; see `cloning` for both.
    fn clone_policy(
        &mut self,
        obs: &Tensor,
        action: &Tensor,
        config: &CloningConfig,
        rng: &mut StreamRng,
    ) -> Result<f64, AgentError>;

    /// Each critic's values `[B]` at `obs [B, O]` and `action [B, A]` on the critics' device, in units of reward, by autograd.
    fn values(&self, obs: &Tensor, action: &Tensor) -> Result<Vec<Tensor>, NetsError>;

    /// Everything that changes.
    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError>;
}

/// The policy network for one observation at a time, on the CPU wherever it trains.
#[derive(Debug)]
pub(crate) struct Acting {
    single: Single,
    /// A copy of the parameters where they live on another device; empty when it has to be fetched.
    copy: Vec<f32>,
}

impl Acting {
    pub(crate) fn new(actor: &Trained) -> Self {
        Self { single: Single::new(&actor.mlps()[0]), copy: Vec::new() }
    }

    /// The network's output at `obs`.
    pub(crate) fn head(&mut self, actor: &Trained, obs: &[f32]) -> Result<&[f32], AgentError> {
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

/// A batch's tensors on a learner's device.
pub(crate) struct OnDevice {
    pub(crate) obs: Tensor,
    pub(crate) action: Tensor,
    pub(crate) reward: Tensor,
    pub(crate) discount: Tensor,
    pub(crate) next_obs: Tensor,
    pub(crate) weight: Tensor,
}

impl OnDevice {
    pub(crate) fn of(batch: &Batch, device: tch::Device) -> Result<Self, AgentError> {
        Ok(Self {
            obs: batch.obs.f_to(device)?,
            action: batch.action.f_to(device)?,
            reward: batch.reward.f_to(device)?,
            discount: batch.discount.f_to(device)?,
            next_obs: batch.next_obs.f_to(device)?,
            weight: batch.weight.f_to(device)?,
        })
    }
}

/// Each critic's outputs `[B, N]` at (`obs`, `action`), by autograd over `params`.
pub(super) fn outputs(
    critics: &Trained,
    params: &Tensor,
    obs: &Tensor,
    action: &Tensor,
) -> Result<Vec<Tensor>, NetsError> {
    let pairs = Tensor::f_cat(&[obs, action], 1)?;
    Ok((0..critics.mlps().len()).map(|index| critics.forward(index, params, &pairs)).collect())
}

/// The outputs `[B]` of critics that have one each, as `outputs`.
pub(super) fn values(
    critics: &Trained,
    params: &Tensor,
    obs: &Tensor,
    action: &Tensor,
) -> Result<Vec<Tensor>, NetsError> {
    outputs(critics, params, obs, action)?.iter().map(|output| Ok(output.f_squeeze_dim(-1)?)).collect()
}
