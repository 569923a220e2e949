//! Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, arXiv 1802.09477, algorithm 1), and by its switches
//! deep deterministic policy gradient (Lillicrap et al. 2016). One update does, in this order: critics; then, every
//! `policy_delay` updates, actor and targets.
//!
//! Differs from the authors' code in: the soft minimum, one critic, the Huber loss, n-step targets, gradient clipping, schedules,
//! importance weights, Ornstein–Uhlenbeck and parameter noise: all off by default.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/critic_loss` | Σⱼ mean(w ℓ(Qⱼ − y)) over the batch |
//! | `train/q_mean` | mean of Q₁ at the replayed pairs |
//! | `train/critic_grad_norm` | global norm of the critics' gradient, before clipping |
//! | `train/actor_loss` | −mean Q₁ at the policy's actions, when the actor learns |
//! | `train/actor_grad_norm` | global norm of the actor's gradient, before clipping, when it learns |
//! | `train/parameter_noise_std` | standard deviation of the noise on the weights, with `parameter_noise` |
//! | `train/parameter_noise_distance` | how far that moves the actions (root mean square), at each adaptation |

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Tensor};

use super::{
    CriticLoss, NetworkConfig, Td3Config,
    actor::{self, ActorRows},
    batch::Rows,
    critic::{self, CriticRows, CriticSums},
    explore::Explorer,
    learner::{Acting, Learner, OnDevice, finite, gradient, leaf, values},
};
use crate::{
    AgentError, Batch, Metrics, Setup, State, StreamRng,
    cloning::{self, CloningConfig},
    nets::{Gradient, Mlp, Team},
    optim::{Target, Trained},
};

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

/// One team member's buffers.
#[derive(Debug)]
struct Member {
    rows: Rows,
    actor: ActorRows,
    target_actor: ActorRows,
    critics: CriticRows,
    critic_sums: CriticSums,
    actor_loss: f64,
}

/// What one update measured.
struct Measured {
    critic_loss: f64,
    q_mean: f64,
    critic_norm: f64,
    /// The actor's loss and gradient norm, where it learnt.
    actor: Option<(f64, f64)>,
}

