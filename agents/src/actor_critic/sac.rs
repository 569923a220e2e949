//! Soft actor–critic (Haarnoja et al. 2018, arXiv 1812.05905, algorithm 1): twin critics, a tanh-Gaussian policy, a tuned
//! temperature. One update does, in this order: critics, actor, temperature, target critics.
//!
//! Differs from the authors' code (softlearning) in:
//! 1. the order is fixed; there the three losses are evaluated in one graph call before any step is taken;
//! 2. the target critics move in the same pass as the critics, which nothing in between can tell;
//! 3. n-step targets, normalised returns, the Huber loss, gradient clipping, schedules, importance weights: all off by default.
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

mod autograd;
mod rows;

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Tensor};

use super::{
    SacConfig,
    critic::CriticRows,
    learner::{Acting, Learner, values},
    returns::{Returns, Units},
    temperature::Tuner,
    value::{self, Networks, Regulariser, SpectralCritics, TermSums},
};
use crate::error::validated;
use crate::{
    AgentError, Batch, Metrics, Setup,
    cloning::{self, CloningConfig},
};
use liprl_nets::autograd::finite;
use liprl_nets::{
    Gradient, Team, gaussian,
    optim::{Target, Trained},
};
use liprl_nets::{NetsError, NetworkConfig};
use liprl_numerics::{Mlp, StateIo, StreamRng};

use rows::Member;

/// SAC's networks and the update that trains them.
#[derive(Debug)]
pub struct Sac {
    config: SacConfig,
    act_dim: usize,
    device: Device,
    actor: Trained,
    critics: Trained,
    targets: Target,
    spectral: Option<SpectralCritics>,
    regulariser: Option<Regulariser>,
    /// Whether the update has a form by hand: on a CPU, unless the regulariser has none for these critics.
    by_hand: bool,
    returns: Option<Returns>,
    tuner: Tuner,
    acting: Acting,
    exploration: StreamRng,
    noise: StreamRng,
    /// ε of one update: for the next observations, then for the current ones, `[B, A]` each.
    draws: [Vec<f32>; 2],
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
    actor_loss: f64,
    actor_norm: f64,
    log_prob: f64,
}

