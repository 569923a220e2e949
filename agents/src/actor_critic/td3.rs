//! Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, arXiv 1802.09477, algorithm 1), and by its switches
//! deep deterministic policy gradient (Lillicrap et al. 2016). One update does, in this order: critics; then, every
//! `policy_delay` updates (or rounds), actor and targets.
//!
//! Differs from the authors' code in: the soft minimum, one critic, distributional critics, normalised returns, the Huber loss, n-step
//! targets, gradient clipping, schedules, importance weights, delays counted in rounds, targets that move in every update,
//! Ornstein–Uhlenbeck and parameter noise: all off by default.
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

mod autograd;
mod rows;

use rand_distr::{Distribution as _, StandardNormal};
use tch::{Device, Tensor};

use super::{
    TargetUpdates, Td3Config,
    critic::CriticRows,
    distribution::Distribution,
    explore::Explorer,
    learner::{Acting, Learner, outputs},
    returns::{Returns, Units},
    value::{self, Networks, Regulariser, SpectralCritics, TermSums},
};
use crate::error::validated;
use crate::{
    AgentError, Batch, Metrics, Setup,
    cloning::{self, CloningConfig},
};
use liprl_nets::NetsError;
use liprl_nets::{
    Gradient, Team,
    optim::{Target, Trained},
};
use liprl_nets::{NetworkConfig, autograd::finite};
use liprl_numerics::{Mlp, StateIo, StreamRng};

use rows::Member;

/// TD3's networks and the update that trains them.
#[derive(Debug)]
pub struct Td3 {
    config: Td3Config,
    act_dim: usize,
    device: Device,
    actor: Trained,
    actor_target: Target,
    critics: Trained,
    critic_targets: Target,
    /// What the critic's outputs mean where they are not the value.
    distribution: Option<Distribution>,
    spectral: Option<SpectralCritics>,
    regulariser: Option<Regulariser>,
    /// Whether the update has a form by hand: on a CPU, unless the regulariser has none for these critics.
    by_hand: bool,
    returns: Option<Returns>,
    acting: Acting,
    explorer: Explorer,
    noise: StreamRng,
    /// Target policy smoothing's noise of one update, clipped, `[B, A]`.
    smoothing: Vec<f32>,
    team: Team,
    /// One for each member of the team, with its share of the batch they are bound to.
    members: Vec<Member>,
    errors: Vec<f32>,
    updates: u64,
}

/// What one update measured.
struct Measured {
    critic_loss: f64,
    q_mean: f64,
    critic_norm: f64,
    term: TermSums,
    /// The actor's loss and gradient norm, where it learnt.
    actor: Option<(f64, f64)>,
}

/// Which networks move in one update besides the critics.
#[derive(Clone, Copy)]
struct Moves {
    actor: bool,
    targets: bool,
}

impl Td3 {
    /// Networks with first weights from the run's streams. Settings that exclude one another are an error that names them.
    pub fn new(config: &Td3Config, setup: &Setup) -> Result<Self, AgentError> {
        validated(config)?;
        let (obs_dim, act_dim) = (setup.obs_dim, setup.act_dim);
        let net = |net: &NetworkConfig, inputs, outputs| {
            Mlp::new(inputs, &net.hidden, outputs, net.activation, net.layer_norm, net.init)
        };
        let policy = net(&config.actor, obs_dim, act_dim);
        let critic = net(&config.critic, obs_dim + act_dim, config.critic_head.outputs());
        let mut init = setup.streams.rng("init");
        let actor = Trained::new(vec![policy], (&config.actor).into(), setup.device, &mut init)?;
        let count = if config.twin { 2 } else { 1 };
        let mut critics = Trained::new(vec![critic; count], (&config.critic).into(), setup.device, &mut init)?;
        let (spectral, critic_targets) = value::limited(config.critic_spectral_norm.as_ref(), &mut critics, setup)?;
        let regulariser = Regulariser::new(&config.value_regulariser, count, setup);
        Ok(Self {
            acting: Acting::new(&actor),
            explorer: Explorer::new(config, &actor, setup),
            actor_target: actor.target()?,
            by_hand: Regulariser::is_by_hand(regulariser.as_ref(), &critics)?,
            critic_targets,
            spectral,
            regulariser,
            actor,
            critics,
            distribution: Distribution::new(config.critic_head),
            returns: config.normalise_returns.map(Returns::new),
            noise: setup.streams.rng("update"),
            smoothing: Vec::new(),
            team: Team::new(setup.threads)?,
            members: Vec::new(),
            errors: Vec::new(),
            updates: 0,
            device: setup.device,
            act_dim,
            config: config.clone(),
        })
    }

