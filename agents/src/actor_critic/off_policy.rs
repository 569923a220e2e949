//! An agent out of a learner: a replay buffer, uniformly random first steps, and rounds of updates
//! at their times.

use liprl_control::{Policy, certify::Certifiable};
use liprl_nets::{Team, optim::constants};
use liprl_numerics::{NormaliserOptions, RunningNormaliser, StateIo, StreamRng};
use rand::RngExt;
use tch::Tensor;

use super::{
    Learner, NormaliseConfig, OffPolicyConfig, ProbedPairs, Rewards, batch::DeviceBatch, observations, q_bias::q_bias,
    shaped_reward::ShapedReward, value_bound,
};
use crate::{Agent, AgentError, Batch, Flags, Metrics, Replay, ReplayConfig, Setup, Transition, Visited, WindowBatch};

/// Replayed transitions that `diagnose` measures at.
const DIAGNOSED_ROWS: usize = 256;

/// A learner with a replay buffer. The buffer keeps observations as they came; the learner sees
/// them standardised by the moments of the time.
pub struct OffPolicy {
    learner: Box<dyn Learner>,
    config: OffPolicyConfig,
    /// Steps of uniformly random actions before the first update.
    learning_starts: u64,
    replay: Replay,
    drawn: Drawn,
    sampling: StreamRng,
    warm_up: StreamRng,
    normaliser: Option<RunningNormaliser>,
    /// One observation, standardised.
    obs_norm: Vec<f32>,
    steps: u64,
    /// True once the first action has been asked for.
    begun: bool,
    /// Threads for rewards that learn beside the learner.
    team: Team,
    /// Measurements of such rewards in an update.
    beside: Metrics,
    /// Largest worth of an action of 1 in the environment's units, if that is known.
    action_unit: Option<f64>,
}

/// An update's transitions.
enum Drawn {
    /// With the rewards that were stored.
    Stored(Batch),
    /// With rewards found when they are drawn.
    Rewarded {
        window: Box<WindowBatch>,
        /// The next windows, if they are drawn while the learner updates.
        next: Option<Box<WindowBatch>>,
        rewards: Box<dyn Rewards>,
    },
}

impl Drawn {
    fn batch(&mut self) -> &mut Batch {
        match self {
            Self::Stored(batch) => batch,
            Self::Rewarded { window, .. } => &mut window.batch,
        }
    }
}

impl OffPolicy {
    /// An agent that has seen nothing yet and learns from the environment's rewards, shaped if the
    /// config says so, after
    /// `learning_starts` steps of uniformly random actions.
    pub fn new(
        learner: Box<dyn Learner>,
        config: &OffPolicyConfig,
        learning_starts: u64,
        setup: &Setup,
    ) -> Result<Self, AgentError> {
        let &OffPolicyConfig { batch_size, n_step, gamma, .. } = config;
        if let Some(shaping) = &config.shaping {
            let rewards = Box::new(ShapedReward::new(shaping, gamma, setup)?);
            return Self::with_rewards(rewards, learner, config, learning_starts, setup);
        }
        let drawn = Drawn::Stored(Batch::new(batch_size, setup.obs_dim, setup.act_dim, n_step, gamma));
        Self::drawing(drawn, learner, config, learning_starts, setup)
    }

    /// An agent that learns from these rewards instead.
    pub fn with_rewards(
        rewards: Box<dyn Rewards>,
        learner: Box<dyn Learner>,
        config: &OffPolicyConfig,
        learning_starts: u64,
        setup: &Setup,
    ) -> Result<Self, AgentError> {
        let &OffPolicyConfig { batch_size, n_step, gamma, .. } = config;
        let window = Box::new(WindowBatch::new(batch_size, setup.obs_dim, setup.act_dim, n_step, gamma));
        Self::drawing(Drawn::Rewarded { window, next: None, rewards }, learner, config, learning_starts, setup)
    }

    /// Tells the half-widths of actions (environment units, `[A]`; empty for ones). Without them the
    /// policy's file states no constant by construction.
    pub fn in_units(self, half_width: &[f64]) -> Self {
        Self { action_unit: Some(observations::action_unit(half_width)), ..self }
    }

    /// Lets the rewards learn on a thread of their own while the learner updates. No number changes.
    pub fn beside(mut self) -> Result<Self, AgentError> {
        let ReplayConfig { obs_dim, act_dim, .. } = *self.replay.config();
        let OffPolicyConfig { batch_size, n_step, gamma, .. } = self.config;
        if let Drawn::Rewarded { next, .. } = &mut self.drawn {
            *next = Some(Box::new(WindowBatch::new(batch_size, obs_dim, act_dim, n_step, gamma)));
        }
        Ok(Self { team: Team::new(2)?, ..self })
    }

