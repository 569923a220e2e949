//! TD3's update by autograd, on any device: the specification of the one by hand.

use liprl_nets::autograd::{gradient, leaf};
use tch::{Device, Tensor};

use super::{Measured, Moves, Td3};
use crate::{
    AgentError, Batch,
    actor_critic::{
        actor, critic,
        learner::{Learner, OnDevice, outputs, values},
        value::{self, Networks, TermSums},
    },
};

impl Td3 {
    /// What `update_rows` does.
    pub(super) fn update_autograd(&mut self, batch: &Batch, moves: Moves) -> Result<Measured, AgentError> {
        let on = OnDevice::of(batch, self.device)?;
        let smoothing = Tensor::f_from_slice(&self.smoothing)?.f_view([batch.size() as i64, -1])?.f_to(self.device)?;
        let mut target = tch::no_grad(|| self.target(&on, &smoothing))?;
        if let Some(returns) = &mut self.returns {
            target = returns.normalise_tensor(&target, &mut self.critics, &mut self.critic_targets)?;
        }

        let critics = leaf(self.critics.params().tensor());
        let used = value::used(self.spectral.as_ref(), &self.critics, &critics)?;
        let (critic_loss, regularised, term, value) = self.critic_loss(&used, &on, &target)?;
        let critic_norm = self.critics.step_tensor(&gradient(&regularised, &critics)?)?;
        if let Some(spectral) = &mut self.spectral {
            spectral.refresh(&mut self.critics)?;
        }

        let mut measured = None;
        if moves.actor {
            let policy = leaf(self.actor.params().tensor());
            let action = self.actor.forward(0, &policy, &on.obs).tanh();
            let proposed = self.values_of(self.critic_params(), &on.obs, &action)?;
            let actor_loss = actor::deterministic_loss(&proposed[0]);
            let norm = self.actor.step_tensor(&gradient(&actor_loss, &policy)?)?;
            measured = Some((actor_loss.f_double_value(&[])?, norm));
        }
        if moves.targets {
            let used = value::in_use(self.spectral.as_ref(), &self.critics);
            self.critic_targets.follow(used, self.config.tau)?;
            self.actor_target.follow(self.actor.params(), self.config.tau)?;
        }
        Ok(Measured {
            critic_loss: critic_loss.f_double_value(&[])?,
            q_mean: value.f_mean(None)?.f_double_value(&[])?,
            critic_norm,
            term,
            actor: measured,
        })
    }

    /// The critics' targets: y in units of reward `[B]`, or a distribution's `[B, N]`.
    fn target(&self, on: &OnDevice, smoothing: &Tensor) -> Result<Tensor, AgentError> {
        let action = self.actor.forward(0, self.actor_target.params.tensor(), &on.next_obs).tanh();
        let action = (action + smoothing).clamp(-1.0, 1.0);
        let targets = self.critic_targets.params.tensor();
        if let Some(distribution) = &self.distribution {
            let next = outputs(&self.critics, targets, &on.next_obs, &action)?;
            return Ok(distribution.target(&next[0], &on.reward, &on.discount));
        }
        let next = self.values_of(targets, &on.next_obs, &action)?;
        Ok(&on.reward + &on.discount * critic::backup(&next, self.config.backup.minimum_weight()))
    }

    /// The critics' loss, a scalar, the same with a regularising term, the term's sums, and the first critic's values `[B]` in units of
    /// reward; leaves the priorities in `self.errors`. `params` are the critics' as they are used.
    fn critic_loss(
        &mut self,
        params: &Tensor,
        on: &OnDevice,
        target: &Tensor,
    ) -> Result<(Tensor, Tensor, TermSums, Tensor), AgentError> {
        if let Some(distribution) = &self.distribution {
            let replayed = outputs(&self.critics, params, &on.obs, &on.action)?.swap_remove(0);
            let losses = distribution.losses(&replayed, target);
            self.errors = Vec::try_from(losses.f_detach()?.f_to(Device::Cpu)?)?;
            let loss = (losses * &on.weight).mean(None);
            return Ok((loss.shallow_clone(), loss, TermSums::default(), distribution.value(&replayed)));
        }
        let replayed = values(&self.critics, params, &on.obs, &on.action)?;
        let units = self.units();
        self.errors = critic::errors(&replayed, target)?;
        self.errors.iter_mut().for_each(|error| *error *= units.scale);
        let loss = critic::loss(&replayed, target, &on.weight, self.config.critic_loss);
        let networks = Networks { params, ..self.networks() };
        let (regularised, term) = value::add_term(self.regulariser.as_ref(), &loss, &networks, on, &replayed)?;
        Ok((loss, regularised, term, units.values(&replayed[0])))
    }
}