    /// Makes every member's buffers, unless they are already bound to this batch's memory.
    fn bind(&mut self, batch: &Batch) -> Result<(), AgentError> {
        if self.members.first().is_some_and(|member| member.rows.shares_memory_with(batch)) {
            return Ok(());
        }
        self.members = (self.team.shares(batch.size()).into_iter())
            .map(|share| Member::new(self, batch, share))
            .collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The update by hand, on a CPU.
    fn update_rows(&mut self, batch: &Batch, moves: Moves) -> Result<Measured, AgentError> {
        self.bind(batch)?;
        let (rows, tau, team, smoothing) = (batch.size(), self.config.tau, &self.team, &self.smoothing);
        let term = self.regulariser.as_ref().and_then(Regulariser::due);
        let (loss, minimum_weight) = (self.config.critic_loss, self.config.backup.minimum_weight() as f32);
        if let Some(returns) = &mut self.returns {
            let units = returns.units();
            self.members.iter_mut().for_each(|member| member.critics.units = units);
            team.run(&mut self.members, |member| member.target(smoothing, minimum_weight, rows))?;
            let mut all: Vec<&mut CriticRows> = self.members.iter_mut().map(|member| &mut member.critics).collect();
            returns.normalise_rows(&mut all, &mut self.critics, &mut self.critic_targets)?;
            team.run(&mut self.members, |member| member.regress(loss, rows, term))?;
        } else {
            team.run(&mut self.members, |member| {
                member.target(smoothing, minimum_weight, rows)?;
                member.regress(loss, rows, term)
            })?;
        }
        let mut gradients: Vec<&mut Gradient> =
            self.members.iter_mut().map(|member| &mut member.critics.gradient).collect();
        let targets = moves.targets.then_some((&mut self.critic_targets, tau));
        let critic_norm = value::step(&mut self.critics, self.spectral.as_mut(), team, &mut gradients, targets)?;
        let mut actor_norm = None;
        if moves.actor {
            team.run(&mut self.members, |member| member.climb(rows))?;
            let mut gradients: Vec<&mut Gradient> =
                self.members.iter_mut().map(|member| &mut member.actor.gradient).collect();
            let target = moves.targets.then_some((&mut self.actor_target, tau));
            actor_norm = Some(self.actor.step(team, &mut gradients, target)?);
        } else if moves.targets {
            self.actor_target.follow(self.actor.params(), tau)?;
        }
        let mean = |of: fn(&Member) -> f64| self.members.iter().map(of).sum::<f64>() / rows as f64;
        self.errors.clear();
        self.members.iter().for_each(|member| self.errors.extend_from_slice(&member.critics.error));
        Ok(Measured {
            critic_loss: mean(|member| member.critic_sums.loss),
            q_mean: mean(|member| member.critic_sums.value),
            critic_norm,
            term: value::total(self.members.iter().map(|member| &member.critic_sums.term)),
            actor: actor_norm.map(|norm| (mean(|member| member.actor_loss), norm)),
        })
    }

    /// Each critic's values `[B]` in units of reward, by autograd over `params`.
    fn values_of(&self, params: &Tensor, obs: &Tensor, action: &Tensor) -> Result<Vec<Tensor>, NetsError> {
        let value = |outputs: &Tensor| match &self.distribution {
            Some(distribution) => Ok(distribution.value(outputs)),
            None => Ok(self.units().values(&outputs.f_squeeze_dim(-1)?)),
        };
        outputs(&self.critics, params, obs, action)?.iter().map(value).collect()
    }

    /// The networks that a regulariser looks at.
    fn networks(&self) -> Networks<'_> {
        let (actor, critics) = (&self.actor, &self.critics);
        Networks { actor, critics, params: self.critic_params(), scale: self.units().scale }
    }