    fn drawing(
        drawn: Drawn,
        learner: Box<dyn Learner>,
        config: &OffPolicyConfig,
        learning_starts: u64,
        setup: &Setup,
    ) -> Result<Self, AgentError> {
        let (&Setup { obs_dim, act_dim, .. }, &OffPolicyConfig { priorities, .. }) = (setup, config);
        let mut replay = Replay::new(ReplayConfig { capacity: config.buffer_size, obs_dim, act_dim, priorities })?;
        if matches!(&drawn, Drawn::Rewarded { rewards, .. } if rewards.reads_t()) {
            replay.count_t();
        }
        Ok(Self {
            learner,
            drawn,
            replay,
            sampling: setup.streams.rng("replay"),
            warm_up: setup.streams.rng("warm-up"),
            normaliser: config.normalise_observations.map(|config| config.normaliser(obs_dim)),
            obs_norm: Vec::new(),
            steps: 0,
            begun: false,
            team: Team::new(1)?,
            beside: Metrics::default(),
            action_unit: None,
            learning_starts,
            config: config.clone(),
        })
    }

    /// Some replayed transitions, drawn from a copy of the stream, so that diagnosing changes
    /// nothing.
    fn replayed(&self) -> Visited {
        let (mut pairs, mut rng) = (Visited::default(), self.sampling.clone());
        let rows = (0..if self.replay.is_empty() { 0 } else { DIAGNOSED_ROWS })
            .filter_map(|_| self.replay.get(rng.random_range(0..self.replay.len() as u32)));
        for row in rows {
            pairs.obs.extend_from_slice(row.obs);
            pairs.action.extend_from_slice(row.action);
            pairs.next_obs.extend_from_slice(row.next_obs);
        }
        pairs
    }

    /// Update `round` of this time's, on rewarded windows. On two threads the rewards learn while the
    /// learner updates, and draw its next windows if their rewards do not depend on these.
    fn rewarded_update(&mut self, round: u64, metrics: &mut Metrics) -> Result<(), AgentError> {
        let Self { drawn, learner, replay, sampling, normaliser, beside, team, config, .. } = self;
        let Drawn::Rewarded { window, next, rewards } = drawn else { return Ok(()) };
        let (replay, normaliser) = (&*replay, normaliser.as_ref());
        let ahead = team.size() > 1 && config.priorities.is_none() && !rewards.learns_from_windows();
        let mut draw = |window: &mut WindowBatch, rewards: &mut dyn Rewards, metrics: &mut Metrics| {
            replay.sample_window(sampling, window)?;
            rewards.relabel(window, metrics)?;
            observations::normalise_batch(normaliser, &mut window.batch)
        };
        if round == 0 || !ahead {
            draw(window, &mut **rewards, metrics)?;
        }
        let mut next = next.as_deref_mut().filter(|_| ahead && round + 1 < config.updates);
        team.both(
            || learner.update(&window.batch, metrics),
            || {
                rewards.learn_beside(replay, beside)?;
                next.as_mut().map_or(Ok(()), |next| draw(next, &mut **rewards, beside))
            },
        )?;
        metrics.take(beside);
        rewards.learn(replay, window, metrics)?;
        match next {
            Some(next) => window.batch.copy_from(&mut next.batch),
            None => Ok(()),
        }
    }

    /// Normalises the batch's observations for the learner.
    fn normalise_batch(&mut self) -> Result<(), AgentError> {
        observations::normalise_batch(self.normaliser.as_ref(), self.drawn.batch())
    }

    /// Writes `obs` as the learner sees it into `self.obs_norm`.
    fn normalise_obs(&mut self, obs: &[f32]) {
        observations::normalise_obs(self.normaliser.as_ref(), obs, &mut self.obs_norm);
    }
}

impl NormaliseConfig {
    pub(crate) fn options(self) -> NormaliserOptions {
        NormaliserOptions { clip: self.clip, variance_floor: self.variance_floor }
    }

    /// A normaliser of observations of `dim` numbers that has seen none.
    pub(crate) fn normaliser(self, dim: usize) -> RunningNormaliser {
        RunningNormaliser::new(if self.scalar { 1 } else { dim }, self.options())
    }
}

