//! Soft actor–critic (Haarnoja et al. 2018, arXiv 1812.05905, algorithm 1): twin critics, a tanh-Gaussian policy, a tuned
//! temperature. One update does, in this order: critics, actor, temperature, target critics.
//!
//! Differs from the authors' code (softlearning) in:
//! 1. the order is fixed; there the three losses are evaluated in one graph call before any step is taken;
//! 2. the target critics move in the same pass as the critics, which nothing in between can tell;
//! 3. n-step targets, the Huber loss, gradient clipping, schedules, importance weights: all off by default.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/critic_loss` | Σⱼ mean(w ℓ(Qⱼ − y)) over the batch |
//! | `train/q_mean` | mean of Q₁ at the replayed pairs |
//! | `train/critic_grad_norm` | global norm of the critics' gradient, before clipping |
//! | `train/actor_loss` | mean(α log π − min Q) |
//! | `train/actor_grad_norm` | global norm of the actor's gradient, before clipping |
//! | `train/entropy` | −mean log π, in nats |
//! | `train/alpha` | the temperature used in this update |

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Tensor};

use super::{
    SacConfig,
    actor::{self, ActorRows},
    batch::Rows,
    critic::{self, CriticRows, CriticSums},
    learner::{Acting, Learner, OnDevice, finite, gradient, leaf, values},
    temperature::Tuner,
};
use crate::{
    AgentError, Batch, Metrics, Setup, State, StreamRng,
    cloning::{self, CloningConfig},
    nets::{Gradient, Mlp, Team, gaussian},
    optim::{Target, Trained},
};

/// SAC's networks and the update that trains them.
#[derive(Debug)]
pub struct Sac {
    config: SacConfig,
    act_dim: usize,
    device: Device,
    actor: Trained,
    critics: Trained,
    targets: Target,
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

/// One team member's buffers.
#[derive(Debug)]
struct Member {
    rows: Rows,
    actor: ActorRows,
    critics: CriticRows,
    critic_sums: CriticSums,
    actor_loss: f64,
}

/// What one update measured.
struct Measured {
    critic_loss: f64,
    q_mean: f64,
    critic_norm: f64,
    actor_loss: f64,
    actor_norm: f64,
    log_prob: f64,
}

impl Sac {
    /// Networks with first weights from the run's streams.
    pub fn new(config: &SacConfig, setup: &Setup) -> Result<Self, AgentError> {
        let (obs_dim, act_dim) = (setup.obs_dim, setup.act_dim);
        let net = |net: &super::NetworkConfig, inputs, outputs| {
            Mlp::new(inputs, &net.hidden, outputs, net.activation, net.layer_norm, net.init)
        };
        let policy = net(&config.actor, obs_dim, 2 * act_dim);
        let critic = net(&config.critic, obs_dim + act_dim, 1);
        let mut init = setup.streams.rng("init");
        let actor = Trained::new(vec![policy], (&config.actor).into(), setup.device, &mut init)?;
        let critics = Trained::new(vec![critic.clone(), critic], (&config.critic).into(), setup.device, &mut init)?;
        Ok(Self {
            acting: Acting::new(&actor),
            targets: critics.target()?,
            actor,
            critics,
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
        let obs_dim = batch.obs.size()[1] as usize;
        self.members = (self.team.shares(batch.size()).into_iter())
            .map(|share| {
                let weights = self.actor.weights().swap_remove(0);
                Ok(Member {
                    actor: ActorRows::new(&self.actor, weights, share.len(), self.act_dim)?,
                    critics: CriticRows::new(&self.critics, &self.targets, share.len(), obs_dim, self.act_dim)?,
                    rows: Rows::of(batch, share)?,
                    critic_sums: CriticSums::default(),
                    actor_loss: 0.0,
                })
            })
            .collect::<Result<_, AgentError>>()?;
        Ok(())
    }

    /// The update by hand, on a CPU.
    fn update_rows(&mut self, batch: &Batch, move_targets: bool) -> Result<Measured, AgentError> {
        self.bind(batch)?;
        let rows = batch.size();
        let (alpha, act_dim, loss) = (self.tuner.alpha() as f32, self.act_dim, self.config.critic_loss);
        let [next_noise, noise] = &self.draws;
        let team = &self.team;
        team.run(&mut self.members, |member| member.critic(next_noise, alpha, act_dim, loss, rows))?;
        let mut gradients: Vec<&mut Gradient> =
            self.members.iter_mut().map(|member| &mut member.critics.gradient).collect();
        let targets = move_targets.then_some((&mut self.targets, self.config.tau));
        let critic_norm = self.critics.step(team, &mut gradients, targets)?;
        team.run(&mut self.members, |member| member.actor(noise, alpha, act_dim, rows))?;
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
            actor_loss: mean(|member| member.actor_loss),
            actor_norm,
            log_prob: mean(|member| member.actor.log_prob_sum()),
        })
    }