    /// What the outputs of scalar critics stand for.
    fn units(&self) -> Units {
        self.returns.as_ref().map_or(Units::PLAIN, Returns::units)
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
        if let Some(regulariser) = &mut self.regulariser {
            regulariser.begin(batch, self.updates)?;
        }
        let measured = match self.device {
            Device::Cpu if self.by_hand => self.update_rows(batch, moves)?,
            _ => self.update_autograd(batch, moves)?,
        };
        self.acting.refresh();
        self.updates += 1;
        finite("the critics' loss", measured.critic_loss, self.updates)?;
        metrics.add("train/critic_loss", measured.critic_loss);
        metrics.add("train/q_mean", measured.q_mean);
        metrics.add("train/critic_grad_norm", measured.critic_norm);
        if let Some(term) = self.regulariser.as_ref().and_then(Regulariser::due) {
            finite("the value regulariser's term", measured.term[0], self.updates)?;
            term.report(&measured.term, metrics);
        }
        if let Some((loss, norm)) = measured.actor {
            finite("the actor's loss", loss, self.updates)?;
            metrics.add("train/actor_loss", loss);
            metrics.add("train/actor_grad_norm", norm);
        }
        if let Some(returns) = &self.returns {
            metrics.add("train/return_mean_estimate", returns.mean());
            metrics.add("train/return_std_estimate", returns.std());
        }
        self.explorer.adapt(&self.actor, batch, self.updates, metrics)
    }

    fn errors(&self) -> Vec<f32> {
        self.errors.clone()
    }

    fn end_episode(&mut self) {
        self.explorer.end_episode();
    }

    fn updates(&self) -> u64 {
        self.updates
    }

    fn actor(&self) -> &Trained {
        &self.actor
    }

    fn critics(&self) -> &Trained {
        &self.critics
    }

    fn critic_params(&self) -> &Tensor {
        value::in_use(self.spectral.as_ref(), &self.critics).tensor()
    }

