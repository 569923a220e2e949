//! The update of soft actor–critic (Haarnoja et al. 2018, arXiv 1812.05905), by autograd on any
//! device.
//!
//! - targets: y = r + γᵏ (min(Q₁', Q₂')(s', ã') − α log π(ã'|s')), γᵏ = 0 after a termination (eq.
//!   3 and 5);
//! - critics: one step down Σⱼ mean(w ℓ(Qⱼ(s, a) − y)) (eq. 5; `critics::equations`);
//! - actor: one step down mean(α log π(ã|s) − min(Q₁, Q₂)(s, ã)), ã = tanh(μ + σ ε) (eq. 9);
//! - temperature: `temperature` (eq. 18).

use liprl_nets::{
    autograd::{gradient, leaf},
    gaussian,
};
use tch::Tensor;

use super::{Sac, Stats};
use crate::{
    AgentError, Batch,
    actor_critic::{batch::DeviceBatch, critics::equations::backup},
};

impl Sac {
    /// One update on this batch; with `tau` the target critics follow. The specification of
    /// `update_rows`.
    pub(super) fn update_tensors(&mut self, batch: &Batch, tau: Option<f64>) -> Result<Stats, AgentError> {
        let on = DeviceBatch::of(batch, self.device)?;
        let draws = |draws: &[f32]| Tensor::f_from_slice(draws)?.f_view([batch.size() as i64, -1])?.f_to(self.device);
        let (next_noise, noise) = (draws(&self.draws[0])?, draws(&self.draws[1])?);

        let target = tch::no_grad(|| self.target_values(&on, &next_noise))?;
        let critics = self.critics.step(target, &on, &self.actor, tau)?;

        let policy = leaf(self.actor.params().tensor());
        let (action, log_prob) = gaussian::sample(&self.actor.forward(0, &policy, &on.obs), &noise);
        let loss = actor_loss(self.tuner.alpha(), &log_prob, &self.critics.values(&on.obs, &action)?);
        let actor_norm = self.actor.step_tensor(&gradient(&loss, &policy)?)?;

        let mean = |tensor: &Tensor| tensor.f_mean(None)?.f_double_value(&[]);
        Ok(Stats { critics, actor_loss: mean(&loss)?, actor_norm, log_prob: mean(&log_prob)? })
    }

    /// y `[B]`, in units of reward; `noise [B, A]` is ε at the next observations.
    fn target_values(&self, on: &DeviceBatch, noise: &Tensor) -> Result<Tensor, AgentError> {
        let head = self.actor.forward(0, self.actor.params().tensor(), &on.next_obs);
        let (action, log_prob) = gaussian::sample(&head, noise);
        let next = backup(&self.critics.target_values(&on.next_obs, &action)?, 1.0);
        Ok(&on.reward + &on.discount * (next - log_prob * self.tuner.alpha()))
    }
}

/// The actor's loss, a scalar, from log-probabilities `[B]` and the critics' values of the same
/// actions, one `[B]` each.
pub(super) fn actor_loss(alpha: f64, log_prob: &Tensor, values: &[Tensor]) -> Tensor {
    (log_prob * alpha - backup(values, 1.0)).mean(None)
}
