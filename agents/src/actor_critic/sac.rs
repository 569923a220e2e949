//! Soft actor–critic (Haarnoja et al. 2018, arXiv 1812.05905, algorithm 1): twin critics, a
//! tanh-Gaussian policy, a tuned temperature. `equations` is the paper's update, readable first;
//! `rows` its CPU form, held against it by the tests.
//!
//! One update does, in this order: critics, target critics, actor, temperature.
//!
//! Differs from the authors' code (softlearning) in:
//! 1. the order is fixed; there the three losses are evaluated in one graph call before any step is
//!    taken;
//! 2. the target critics move with the critics, before the actor learns, which makes no difference
//!    to it;
//! 3. n-step targets, normalised returns, the Huber loss, gradient clipping, schedules, importance
//!    weights: all off by default.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/critic_loss` | Σⱼ mean(w ℓ(Qⱼ − y)) over the batch, of normalised values with `normalise_returns` |
//! | `train/q_mean` | mean of Q₁ at the replayed pairs, in units of reward |
//! | `train/critic_grad_norm` | global norm of the critics' gradient, before clipping |
//! | `train/actor_loss` | mean(α log π − min Q) |
//! | `train/actor_grad_norm` | global norm of the actor's gradient, before clipping |
//! | `train/entropy` | −mean log π, in nats |
//! | `train/alpha` | the temperature used in this update |
//! | `train/return_mean_estimate` | μ, the running mean of the targets y, with `normalise_returns` |
//! | `train/return_std_estimate` | σ, their running standard deviation, with `normalise_returns` |
//!
//! and those of a value regulariser, on the page of `value`.

mod equations;
mod rows;
#[cfg(test)]
mod tests;

use liprl_nets::{autograd::finite, gaussian, optim::TrainState};
use liprl_numerics::{StateIo, StreamRng};
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Tensor};

use super::{
    CriticHead, SacConfig,
    critics::{CriticStats, Critics},
    learner::{Acting, Learner},
    shares::RowShares,
    temperature::Tuner,
};
use crate::{
    AgentError, Batch, Metrics, Setup,
    cloning::{self, CloningConfig},
    error::validated,
};

/// SAC's networks and the update that trains them.
#[derive(Debug)]
pub struct Sac {
    config: SacConfig,
    act_dim: usize,
    device: Device,
    actor: TrainState,
    critics: Critics,
    tuner: Tuner,
    acting: Acting,
    exploration: StreamRng,
    noise: StreamRng,
    /// ε of one update: for the next observations, then for the current ones, `[B, A]` each.
    draws: [Vec<f32>; 2],
    shares: RowShares,
    updates: u64,
}

/// Numbers of one update for the metrics.
struct Stats {
    critics: CriticStats,
    actor_loss: f64,
    actor_norm: f64,
    log_prob: f64,
}

impl Sac {
    /// Networks with first weights from the run's streams.
    pub fn new(config: &SacConfig, setup: &Setup) -> Result<Self, AgentError> {
        validated(config)?;
        let shared = &config.shared;
        let policy = super::mlp(&shared.actor, setup.obs_dim, 2 * setup.act_dim);
        let mut init = setup.streams.rng("init");
        let actor = TrainState::new(vec![policy], (&shared.actor).into(), setup.device, &mut init)?;
        Ok(Self {
            critics: Critics::new(shared, (2, CriticHead::Scalar), &actor, setup, &mut init)?,
            acting: Acting::new(&actor),
            actor,
            tuner: Tuner::new(&config.temperature),
            exploration: setup.streams.rng("exploration"),
            noise: setup.streams.rng("update"),
            draws: [Vec::new(), Vec::new()],
            shares: RowShares::new(setup.threads)?,
            updates: 0,
            device: setup.device,
            act_dim: setup.act_dim,
            config: config.clone(),
        })
    }

    /// Updates by autograd from now on, as on another device: for comparison.
    #[doc(hidden)]
    #[must_use]
    pub fn by_autograd(mut self) -> Self {
        self.critics.leave_out_rows();
        self
    }
}

#[cfg(test)]
impl Sac {
    /// Takes this term into the critics' loss.
    pub(super) fn regularise(&mut self, term: Option<super::value::Regulariser>) -> Result<(), AgentError> {
        self.critics.regularise(term, &self.actor)
    }
}

impl Learner for Sac {
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        let head = self.acting.head(&self.actor, obs)?;
        let (mean, log_std) = head.split_at(action.len());
        for ((action, mean), log_std) in action.iter_mut().zip(mean).zip(log_std) {
            let (low, high) = gaussian::LOG_STD;
            let draw: f32 = StandardNormal.sample(&mut self.exploration);
            *action = (mean + log_std.clamp(low as f32, high as f32).exp() * draw).tanh();
        }
        Ok(())
    }

    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        let head = self.acting.head(&self.actor, obs)?;
        action.iter_mut().zip(head).for_each(|(action, mean)| *action = mean.tanh());
        Ok(())
    }

    fn update(&mut self, batch: &Batch, metrics: &mut Metrics) -> Result<(), AgentError> {
        for draws in &mut self.draws {
            draws.resize(batch.size() * self.act_dim, 0.0);
            draws.iter_mut().for_each(|draw| *draw = StandardNormal.sample(&mut self.noise));
        }
        let alpha = self.tuner.alpha();
        let tau = (self.updates + 1).is_multiple_of(self.config.target_update_every).then_some(self.config.shared.tau);
        self.critics.begin(batch, self.updates)?;
        let stats = match self.critics.has_rows() {
            true => self.update_rows(batch, tau)?,
            false => self.update_tensors(batch, tau)?,
        };
        self.tuner.step(&self.config.temperature, stats.log_prob, self.act_dim);
        self.acting.refresh();
        self.updates += 1;
        self.critics.report(&stats.critics, self.updates, metrics)?;
        finite("the actor's loss", stats.actor_loss, self.updates)?;
        metrics.add("train/actor_loss", stats.actor_loss);
        metrics.add("train/actor_grad_norm", stats.actor_norm);
        metrics.add("train/entropy", -stats.log_prob);
        metrics.add("train/alpha", alpha);
        Ok(())
    }

    fn end_episode(&mut self) {}

    fn updates(&self) -> u64 {
        self.updates
    }

    fn actor(&self) -> &TrainState {
        &self.actor
    }

    fn critics(&self) -> &Critics {
        &self.critics
    }

    fn clone_policy(
        &mut self,
        obs: &Tensor,
        action: &Tensor,
        config: &CloningConfig,
        rng: &mut StreamRng,
    ) -> Result<f64, AgentError> {
        let loss = cloning::fit(&mut self.actor, cloning::PolicyDistribution::Gaussian, obs, action, config, rng)?;
        self.acting.refresh();
        Ok(loss)
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.actor.state(&mut io.scope("actor"))?;
        self.critics.state(io)?;
        self.tuner.state(io)?;
        io.value("streams/exploration", &mut self.exploration)?;
        io.value("streams/update", &mut self.noise)?;
        io.value("updates", &mut self.updates)?;
        self.acting.refresh();
        Ok(())
    }
}
