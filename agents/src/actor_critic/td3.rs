//! Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, arXiv 1802.09477,
//! algorithm 1), and by its switches deep deterministic policy gradient (Lillicrap et al. 2016).
//! `equations` is the paper's update, readable first; `rows` its CPU form, held against it by the
//! tests.
//!
//! One update does, in this order: critics; then, every `policy_delay` updates (or rounds), actor
//! and targets.
//!
//! Differs from the authors' code in: the soft minimum, one critic, distributional critics,
//! normalised returns, the Huber loss, n-step targets, gradient clipping, schedules, importance
//! weights, delays counted in rounds, targets that move in every update, Ornstein–Uhlenbeck and
//! parameter noise: all off by default.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/critic_loss` | Σⱼ mean(w ℓ(Qⱼ − y)) over the batch, of normalised values with `normalise_returns`; mean(w ℓ) of a distributional critic's loss |
//! | `train/q_mean` | mean of Q₁ at the replayed pairs, in units of reward |
//! | `train/critic_grad_norm` | global norm of the critics' gradient, before clipping |
//! | `train/actor_loss` | −mean Q₁ at the policy's actions, when the actor learns |
//! | `train/actor_grad_norm` | global norm of the actor's gradient, before clipping, when it learns |
//! | `train/return_mean_estimate` | μ, the running mean of the targets y, with `normalise_returns` |
//! | `train/return_std_estimate` | σ, their running standard deviation, with `normalise_returns` |
//! | `train/parameter_noise_std` | standard deviation of the noise on the weights, with `parameter_noise` |
//! | `train/parameter_noise_distance` | how far that moves the actions (root mean square), at each adaptation |
//!
//! and those of a value regulariser, on the page of `value`.

mod equations;
mod rows;
#[cfg(test)]
mod tests;

use liprl_nets::{
    autograd::finite,
    optim::{Target, TrainState},
};
use liprl_numerics::{StateIo, StreamRng};
use rand_distr::{Distribution as _, StandardNormal};
use tch::{Device, Tensor};

use super::{
    TargetUpdates, Td3Config,
    critics::{CriticStats, Critics},
    explore::Explorer,
    learner::{Acting, Learner},
    shares::RowShares,
};
use crate::{
    AgentError, Batch, Metrics, Setup,
    cloning::{self, CloningConfig},
    error::validated,
};

/// TD3's networks and the update that trains them.
#[derive(Debug)]
pub struct Td3 {
    config: Td3Config,
    act_dim: usize,
    device: Device,
    actor: TrainState,
    actor_target: Target,
    critics: Critics,
    acting: Acting,
    explorer: Explorer,
    noise: StreamRng,
    /// Target policy smoothing's noise of one update, clipped, `[B, A]`.
    smoothing: Vec<f32>,
    shares: RowShares,
    updates: u64,
}

/// Numbers of one update for the metrics.
struct Stats {
    critics: CriticStats,
    /// The actor's loss and gradient norm, if it learnt.
    actor: Option<(f64, f64)>,
}

/// The networks that move in one update besides the critics.
#[derive(Clone, Copy)]
struct Moves {
    actor: bool,
    targets: bool,
}

impl Td3 {
    /// Networks with first weights from the run's streams. Settings that exclude one another are an
    /// error that names them.
    pub fn new(config: &Td3Config, setup: &Setup) -> Result<Self, AgentError> {
        validated(config)?;
        let shared = &config.shared;
        let policy = super::mlp(&shared.actor, setup.obs_dim, setup.act_dim);
        let mut init = setup.streams.rng("init");
        let actor = TrainState::new(vec![policy], (&shared.actor).into(), setup.device, &mut init)?;
        Ok(Self {
            critics: Critics::new(
                shared,
                (if config.twin { 2 } else { 1 }, config.critic_head),
                &actor,
                setup,
                &mut init,
            )?,
            acting: Acting::new(&actor),
            explorer: Explorer::new(config, &actor, setup),
            actor_target: actor.target()?,
            actor,
            noise: setup.streams.rng("update"),
            smoothing: Vec::new(),
            shares: RowShares::new(setup.threads)?,
            updates: 0,
            device: setup.device,
            act_dim: setup.act_dim,
            config: config.clone(),
        })
    }
}

#[cfg(test)]
impl Td3 {
    /// Takes this term into the critics' loss.
    pub(super) fn regularise(&mut self, term: Option<super::value::Regulariser>) -> Result<(), AgentError> {
        self.critics.regularise(term, &self.actor)
    }
}

impl Learner for Td3 {
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        self.explorer.act(&self.actor, &mut self.acting, obs, action)
    }

    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        let head = self.acting.head(&self.actor, obs)?;
        action.iter_mut().zip(head).for_each(|(action, head)| *action = head.tanh());
        Ok(())
    }

    fn update(&mut self, batch: &Batch, metrics: &mut Metrics) -> Result<(), AgentError> {
        let (std, clip) = (self.config.target_noise as f32, self.config.target_noise_clip as f32);
        self.smoothing.resize(batch.size() * self.act_dim, 0.0);
        for noise in &mut self.smoothing {
            let draw: f32 = StandardNormal.sample(&mut self.noise);
            *noise = (std * draw).clamp(-clip, clip);
        }
        let actor = self.config.actor_learns(self.updates);
        let moves = Moves { actor, targets: actor || self.config.target_updates == TargetUpdates::EveryUpdate };
        self.critics.begin(batch, self.updates)?;
        let stats = match self.critics.has_rows() {
            true => self.update_rows(batch, moves)?,
            false => self.update_tensors(batch, moves)?,
        };
        self.acting.refresh();
        self.updates += 1;
        self.critics.report(&stats.critics, self.updates, metrics)?;
        if let Some((loss, norm)) = stats.actor {
            finite("the actor's loss", loss, self.updates)?;
            metrics.add("train/actor_loss", loss);
            metrics.add("train/actor_grad_norm", norm);
        }
        self.explorer.adapt(&self.actor, batch, self.updates, metrics)
    }

    fn end_episode(&mut self) {
        self.explorer.end_episode();
    }

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
        let loss = cloning::fit(&mut self.actor, cloning::PolicyDistribution::Deterministic, obs, action, config, rng)?;
        self.actor_target.params.fill_from(&self.actor.params().to_vec()?)?;
        self.explorer.end_episode();
        self.acting.refresh();
        Ok(loss)
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.actor.state(&mut io.scope("actor"))?;
        self.actor_target.params.state(io, "actor/target")?;
        self.critics.state(io)?;
        self.explorer.state(io)?;
        io.value("streams/update", &mut self.noise)?;
        io.value("updates", &mut self.updates)?;
        self.acting.refresh();
        Ok(())
    }
}
