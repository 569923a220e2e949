//! The update of TD3 (Fujimoto et al. 2018, arXiv 1802.09477, algorithm 1), by autograd on any device.
//!
//! - smoothed target action: ã' = clip(tanh μ'(s') + ε, −1, 1), ε clipped normal noise;
//! - targets: y = r + γᵏ V(s', ã'), V the smaller target critic's value, or a soft minimum (`critics::equations`);
//! - critics: one step down Σⱼ mean(w ℓ(Qⱼ(s, a) − y));
//! - actor: one step down −mean Q₁(s, tanh μ(s)) (Silver et al. 2014);
//! - a distributional critic's target and loss are in `distribution`.

use liprl_nets::autograd::{gradient, leaf};
use tch::Tensor;

use super::{Moves, Stats, Td3};
use crate::{
    AgentError, Batch,
    actor_critic::{batch::DeviceBatch, critics::equations::backup},
};

impl Td3 {
    /// One update on this batch. The specification of `update_rows`.
    pub(super) fn update_tensors(&mut self, batch: &Batch, moves: Moves) -> Result<Stats, AgentError> {
        let on = DeviceBatch::of(batch, self.device)?;
        let smoothing = Tensor::f_from_slice(&self.smoothing)?.f_view([batch.size() as i64, -1])?.f_to(self.device)?;
        let tau = moves.targets.then_some(self.config.shared.tau);

        let target = tch::no_grad(|| self.target_values(&on, &smoothing))?;
        let critics = self.critics.step(target, &on, &self.actor, tau)?;

        let mut actor = None;
        if moves.actor {
            let policy = leaf(self.actor.params().tensor());
            let action = self.actor.forward(0, &policy, &on.obs).tanh();
            let loss = actor_loss(&self.critics.values(&on.obs, &action)?);
            let norm = self.actor.step_tensor(&gradient(&loss, &policy)?)?;
            actor = Some((loss.f_double_value(&[])?, norm));
        }
        if let Some(tau) = tau {
            self.actor_target.follow(self.actor.params(), tau)?;
        }
        Ok(Stats { critics, actor })
    }

    /// y `[B]` in units of reward, or a distribution's target `[B, N]`.
    fn target_values(&self, on: &DeviceBatch, smoothing: &Tensor) -> Result<Tensor, AgentError> {
        let action = self.actor.forward(0, self.actor_target.params.tensor(), &on.next_obs).tanh();
        let action = (action + smoothing).clamp(-1.0, 1.0);
        if let Some(target) = self.critics.distribution_target(on, &action)? {
            return Ok(target);
        }
        let next = self.critics.target_values(&on.next_obs, &action)?;
        Ok(&on.reward + &on.discount * backup(&next, self.config.backup.minimum_weight()))
    }
}

/// The actor's loss, a scalar, from the critics' values of the policy's actions, one `[B]` each.
pub(super) fn actor_loss(values: &[Tensor]) -> Tensor {
    -values[0].mean(None)
}