impl Td3 {
    /// Networks with first weights from the run's streams.
    pub fn new(config: &Td3Config, setup: &Setup) -> Result<Self, AgentError> {
        let (obs_dim, act_dim) = (setup.obs_dim, setup.act_dim);
        let net = |net: &NetworkConfig, inputs, outputs| {
            Mlp::new(inputs, &net.hidden, outputs, net.activation, net.layer_norm, net.init)
        };
        let policy = net(&config.actor, obs_dim, act_dim);
        let critic = net(&config.critic, obs_dim + act_dim, 1);
        let mut init = setup.streams.rng("init");
        let actor = Trained::new(vec![policy], (&config.actor).into(), setup.device, &mut init)?;
        let count = if config.twin { 2 } else { 1 };
        let critics = Trained::new(vec![critic; count], (&config.critic).into(), setup.device, &mut init)?;
        Ok(Self {
            acting: Acting::new(&actor),
            explorer: Explorer::new(config, &actor, setup),
            actor_target: actor.target()?,
            critic_targets: critics.target()?,
            actor,
            critics,
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
        let obs_dim = batch.obs.size()[1] as usize;
        self.members = (self.team.shares(batch.size()).into_iter())
            .map(|share| {
                let actor = |weights| ActorRows::new(&self.actor, weights, share.len(), self.act_dim);
                Ok(Member {
                    actor: actor(self.actor.weights().swap_remove(0))?,
                    target_actor: actor(self.actor_target.weights(self.actor.mlps()).swap_remove(0))?,
                    critics: CriticRows::new(&self.critics, &self.critic_targets, share.len(), obs_dim, self.act_dim)?,
                    rows: Rows::of(batch, share)?,
                    critic_sums: CriticSums::default(),
                    actor_loss: 0.0,
                })
            })
            .collect::<Result<_, AgentError>>()?;
        Ok(())
    }

    /// The update by hand, on a CPU. With `delayed`, the actor and the targets move too.
    fn update_rows(&mut self, batch: &Batch, delayed: bool) -> Result<Measured, AgentError> {
        self.bind(batch)?;
        let (rows, tau, team, smoothing) = (batch.size(), self.config.tau, &self.team, &self.smoothing);
        let (loss, minimum_weight) = (self.config.critic_loss, self.config.backup.minimum_weight() as f32);
        team.run(&mut self.members, |member| member.critic(smoothing, minimum_weight, loss, rows))?;
        let mut gradients: Vec<&mut Gradient> =
            self.members.iter_mut().map(|member| &mut member.critics.gradient).collect();
        let critic_norm =
            self.critics.step(team, &mut gradients, delayed.then_some((&mut self.critic_targets, tau)))?;
        let mut actor_norm = None;
        if delayed {
            team.run(&mut self.members, |member| member.actor(rows))?;
            let mut gradients: Vec<&mut Gradient> =
                self.members.iter_mut().map(|member| &mut member.actor.gradient).collect();
            actor_norm = Some(self.actor.step(team, &mut gradients, Some((&mut self.actor_target, tau)))?);
        }
        let mean = |of: fn(&Member) -> f64| self.members.iter().map(of).sum::<f64>() / rows as f64;
        self.errors.clear();
        self.members.iter().for_each(|member| self.errors.extend_from_slice(&member.critics.error));
        Ok(Measured {
            critic_loss: mean(|member| member.critic_sums.loss),
            q_mean: mean(|member| member.critic_sums.value),
            critic_norm,
            actor: actor_norm.map(|norm| (mean(|member| member.actor_loss), norm)),
        })
    }

    /// The update by autograd, on any device: the specification of `update_rows`.
    fn update_autograd(&mut self, batch: &Batch, delayed: bool) -> Result<Measured, AgentError> {
        let on = OnDevice::of(batch, self.device)?;
        let smoothing = Tensor::f_from_slice(&self.smoothing)?.f_view([batch.size() as i64, -1])?.f_to(self.device)?;
        let target = tch::no_grad(|| {
            let action = self.actor.forward(0, self.actor_target.params.tensor(), &on.next_obs).tanh();
            let action = (action + smoothing).clamp(-1.0, 1.0);
            let next = values(&self.critics, self.critic_targets.params.tensor(), &on.next_obs, &action)?;
            Ok::<_, AgentError>(&on.reward + &on.discount * critic::backup(&next, self.config.backup.minimum_weight()))
        })?;

        let critics = leaf(self.critics.params().tensor());
        let replayed = values(&self.critics, &critics, &on.obs, &on.action)?;
        let critic_loss = critic::loss(&replayed, &target, &on.weight, self.config.critic_loss);
        let critic_norm = self.critics.step_tensor(&gradient(&critic_loss, &critics)?)?;
        self.errors = critic::errors(&replayed, &target)?;

        let mut measured = None;
        if delayed {
            let policy = leaf(self.actor.params().tensor());
            let action = self.actor.forward(0, &policy, &on.obs).tanh();
            let proposed = values(&self.critics, self.critics.params().tensor(), &on.obs, &action)?;
            let actor_loss = actor::deterministic_loss(&proposed[0]);
            let norm = self.actor.step_tensor(&gradient(&actor_loss, &policy)?)?;
            measured = Some((actor_loss.f_double_value(&[])?, norm));
            self.critic_targets.follow(self.critics.params(), self.config.tau)?;
            self.actor_target.follow(self.actor.params(), self.config.tau)?;
        }
        Ok(Measured {
            critic_loss: critic_loss.f_double_value(&[])?,
            q_mean: replayed[0].f_mean(None)?.f_double_value(&[])?,
            critic_norm,
            actor: measured,
        })
    }
}

impl Member {
    /// The critics' targets (smoothed target policy, backup), loss and gradient over this member's rows.
    fn critic(
        &mut self,
        smoothing: &[f32],
        minimum_weight: f32,
        loss: CriticLoss,
        batch: usize,
    ) -> Result<(), AgentError> {
        let Self { rows, target_actor, critics, .. } = self;
        target_actor.act(&rows.next_obs)?;
        let first = rows.range.start * smoothing.len() / batch;
        target_actor
            .action
            .iter_mut()
            .zip(&smoothing[first..])
            .for_each(|(action, noise)| *action = (*action + noise).clamp(-1.0, 1.0));
        critics.back_up(rows.next_obs.slice(), &target_actor.action, minimum_weight)?;
        for ((target, reward), discount) in
            critics.target.iter_mut().zip(rows.reward.slice()).zip(rows.discount.slice())
        {
            *target = reward + discount * *target;
        }
        self.critic_sums = critics.regress(rows, loss, batch)?;
        Ok(())
    }

    /// The actor's loss and gradient over this member's rows.
    fn actor(&mut self, batch: usize) -> Result<(), AgentError> {
        self.actor_loss = self.actor.deterministic_gradient(&mut self.critics, &self.rows.obs, batch)?;
        Ok(())
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
        let delayed = (self.updates + 1).is_multiple_of(self.config.policy_delay);
        let measured = match self.device {
            Device::Cpu => self.update_rows(batch, delayed)?,
            _ => self.update_autograd(batch, delayed)?,
        };
        self.acting.refresh();
        self.updates += 1;
        finite("the critics' loss", measured.critic_loss, self.updates)?;
        metrics.add("train/critic_loss", measured.critic_loss);
        metrics.add("train/q_mean", measured.q_mean);
        metrics.add("train/critic_grad_norm", measured.critic_norm);
        if let Some((loss, norm)) = measured.actor {
            finite("the actor's loss", loss, self.updates)?;
            metrics.add("train/actor_loss", loss);
            metrics.add("train/actor_grad_norm", norm);
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

    fn clone_policy(
        &mut self,
        obs: &Tensor,
        action: &Tensor,
        config: &CloningConfig,
        rng: &mut StreamRng,
    ) -> Result<f64, AgentError> {
        let loss = cloning::fit(&mut self.actor, cloning::Head::Deterministic, obs, action, config, rng)?;
        self.actor_target.params.fill_from(&self.actor.params().to_vec()?)?;
        self.explorer.end_episode();
        self.acting.refresh();
        Ok(loss)
    }

    fn save(&self, state: &mut State) -> Result<(), AgentError> {
        self.actor.save("actor", state)?;
        self.actor_target.save("actor/target", state)?;
        self.critics.save("critic", state)?;
        self.critic_targets.save("critic/target", state)?;
        self.explorer.save(state);
        state.put("streams/update", &self.noise);
        state.put("updates", &self.updates);
        Ok(())
    }

    fn load(&mut self, state: &State) -> Result<(), AgentError> {
        self.actor.load("actor", state)?;
        self.actor_target.load("actor/target", state)?;
        self.critics.load("critic", state)?;
        self.critic_targets.load("critic/target", state)?;
        self.explorer.load(state)?;
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
        actor_critic::{
            Backup,
            testing::{self, assert_nearly},
        },
    };

    #[test]
    fn updates_by_hand_follow_those_by_autograd() {
        for (net, critic_loss, count) in testing::networks() {
            let backup = Backup::Soft { minimum_weight: 0.75 };
            let (actor, critic, twin) = (net.clone(), net, count == 2);
            let config = Td3Config { actor, critic, critic_loss, backup, twin, tau: 0.1, ..Td3Config::default() };
            let setup = Setup { obs_dim: 5, act_dim: 3, streams: Streams::new(5), device: Device::Cpu, threads: 2 };
            let (mut by_hand, mut autograd) = (Td3::new(&config, &setup).unwrap(), Td3::new(&config, &setup).unwrap());
            let batch = testing::batch(41, 5, 3);
            for update in 0..4 {
                for td3 in [&mut by_hand, &mut autograd] {
                    td3.smoothing = testing::numbers(41 * 3, &format!("smoothing {update}"));
                }
                let a = by_hand.update_rows(&batch, update % 2 == 0).unwrap();
                let b = autograd.update_autograd(&batch, update % 2 == 0).unwrap();
                assert_nearly(&[a.critic_loss, a.q_mean, a.critic_norm], &[b.critic_loss, b.q_mean, b.critic_norm]);
                let (a, b) = (a.actor.unwrap_or_default(), b.actor.unwrap_or_default());
                assert_nearly(&[a.0, a.1], &[b.0, b.1]);
                assert_nearly(&by_hand.errors, &autograd.errors);
            }
        }
    }
}