    fn output_scale(&self) -> Option<f64> {
        self.distribution.is_none().then(|| f64::from(self.units().scale))
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

    fn values(&self, obs: &Tensor, action: &Tensor) -> Result<Vec<Tensor>, NetsError> {
        self.values_of(self.critic_params(), obs, action)
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.actor.state(&mut io.scope("actor"))?;
        self.actor_target.params.state(io, "actor/target")?;
        self.critics.state(&mut io.scope("critic"))?;
        self.critic_targets.params.state(io, "critic/target")?;
        if let Some(returns) = &mut self.returns {
            returns.state(io)?;
        }
        value::state(self.spectral.as_mut(), self.regulariser.as_mut(), &mut self.critics, io)?;
        self.explorer.state(io)?;
        io.value("streams/update", &mut self.noise)?;
        io.value("updates", &mut self.updates)?;
        self.acting.refresh();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use liprl_nets::testing::assert_nearly;
    use liprl_numerics::Streams;

    use super::*;
    use crate::actor_critic::{
        Backup, CategoricalConfig, CriticHead, DelayCounts, QuantileConfig, ReturnsConfig,
        testing::{self},
    };

    fn setup() -> Setup {
        Setup { obs_dim: 5, act_dim: 3, streams: Streams::new(5), device: Device::Cpu, threads: 2 }
    }

    /// Four updates by hand and by autograd, the actor learning in every second one and the targets moving in three.
    fn compare(config: &Td3Config) {
        let (mut by_hand, mut autograd) = (Td3::new(config, &setup()).unwrap(), Td3::new(config, &setup()).unwrap());
        if !by_hand.by_hand {
            return; // a penalty on smooth critics
        }
        let batch = testing::batch(41, 5, 3);
        let _ = batch.discount.narrow(0, 3, 9).fill_(0.0);
        for update in 0..4u64 {
            for td3 in [&mut by_hand, &mut autograd] {
                td3.smoothing = testing::numbers(41 * 3, &format!("smoothing {update}"));
                if let Some(regulariser) = &mut td3.regulariser {
                    regulariser.begin(&batch, update).unwrap();
                }
            }
            let moves = Moves { actor: update % 2 == 0, targets: update != 3 };
            let a = by_hand.update_rows(&batch, moves).unwrap();
            let b = autograd.update_autograd(&batch, moves).unwrap();
            assert_nearly(&[a.critic_loss, a.q_mean, a.critic_norm], &[b.critic_loss, b.q_mean, b.critic_norm]);
            assert_nearly(&a.term, &b.term);
            let (a, b) = (a.actor.unwrap_or_default(), b.actor.unwrap_or_default());
            assert_nearly(&[a.0, a.1], &[b.0, b.1]);
            assert_nearly(&by_hand.errors, &autograd.errors);
            assert_nearly(by_hand.actor_target.params.slice(), autograd.actor_target.params.slice());
            assert_nearly(by_hand.critic_targets.params.slice(), autograd.critic_targets.params.slice());
        }
    }

    #[test]
    fn updates_by_hand_follow_those_by_autograd() {
        for (net, critic_loss, count) in testing::networks() {
            let backup = Backup::Soft { minimum_weight: 0.75 };
            let (actor, critic, twin) = (net.clone(), net, count == 2);
            let config = Td3Config { actor, critic, critic_loss, backup, twin, tau: 0.1, ..Td3Config::default() };
            compare(&config);
            for pop_art in [false, true] {
                let returns = ReturnsConfig { pop_art, rate: 0.2, ..ReturnsConfig::default() };
                compare(&Td3Config { normalise_returns: Some(returns), ..config.clone() });
            }
        }
    }

    #[test]
    fn regularised_updates_by_hand_follow_those_by_autograd() {
        for (net, critic_loss, count) in testing::networks().into_iter().filter(|(net, ..)| !net.layer_norm) {
            let (actor, critic, twin) = (net.clone(), net, count == 2);
            let plain = Td3Config { actor, critic, critic_loss, twin, tau: 0.1, ..Td3Config::default() };
            for value_regulariser in testing::regularisers() {
                for critic_spectral_norm in testing::spectral_norms() {
                    compare(&Td3Config { critic_spectral_norm, value_regulariser, ..plain.clone() });
                }
            }
        }
    }

    #[test]
    fn distributional_updates_by_hand_follow_those_by_autograd() {
        let categorical =
            |clamp| CriticHead::Categorical(CategoricalConfig { atoms: 11, v_min: -2.0, v_max: 3.0, clamp });
        let quantile = |reference_tiling| {
            CriticHead::Quantile(QuantileConfig { quantiles: 21, reference_tiling, ..QuantileConfig::default() })
        };
        for critic_head in [categorical(None), categorical(Some(0.01)), quantile(false), quantile(true)] {
            for (net, _, _) in testing::networks() {
                let (actor, critic) = (net.clone(), net);
                compare(&Td3Config { actor, critic, critic_head, twin: false, tau: 0.1, ..Td3Config::default() });
            }
        }
    }

    #[test]
    fn the_actor_and_the_targets_move_when_they_are_due() {
        // Delay 2 counted in rounds of two updates, and targets in every update or only with the actor.
        for (target_updates, targets_move) in
            [(TargetUpdates::Delayed, [1, 1, 0, 0, 1, 1]), (TargetUpdates::EveryUpdate, [1; 6])]
        {
            let delay_counts = DelayCounts::Rounds;
            let config = Td3Config { updates: 2, delay_counts, target_updates, ..Td3Config::default() };
            let mut td3 = Td3::new(&config, &setup()).unwrap();
            let batch = testing::batch(16, 5, 3);
            for (actor_moves, targets_move) in [1, 1, 0, 0, 1, 1].into_iter().zip(targets_move) {
                let now = |td3: &Td3| {
                    [td3.actor.params(), &td3.actor_target.params, &td3.critic_targets.params]
                        .map(|p| p.to_vec().unwrap())
                };
                let before = now(&td3);
                td3.update(&batch, &mut Metrics::default()).unwrap();
                let moved = [0, 1, 2].map(|i| i32::from(now(&td3)[i] != before[i]));
                assert_eq!(moved, [actor_moves, targets_move, targets_move]);
            }
        }
    }

    #[test]
    fn a_distributional_critic_with_a_twin_is_refused() {
        let critic_head = CriticHead::Quantile(QuantileConfig::default());
        let error = Td3::new(&Td3Config { critic_head, ..Td3Config::default() }, &setup()).unwrap_err().to_string();
        assert!(error.starts_with("critic_head: quantile") && error.contains("put `twin: false`"), "{error}");
    }
}