impl Sac {
    /// Networks with first weights from the run's streams.
    pub fn new(config: &SacConfig, setup: &Setup) -> Result<Self, AgentError> {
        validated(config)?;
        let (obs_dim, act_dim) = (setup.obs_dim, setup.act_dim);
        let net = |net: &NetworkConfig, inputs, outputs| {
            Mlp::new(inputs, &net.hidden, outputs, net.activation, net.layer_norm, net.init)
        };
        let policy = net(&config.actor, obs_dim, 2 * act_dim);
        let critic = net(&config.critic, obs_dim + act_dim, 1);
        let mut init = setup.streams.rng("init");
        let actor = Trained::new(vec![policy], (&config.actor).into(), setup.device, &mut init)?;
        let mut critics = Trained::new(vec![critic.clone(), critic], (&config.critic).into(), setup.device, &mut init)?;
        let (spectral, targets) = value::limited(config.critic_spectral_norm.as_ref(), &mut critics, setup)?;
        let regulariser = Regulariser::new(&config.value_regulariser, critics.mlps().len(), setup);
        Ok(Self {
            acting: Acting::new(&actor),
            by_hand: Regulariser::is_by_hand(regulariser.as_ref(), &critics)?,
            targets,
            spectral,
            regulariser,
            actor,
            critics,
            returns: config.normalise_returns.map(Returns::new),
            tuner: Tuner::new(&config.temperature),
            exploration: setup.streams.rng("exploration"),
            noise: setup.streams.rng("update"),
            draws: [Vec::new(), Vec::new()],
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
        let bound = self.members.first().is_some_and(|member| member.rows.shares_memory_with(batch));
        if bound {
            return Ok(());
        }
        self.members = (self.team.shares(batch.size()).into_iter())
            .map(|share| Member::new(self, batch, share))
            .collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The update by hand, on a CPU.
    fn update_rows(&mut self, batch: &Batch, move_targets: bool) -> Result<Measured, AgentError> {
        self.bind(batch)?;
        let rows = batch.size();
        let (alpha, act_dim, loss) = (self.tuner.alpha() as f32, self.act_dim, self.config.critic_loss);
        let [next_noise, noise] = &self.draws;
        let (team, term) = (&self.team, self.regulariser.as_ref().and_then(Regulariser::due));
        if let Some(returns) = &mut self.returns {
            let units = returns.units();
            self.members.iter_mut().for_each(|member| member.critics.units = units);
            team.run(&mut self.members, |member| member.target(next_noise, alpha, act_dim))?;
            let mut all: Vec<&mut CriticRows> = self.members.iter_mut().map(|member| &mut member.critics).collect();
            returns.normalise_rows(&mut all, &mut self.critics, &mut self.targets)?;
            team.run(&mut self.members, |member| member.regress(loss, rows, term))?;
        } else {
            team.run(&mut self.members, |member| {
                member.target(next_noise, alpha, act_dim)?;
                member.regress(loss, rows, term)
            })?;
        }
        let mut gradients: Vec<&mut Gradient> =
            self.members.iter_mut().map(|member| &mut member.critics.gradient).collect();
        let targets = move_targets.then_some((&mut self.targets, self.config.tau));
        let critic_norm = value::step(&mut self.critics, self.spectral.as_mut(), team, &mut gradients, targets)?;
        team.run(&mut self.members, |member| member.climb(noise, alpha, act_dim, rows))?;
        let mut gradients: Vec<&mut Gradient> =
            self.members.iter_mut().map(|member| &mut member.actor.gradient).collect();
        let actor_norm = self.actor.step(team, &mut gradients, None)?;
        let mean = |of: fn(&Member) -> f64| self.members.iter().map(of).sum::<f64>() / rows as f64;
        self.errors.clear();
        self.members.iter().for_each(|member| self.errors.extend_from_slice(&member.critics.error));
        Ok(Measured {
            critic_loss: mean(|member| member.critic_sums.loss),
            q_mean: mean(|member| member.critic_sums.value),
            critic_norm,
            term: value::total(self.members.iter().map(|member| &member.critic_sums.term)),
            actor_loss: mean(|member| member.actor_loss),
            actor_norm,
            log_prob: mean(|member| member.actor.log_prob_sum()),
        })
    }

    /// Each critic's values `[B]` in units of reward, by autograd over `params`.
    fn values_of(&self, params: &Tensor, obs: &Tensor, action: &Tensor) -> Result<Vec<Tensor>, NetsError> {
        let units = self.units();
        Ok(values(&self.critics, params, obs, action)?.iter().map(|outputs| units.values(outputs)).collect())
    }

    /// The networks that a regulariser looks at.
    fn networks(&self) -> Networks<'_> {
        let (actor, critics) = (&self.actor, &self.critics);
        Networks { actor, critics, params: self.critic_params(), scale: self.units().scale }
    }

    /// What the critics' outputs stand for.
    fn units(&self) -> Units {
        self.returns.as_ref().map_or(Units::PLAIN, Returns::units)
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
        let move_targets = (self.updates + 1).is_multiple_of(self.config.target_update_every);
        if let Some(regulariser) = &mut self.regulariser {
            regulariser.begin(batch, self.updates)?;
        }
        let measured = match self.device {
            Device::Cpu if self.by_hand => self.update_rows(batch, move_targets)?,
            _ => self.update_autograd(batch, move_targets)?,
        };
        self.tuner.step(&self.config.temperature, measured.log_prob, self.act_dim);
        self.acting.refresh();
        self.updates += 1;
        finite("the critics' loss", measured.critic_loss, self.updates)?;
        finite("the actor's loss", measured.actor_loss, self.updates)?;
        metrics.add("train/critic_loss", measured.critic_loss);
        metrics.add("train/q_mean", measured.q_mean);
        metrics.add("train/critic_grad_norm", measured.critic_norm);
        metrics.add("train/actor_loss", measured.actor_loss);
        metrics.add("train/actor_grad_norm", measured.actor_norm);
        metrics.add("train/entropy", -measured.log_prob);
        metrics.add("train/alpha", alpha);
        if let Some(term) = self.regulariser.as_ref().and_then(Regulariser::due) {
            finite("the value regulariser's term", measured.term[0], self.updates)?;
            term.report(&measured.term, metrics);
        }
        if let Some(returns) = &self.returns {
            metrics.add("train/return_mean_estimate", returns.mean());
            metrics.add("train/return_std_estimate", returns.std());
        }
        Ok(())
    }

    fn errors(&self) -> Vec<f32> {
        self.errors.clone()
    }

    fn end_episode(&mut self) {}

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
        Some(f64::from(self.units().scale))
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

    fn values(&self, obs: &Tensor, action: &Tensor) -> Result<Vec<Tensor>, NetsError> {
        self.values_of(self.critic_params(), obs, action)
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.actor.state(&mut io.scope("actor"))?;
        self.critics.state(&mut io.scope("critic"))?;
        self.targets.params.state(io, "critic/target")?;
        if let Some(returns) = &mut self.returns {
            returns.state(io)?;
        }
        value::state(self.spectral.as_mut(), self.regulariser.as_mut(), &mut self.critics, io)?;
        self.tuner.state(io)?;
        io.value("streams/exploration", &mut self.exploration)?;
        io.value("streams/update", &mut self.noise)?;
        io.value("updates", &mut self.updates)?;
        self.acting.refresh();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use liprl_nets::testing::{assert_close, assert_gradient, assert_nearly};
    use liprl_numerics::Streams;

    use super::*;
    use crate::actor_critic::{
        ReturnsConfig, Temperature,
        testing::{self},
    };

    fn setup() -> Setup {
        Setup { obs_dim: 5, act_dim: 3, streams: Streams::new(5), device: Device::Cpu, threads: 2 }
    }

    fn compare(config: &SacConfig) {
        let (mut by_hand, mut autograd) = (Sac::new(config, &setup()).unwrap(), Sac::new(config, &setup()).unwrap());
        if !by_hand.by_hand {
            return; // a penalty on smooth critics
        }
        let batch = testing::batch(41, 5, 3);
        for update in 0..4 {
            for sac in [&mut by_hand, &mut autograd] {
                sac.draws = ["next", "now"].map(|name| testing::numbers(41 * 3, &format!("{name} {update}")));
                if let Some(regulariser) = &mut sac.regulariser {
                    regulariser.begin(&batch, update).unwrap();
                }
            }
            let a = by_hand.update_rows(&batch, update % 2 == 0).unwrap();
            let b = autograd.update_autograd(&batch, update % 2 == 0).unwrap();
            assert_nearly(&[a.critic_loss, a.q_mean, a.critic_norm], &[b.critic_loss, b.q_mean, b.critic_norm]);
            assert_nearly(&[a.actor_loss, a.actor_norm, a.log_prob], &[b.actor_loss, b.actor_norm, b.log_prob]);
            assert_nearly(&by_hand.errors, &autograd.errors);
            assert_nearly(&a.term, &b.term);
            let params = |sac: &Sac| Vec::<f32>::try_from(sac.critic_params()).unwrap();
            assert_nearly(&params(&by_hand), &params(&autograd));
            assert_nearly(by_hand.targets.params.slice(), autograd.targets.params.slice());
        }
    }

    #[test]
    fn regularised_updates_by_hand_follow_those_by_autograd() {
        for (net, critic_loss, _) in testing::networks().into_iter().filter(|(net, ..)| !net.layer_norm) {
            let (actor, critic) = (net.clone(), net);
            let plain = SacConfig { actor, critic, critic_loss, tau: 0.1, ..SacConfig::default() };
            for value_regulariser in testing::regularisers() {
                for critic_spectral_norm in testing::spectral_norms() {
                    let normalise_returns = critic_spectral_norm.map(|_| ReturnsConfig {
                        pop_art: false,
                        rate: 0.2,
                        ..ReturnsConfig::default()
                    });
                    compare(&SacConfig { critic_spectral_norm, value_regulariser, normalise_returns, ..plain.clone() });
                }
            }
        }
    }

    #[test]
    fn updates_by_hand_follow_those_by_autograd() {
        for (net, critic_loss, _) in testing::networks() {
            let (actor, critic) = (net.clone(), net);
            let config = SacConfig { actor, critic, critic_loss, tau: 0.1, ..SacConfig::default() };
            compare(&config);
            for pop_art in [false, true] {
                let returns = ReturnsConfig { pop_art, rate: 0.2, ..ReturnsConfig::default() };
                compare(&SacConfig { normalise_returns: Some(returns), ..config.clone() });
            }
        }
    }

    /// Critics that stand for the same values in other units have the same targets, actor's loss and actor's step: the entropy
    /// counts in units of reward.
    #[test]
    fn the_temperature_weighs_against_values_in_units_of_reward() {
        let temperature = Temperature::Fixed { alpha: 0.7 };
        // Critics that do not learn, so that the actor sees the same values in both.
        let critic = liprl_nets::NetworkConfig { lr: 0.0, ..Default::default() };
        let plain = SacConfig { temperature, critic, ..SacConfig::default() };
        let returns = Some(ReturnsConfig { rate: 1.0, ..ReturnsConfig::default() });
        let normalised = SacConfig { normalise_returns: returns, ..plain.clone() };
        let (mut plain, mut normalised) =
            (Sac::new(&plain, &setup()).unwrap(), Sac::new(&normalised, &setup()).unwrap());
        let mut batch = testing::batch(41, 5, 3);
        let _ = batch.reward.g_mul_scalar_(50.0).g_add_scalar_(20.0);
        for update in 0..2 {
            for sac in [&mut plain, &mut normalised] {
                sac.draws = ["next", "now"].map(|name| testing::numbers(41 * 3, &format!("{name} {update}")));
            }
            let (a, b) = (plain.update_rows(&batch, true).unwrap(), normalised.update_rows(&batch, true).unwrap());
            assert_close(a.actor_loss, b.actor_loss);
            assert_close(a.actor_norm, b.actor_norm);
            // Rescaled outputs times the scale, plus the shift: no closer than one rounding of numbers of that size.
            let units = normalised.units();
            let rounding = f64::from(f32::EPSILON * (units.scale + units.shift.abs()));
            assert!((a.q_mean - b.q_mean).abs() <= rounding, "{} and {} to {rounding}", a.q_mean, b.q_mean);
            assert_gradient(&plain.errors, &Tensor::from_slice(&normalised.errors));
        }
        let units = normalised.units();
        assert!(units.scale > 30.0 && units.shift > 10.0, "{units:?}");
    }
}