    /// The update by autograd, on any device: the specification of `update_rows`.
    fn update_autograd(&mut self, batch: &Batch, move_targets: bool) -> Result<Measured, AgentError> {
        let on = OnDevice::of(batch, self.device)?;
        let rows = batch.size() as i64;
        let draws =
            |draws: &[f32]| Ok::<_, AgentError>(Tensor::f_from_slice(draws)?.f_view([rows, -1])?.f_to(self.device)?);
        let (next_noise, noise) = (draws(&self.draws[0])?, draws(&self.draws[1])?);
        let alpha = self.tuner.alpha();
        let target = tch::no_grad(|| {
            let head = self.actor.forward(0, self.actor.params().tensor(), &on.next_obs);
            let (next_action, log_prob) = gaussian::sample(&head, &next_noise);
            let next = values(&self.critics, self.targets.params.tensor(), &on.next_obs, &next_action)?;
            Ok::<_, AgentError>(&on.reward + &on.discount * (critic::backup(&next, 1.0) - log_prob * alpha))
        })?;

        let critics = leaf(self.critics.params().tensor());
        let replayed = values(&self.critics, &critics, &on.obs, &on.action)?;
        let critic_loss = critic::loss(&replayed, &target, &on.weight, self.config.critic_loss);
        let critic_norm = self.critics.step_tensor(&gradient(&critic_loss, &critics)?)?;
        self.errors = critic::errors(&replayed, &target)?;

        let policy = leaf(self.actor.params().tensor());
        let (action, log_prob) = gaussian::sample(&self.actor.forward(0, &policy, &on.obs), &noise);
        let proposed = values(&self.critics, self.critics.params().tensor(), &on.obs, &action)?;
        let actor_loss = actor::soft_loss(alpha, &log_prob, &proposed);
        let actor_norm = self.actor.step_tensor(&gradient(&actor_loss, &policy)?)?;

        if move_targets {
            self.targets.follow(self.critics.params(), self.config.tau)?;
        }
        let mean = |tensor: &Tensor| tensor.f_mean(None)?.f_double_value(&[]);
        Ok(Measured {
            critic_loss: mean(&critic_loss)?,
            q_mean: mean(&replayed[0])?,
            critic_norm,
            actor_loss: mean(&actor_loss)?,
            actor_norm,
            log_prob: mean(&log_prob)?,
        })
    }
}

impl Member {
    /// The critics' targets, loss and gradient over this member's rows.
    fn critic(
        &mut self,
        noise: &[f32],
        alpha: f32,
        act_dim: usize,
        loss: super::CriticLoss,
        batch: usize,
    ) -> Result<(), AgentError> {
        let Self { rows, actor, critics, .. } = self;
        actor.sample(&rows.next_obs, &noise[rows.range.start * act_dim..rows.range.end * act_dim])?;
        critics.back_up(rows.next_obs.slice(), &actor.action, 1.0)?;
        let next = actor.log_prob.iter().zip(rows.reward.slice()).zip(rows.discount.slice());
        for (target, ((log_prob, reward), discount)) in critics.target.iter_mut().zip(next) {
            *target = reward + discount * (*target - alpha * log_prob);
        }
        self.critic_sums = critics.regress(rows, loss, batch)?;
        Ok(())
    }

    /// The actor's loss and gradient over this member's rows.
    fn actor(&mut self, noise: &[f32], alpha: f32, act_dim: usize, batch: usize) -> Result<(), AgentError> {
        let Self { rows, actor, critics, .. } = self;
        let noise = &noise[rows.range.start * act_dim..rows.range.end * act_dim];
        self.actor_loss = actor.soft_gradient(critics, &rows.obs, noise, alpha, batch)?;
        Ok(())
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
        let measured = match self.device {
            Device::Cpu => self.update_rows(batch, move_targets)?,
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

    fn clone_policy(
        &mut self,
        obs: &Tensor,
        action: &Tensor,
        config: &CloningConfig,
        rng: &mut StreamRng,
    ) -> Result<f64, AgentError> {
        let loss = cloning::fit(&mut self.actor, cloning::Head::Gaussian, obs, action, config, rng)?;
        self.acting.refresh();
        Ok(loss)
    }

    fn save(&self, state: &mut State) -> Result<(), AgentError> {
        self.actor.save("actor", state)?;
        self.critics.save("critic", state)?;
        self.targets.save("critic/target", state)?;
        self.tuner.save(state);
        state.put("streams/exploration", &self.exploration);
        state.put("streams/update", &self.noise);
        state.put("updates", &self.updates);
        Ok(())
    }

    fn load(&mut self, state: &State) -> Result<(), AgentError> {
        self.actor.load("actor", state)?;
        self.critics.load("critic", state)?;
        self.targets.load("critic/target", state)?;
        self.tuner.load(state)?;
        self.exploration = state.get("streams/exploration")?;
        self.noise = state.get("streams/update")?;
        self.updates = state.get("updates")?;
        self.acting.refresh();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Streams,
        actor_critic::testing::{self, assert_nearly},
    };

    #[test]
    fn updates_by_hand_follow_those_by_autograd() {
        for (net, loss, _) in testing::networks() {
            let config =
                SacConfig { actor: net.clone(), critic: net, critic_loss: loss, tau: 0.1, ..SacConfig::default() };
            let setup = Setup { obs_dim: 5, act_dim: 3, streams: Streams::new(5), device: Device::Cpu, threads: 2 };
            let (mut by_hand, mut autograd) = (Sac::new(&config, &setup).unwrap(), Sac::new(&config, &setup).unwrap());
            let batch = testing::batch(41, 5, 3);
            for update in 0..4 {
                for sac in [&mut by_hand, &mut autograd] {
                    sac.draws = ["next", "now"].map(|name| testing::numbers(41 * 3, &format!("{name} {update}")));
                }
                let a = by_hand.update_rows(&batch, update % 2 == 0).unwrap();
                let b = autograd.update_autograd(&batch, update % 2 == 0).unwrap();
                assert_nearly(&[a.critic_loss, a.q_mean, a.critic_norm], &[b.critic_loss, b.q_mean, b.critic_norm]);
                assert_nearly(&[a.actor_loss, a.actor_norm, a.log_prob], &[b.actor_loss, b.actor_norm, b.log_prob]);
                assert_nearly(&by_hand.errors, &autograd.errors);
            }
        }
    }
}