impl Agent for OffPolicy {
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        if !self.begun {
            self.begun = true;
            if let Drawn::Rewarded { rewards, .. } = &mut self.drawn {
                rewards.begin(&mut *self.learner, self.normaliser.as_mut())?;
            }
        }
        if self.steps < self.learning_starts {
            action.iter_mut().for_each(|action| *action = self.warm_up.random_range(-1.0..=1.0));
            return Ok(());
        }
        self.normalise_obs(obs);
        self.learner.act(&self.obs_norm, action)
    }

    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        self.normalise_obs(obs);
        self.learner.act_greedy(&self.obs_norm, action)
    }

    fn observe(&mut self, transition: &Transition<'_>) -> Result<(), AgentError> {
        self.steps += 1;
        let held = matches!(&self.drawn, Drawn::Rewarded { rewards, .. } if rewards.holds_moments());
        if let Some(normaliser) = self.normaliser.as_mut().filter(|_| !held || self.steps > self.learning_starts) {
            normaliser.update(transition.obs);
        }
        if transition.terminated || transition.truncated {
            self.learner.end_episode();
        }
        match &mut self.drawn {
            Drawn::Stored(_) => self.replay.push(transition, Flags::NONE),
            Drawn::Rewarded { rewards, .. } => rewards.observe(transition, &mut self.replay),
        }
    }

    fn skip(&mut self) {
        self.steps += 1;
        self.replay.cut();
        self.learner.end_episode();
    }

    fn update(&mut self, metrics: &mut Metrics) -> Result<(), AgentError> {
        let OffPolicyConfig { update_every, updates, .. } = self.config;
        if self.replay.is_empty() || self.steps < self.learning_starts || !self.steps.is_multiple_of(update_every) {
            return Ok(());
        }
        for round in 0..updates {
            match &mut self.drawn {
                Drawn::Stored(batch) => {
                    self.replay.sample(&mut self.sampling, batch)?;
                    observations::normalise_batch(self.normaliser.as_ref(), batch)?;
                    self.learner.update(batch, metrics)?;
                }
                Drawn::Rewarded { .. } => self.rewarded_update(round, metrics)?,
            }
            if self.config.priorities.is_some() {
                self.replay.update_priorities(&self.drawn.batch().index, self.learner.critics().errors())?;
            }
        }
        Ok(())
    }

    fn updates(&self) -> u64 {
        self.learner.updates()
    }

    fn policy(&self) -> Result<Policy, AgentError> {
        let ReplayConfig { obs_dim, act_dim, .. } = *self.replay.config();
        observations::policy(
            &*self.learner,
            self.normaliser.as_ref(),
            self.config.normalise_observations,
            (obs_dim, act_dim),
            self.action_unit,
        )
    }

    fn histograms(&mut self) -> Result<Vec<(String, Vec<f32>)>, AgentError> {
        let mut all = observations::weights(&*self.learner)?;
        if let Drawn::Rewarded { rewards, .. } = &mut self.drawn {
            all.extend(rewards.histograms()?);
        }
        if self.replay.is_empty() {
            return Ok(all);
        }
        // The batch that the next update would draw, from a copy of the stream, so that nothing
        // changes.
        self.replay.sample(&mut self.sampling.clone(), self.drawn.batch())?;
        self.normalise_batch()?;
        let on = DeviceBatch::of(self.drawn.batch(), self.learner.critics().params().device())?;
        let values = tch::no_grad(|| self.learner.critics().values(&on.obs, &on.action))?;
        let numbers =
            |tensor: &Tensor| Ok::<_, AgentError>(Vec::try_from(tensor.f_to(tch::Device::Cpu)?.f_flatten(0, -1)?)?);
        all.push(("actions/replayed".to_owned(), numbers(&on.action)?));
        for (index, values) in values.iter().enumerate() {
            all.push((format!("values/critic_{index}"), numbers(values)?));
        }
        Ok(all)
    }

    fn diagnose(&mut self, visited: &Visited) -> Result<Vec<(String, f64)>, AgentError> {
        let mut probes = vec![("visited", visited.clone()), ("replay", self.replayed())];
        if let Drawn::Rewarded { rewards, .. } = &self.drawn {
            probes.extend(rewards.expert_pairs().map(|pairs| ("expert", pairs)));
        }
        let (learner, normaliser) = (&*self.learner, self.normaliser.as_ref());
        let probes = (probes.into_iter())
            .filter(|(_, pairs)| !pairs.obs.is_empty())
            .map(|(name, pairs)| ProbedPairs::new(name, pairs, learner, normaliser))
            .collect::<Result<Vec<_>, _>>()?;
        let mut metrics = Vec::new();
        probes.iter().for_each(|probe| probe.metrics(&mut metrics));
        if matches!(self.drawn, Drawn::Stored(_)) {
            probes.iter().for_each(|probe| q_bias(probe, self.config.gamma, &mut metrics));
        }
        metrics.extend(value_bound(learner)?.map(|bound| ("lipschitz/value/product_bound".to_owned(), bound)));
        constants("actor", learner.actor(), learner.actor().params().tensor(), &mut metrics)?;
        constants("critic", learner.critics().networks(), learner.critics().params(), &mut metrics)?;
        if let Drawn::Rewarded { rewards, .. } = &mut self.drawn {
            metrics.extend(rewards.diagnose(&probes)?);
        }
        Ok(metrics)
    }

    fn networks(&self) -> Result<Vec<Certifiable>, AgentError> {
        let ReplayConfig { obs_dim, act_dim, .. } = *self.replay.config();
        let mut all = observations::critics(&*self.learner, self.normaliser.as_ref(), (obs_dim, act_dim))?;
        if let Drawn::Rewarded { rewards, .. } = &self.drawn {
            all.extend(rewards.networks()?);
        }
        Ok(all)
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.learner.state(io)?;
        io.value("streams/replay", &mut self.sampling)?;
        io.value("streams/warm-up", &mut self.warm_up)?;
        io.value("steps", &mut self.steps)?;
        io.value("begun", &mut self.begun)?;
        if let Drawn::Rewarded { rewards, .. } = &mut self.drawn {
            rewards.state(io)?;
        }
        if let Some(normaliser) = &mut self.normaliser {
            normaliser.state(&mut io.scope("normaliser"))?;
        }
        Ok(())
    }

    fn replays(&mut self) -> Vec<(&'static str, &mut Replay)> {
        vec![("replay", &mut self.replay)]
    }
}
