//! SAC's update by autograd, on any device: the specification of the one by hand.

use liprl_nets::{
    autograd::{gradient, leaf},
    gaussian,
};
use tch::Tensor;

use super::{Measured, Sac};
use crate::{
    AgentError, Batch,
    actor_critic::{
        actor, critic,
        learner::{Learner, OnDevice, values},
        value::{self, Networks},
    },
};

impl Sac {
    /// What `update_rows` does.
    pub(super) fn update_autograd(&mut self, batch: &Batch, move_targets: bool) -> Result<Measured, AgentError> {
        let on = OnDevice::of(batch, self.device)?;
        let rows = batch.size() as i64;
        let draws =
            |draws: &[f32]| Ok::<_, AgentError>(Tensor::f_from_slice(draws)?.f_view([rows, -1])?.f_to(self.device)?);
        let (next_noise, noise) = (draws(&self.draws[0])?, draws(&self.draws[1])?);
        let alpha = self.tuner.alpha();
        let mut target = tch::no_grad(|| {
            let head = self.actor.forward(0, self.actor.params().tensor(), &on.next_obs);
            let (next_action, log_prob) = gaussian::sample(&head, &next_noise);
            let next = self.values_of(self.targets.params.tensor(), &on.next_obs, &next_action)?;
            Ok::<_, AgentError>(&on.reward + &on.discount * (critic::backup(&next, 1.0) - log_prob * alpha))
        })?;
        if let Some(returns) = &mut self.returns {
            target = returns.normalise_tensor(&target, &mut self.critics, &mut self.targets)?;
        }
        let units = self.units();

        let critics = leaf(self.critics.params().tensor());
        let used = value::used(self.spectral.as_ref(), &self.critics, &critics)?;
        let replayed = values(&self.critics, &used, &on.obs, &on.action)?;
        let critic_loss = critic::loss(&replayed, &target, &on.weight, self.config.critic_loss);
        let networks = Networks { params: &used, ..self.networks() };
        let (regularised, term) = value::add_term(self.regulariser.as_ref(), &critic_loss, &networks, &on, &replayed)?;
        let critic_norm = self.critics.step_tensor(&gradient(&regularised, &critics)?)?;
        if let Some(spectral) = &mut self.spectral {
            spectral.refresh(&mut self.critics)?;
        }
        self.errors = critic::errors(&replayed, &target)?;
        self.errors.iter_mut().for_each(|error| *error *= units.scale);

        let policy = leaf(self.actor.params().tensor());
        let (action, log_prob) = gaussian::sample(&self.actor.forward(0, &policy, &on.obs), &noise);
        let proposed = self.values_of(self.critic_params(), &on.obs, &action)?;
        let actor_loss = actor::soft_loss(alpha, &log_prob, &proposed);
        let actor_norm = self.actor.step_tensor(&gradient(&actor_loss, &policy)?)?;

        if move_targets {
            let used = value::in_use(self.spectral.as_ref(), &self.critics);
            self.targets.follow(used, self.config.tau)?;
        }
        let mean = |tensor: &Tensor| tensor.f_mean(None)?.f_double_value(&[]);
        Ok(Measured {
            critic_loss: mean(&critic_loss)?,
            q_mean: mean(&units.values(&replayed[0]))?,
            critic_norm,
            term,
            actor_loss: mean(&actor_loss)?,
            actor_norm,
            log_prob: mean(&log_prob)?,
        })
    }
}
