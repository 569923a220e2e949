//! The MBPO agent: fits its model, rolls it out and updates its policy.

use std::time::Instant;

use liprl_control::{Policy, certify::Certifiable};
use liprl_numerics::{RunningNormaliser, StateIo, StreamRng};
use rand::RngExt;

use super::{
    MbpoConfig, Profile,
    diagnostics::{ModelEvaluation, diagnose},
    dynamics::{Dynamics, FitReport},
    rollout::{RolloutOptions, RolloutWorkers},
    termination::Rule,
    termination_model::TerminationModel,
};
use crate::{
    Agent, AgentError, Batch, Flags, Metrics, Replay, ReplayConfig, Setup, TaskContext, Transition, Visited,
    actor_critic::{Learner, Sac, SacConfig, observations},
    replay::f32_slice_mut,
    shaping::{ShapedRows, Shaping, ShapingConfig, Steps, no_gradient},
};

/// Gradient steps of a fit in one `update`: checkpoints can fall between updates. The last ones come
/// with the rollouts.
const SLICE: u64 = 64;

/// SAC, a dynamics model, and one buffer each for real and imagined transitions.
pub struct Mbpo {
    config: MbpoConfig,
    policy: SacConfig,
    learner: Box<dyn Learner>,
    dynamics: Dynamics,
    rule: Rule,
    termination: Option<TerminationModel>,
    workers: RolloutWorkers,
    real: Replay,
    pool: Replay,
    batch: Batch,
    /// A batch of real rows alone, for the ports' first updates.
    real_batch: Option<Batch>,
    normaliser: Option<RunningNormaliser>,
    /// Of the rewards that the policy learns from, real and imagined.
    shaping: Option<Box<dyn Shaping>>,
    sampling: StreamRng,
    rollouts: StreamRng,
    warm_up: StreamRng,
    /// One observation, standardised.
    seen: Vec<f32>,
    steps: u64,
    /// Seconds of the fit under way.
    fit_s: f64,
    /// Largest worth of an action of 1 in the environment's units.
    action_unit: f64,
}

impl Mbpo {
    /// An agent without experience. `context` has the task, for its termination rule.
    pub fn new(config: &MbpoConfig, setup: &Setup, context: &TaskContext) -> Result<Self, AgentError> {
        config.check()?;
        let policy = config.sac();
        let Setup { obs_dim, act_dim, streams, .. } = *setup;
        let learner: Box<dyn Learner> = Box::new(Sac::new(&policy, setup)?);
        let dynamics = Dynamics::new(&config.model, config.profile, setup)?;
        let rule = Rule::new(&config.termination, context, obs_dim)?;
        let termination = match &rule {
            Rule::Learned(config) => Some(TerminationModel::new(config, setup)?),
            _ => None,
        };
        let workers = RolloutWorkers::new(&dynamics, &learner.actor().mlps()[0], termination.as_ref(), setup.threads)?;
        let buffer = |capacity| Replay::new(ReplayConfig { capacity, obs_dim, act_dim, priorities: None });
        let batch = |rows| Batch::new(rows, obs_dim, act_dim, 1, policy.shared.gamma);
        let real_rows = config.real_rows();
        Ok(Self {
            real: buffer(policy.shared.buffer_size)?,
            pool: buffer(config.model_capacity(config.rollout_length.at(0)))?,
            batch: batch(policy.shared.batch_size),
            real_batch: (config.profile == Profile::Ports && real_rows > 0).then(|| batch(real_rows)),
            normaliser: policy.shared.normalise_observations.map(|config| config.normaliser(obs_dim)),
            shaping: shaping(config.policy.shared.shaping.as_ref(), policy.shared.gamma, setup)?,
            sampling: streams.rng("replay"),
            rollouts: streams.rng("rollouts"),
            warm_up: streams.rng("warm-up"),
            seen: Vec::new(),
            steps: 0,
            fit_s: 0.0,
            action_unit: observations::action_unit(&context.action_half_width),
            config: config.clone(),
            policy,
            learner,
            dynamics,
            rule,
            termination,
            workers,
        })
    }

    /// The dynamics model.
    pub fn dynamics(&self) -> &Dynamics {
        &self.dynamics
    }

    /// The imagined transitions.
    pub fn imagined(&self) -> &Replay {
        &self.pool
    }

    /// Makes the updates due after a step.
    fn learn(&mut self, metrics: &mut Metrics) -> Result<(), AgentError> {
        let started = Instant::now();
        let real_rows = self.config.real_rows();
        for _ in 0..self.policy.shared.updates {
            let imagined = !self.pool.is_empty();
            let batch = match (imagined, &mut self.real_batch) {
                (false, Some(batch)) => batch,
                (false, None) if self.config.profile == Profile::Ports => return Ok(()),
                _ => &mut self.batch,
            };
            // If every imagined transition was dropped, the whole batch is real.
            let split = if imagined { real_rows } else { batch.size() };
            if split > 0 {
                self.real.sample_rows(&mut self.sampling, batch, 0..split)?;
            }
            if split < batch.size() {
                self.pool.sample_rows(&mut self.sampling, batch, split..batch.size())?;
            }
            if let Some(shaping) = &mut self.shaping {
                shape(&mut **shaping, batch, metrics)?;
            }
            observations::normalise_batch(self.normaliser.as_ref(), batch)?;
            self.learner.update(batch, metrics)?;
        }
        metrics.add("perf/policy_s", started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Advances the fit by a slice; the last slice is followed by the rollouts.
    fn fit(&mut self, metrics: &mut Metrics) -> Result<(), AgentError> {
        let started = Instant::now();
        let Some(report) = self.dynamics.advance_fit(&self.real, SLICE)? else {
            self.fit_s += started.elapsed().as_secs_f64();
            return Ok(());
        };
        let FitReport { epochs, steps, train_loss, holdout_loss, train_rows, .. } = report;
        metrics.add("model/train_loss", train_loss);
        metrics.add("model/holdout_loss", holdout_loss);
        metrics.add("model/fit_epochs", epochs as f64);
        metrics.add("model/fit_steps", steps as f64);
        metrics.add("model/train_rows", train_rows as f64);
        if let Some(termination) = &mut self.termination
            && let Some(loss) = termination.train(&self.real, self.dynamics.view().scalers.inputs)?
        {
            metrics.add("model/termination_loss", loss);
        }
        metrics.add("perf/fit_s", std::mem::take(&mut self.fit_s) + started.elapsed().as_secs_f64());
        self.imagine(metrics)
    }

    /// Fills the model's buffer.
    fn imagine(&mut self, metrics: &mut Metrics) -> Result<(), AgentError> {
        let started = Instant::now();
        let t = self.steps - self.policy.learning_starts;
        let length = self.config.rollout_length.at(self.config.epoch(t));
        let capacity = self.config.model_capacity(length);
        if capacity != self.pool.config().capacity {
            self.pool.resize(capacity)?;
        }
        let options = RolloutOptions {
            dynamics: &self.dynamics,
            normaliser: self.normaliser.as_ref(),
            rule: &self.rule,
            termination: self.termination.as_ref(),
            length,
            count: self.config.rollouts,
            blow_up: self.config.blow_up,
        };
        let counts =
            self.workers.roll_out(options, self.learner.actor(), &self.real, &mut self.pool, &mut self.rollouts)?;
        metrics.add("model/rollout_length", length as f64);
        metrics.add("model/buffer_size", self.pool.len() as f64);
        metrics.add("model/imagined", counts.stored as f64);
        metrics.add("model/imagined_ended", counts.terminated as f64 / counts.stored.max(1) as f64);
        metrics.add("model/dropped", counts.dropped as f64);
        metrics.add("perf/rollouts_s", started.elapsed().as_secs_f64());
        Ok(())
    }

    /// `obs` as the learner sees it, in `self.seen`.
    fn look(&mut self, obs: &[f32]) {
        observations::normalise_obs(self.normaliser.as_ref(), obs, &mut self.seen);
    }
}

/// The shaping of a config's policy, if there is one.
fn shaping(config: Option<&ShapingConfig>, gamma: f64, setup: &Setup) -> Result<Option<Box<dyn Shaping>>, AgentError> {
    let Some(config) = config else { return Ok(None) };
    let within_policy = |error| match error {
        AgentError::BadConfig { setting, problem } => {
            AgentError::BadConfig { setting: setting.replacen("agent", "agent.policy", 1), problem }
        }
        error => error,
    };
    let shaping = config.build_for_environment(setup, gamma).map_err(within_policy)?;
    if shaping.reads_t() {
        let problem = "reads `t`, which imagined transitions do not have; leave it out".to_owned();
        return Err(AgentError::BadConfig { setting: "agent.policy.shaping".into(), problem });
    }
    Ok(Some(shaping))
}

/// Shapes a batch's rewards and lets the shaping learn from its transitions.
fn shape(shaping: &mut dyn Shaping, batch: &mut Batch, metrics: &mut Metrics) -> Result<(), AgentError> {
    let Batch { obs, action, next_obs, reward, flags, .. } = batch;
    let steps = Steps { obs, action, next_obs, flags, t: &[] };
    let mut no_gradient = |_| Err(no_gradient());
    let mut rows = ShapedRows { steps, window: 1, mask: None, gradient_norms: &mut no_gradient };
    shaping.shape(&mut rows, f32_slice_mut(reward)?, metrics)?;
    shaping.learn(&steps, metrics)
}

impl Agent for Mbpo {
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        if self.steps < self.policy.learning_starts && self.config.profile == Profile::Authors {
            action.iter_mut().for_each(|action| *action = self.warm_up.random_range(-1.0..=1.0));
            return Ok(());
        }
        self.look(obs);
        self.learner.act(&self.seen, action)
    }

    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        self.look(obs);
        self.learner.act_greedy(&self.seen, action)
    }

    fn observe(&mut self, transition: &Transition<'_>) -> Result<(), AgentError> {
        if self.dynamics.fitting() {
            let problem = "a step came while the model is being fitted; call `update` until `busy` says no";
            return Err(AgentError::Replay { problem: problem.into() });
        }
        self.real.push(transition, Flags::NONE)?;
        self.steps += 1;
        if let Some(normaliser) = &mut self.normaliser {
            normaliser.update(transition.obs);
        }
        if transition.terminated || transition.truncated {
            self.learner.end_episode();
        }
        Ok(())
    }

    fn skip(&mut self) {
        self.steps += 1;
        self.real.cut();
        self.learner.end_episode();
    }

    fn update(&mut self, metrics: &mut Metrics) -> Result<(), AgentError> {
        if self.dynamics.fitting() {
            return self.fit(metrics);
        }
        let Some(t) = self.steps.checked_sub(self.policy.learning_starts) else { return Ok(()) };
        if t > 0 && t.is_multiple_of(self.policy.shared.update_every) {
            self.learn(metrics)?;
        }
        if self.config.refit_due(t) {
            let started = Instant::now();
            self.dynamics.begin_fit(&self.real)?;
            self.fit_s = started.elapsed().as_secs_f64();
            self.fit(metrics)?;
        }
        Ok(())
    }

    fn busy(&self) -> bool {
        self.dynamics.fitting()
    }

    fn updates(&self) -> u64 {
        self.learner.updates()
    }

    fn histograms(&mut self) -> Result<Vec<(String, Vec<f32>)>, AgentError> {
        let mut all = observations::weights(&*self.learner)?;
        all.extend(self.dynamics.named().into_iter().map(|(name, values)| (format!("weights/model/{name}"), values)));
        Ok(all)
    }

    fn diagnose(&mut self, visited: &Visited) -> Result<Vec<(String, f64)>, AgentError> {
        let parts = ModelEvaluation {
            learner: &*self.learner,
            dynamics: &self.dynamics,
            real: &self.real,
            normaliser: self.normaliser.as_ref(),
            gamma: self.config.policy.shared.gamma,
        };
        diagnose(&parts, visited, self.rollouts.clone())
    }

    fn networks(&self) -> Result<Vec<Certifiable>, AgentError> {
        let ReplayConfig { obs_dim, act_dim, .. } = *self.real.config();
        let mut all = observations::critics(&*self.learner, self.normaliser.as_ref(), (obs_dim, act_dim))?;
        all.extend(self.dynamics.certifiable());
        if let Some(termination) = &self.termination {
            all.push(termination.certifiable(self.dynamics.view().scalers.inputs)?);
        }
        Ok(all)
    }

    fn policy(&self) -> Result<Policy, AgentError> {
        let ReplayConfig { obs_dim, act_dim, .. } = *self.real.config();
        let config = self.policy.shared.normalise_observations;
        observations::policy(
            &*self.learner,
            self.normaliser.as_ref(),
            config,
            (obs_dim, act_dim),
            Some(self.action_unit),
        )
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.learner.state(io)?;
        self.dynamics.state(&mut io.scope("model"))?;
        io.value("streams/replay", &mut self.sampling)?;
        io.value("streams/rollouts", &mut self.rollouts)?;
        io.value("streams/warm-up", &mut self.warm_up)?;
        io.value("steps", &mut self.steps)?;
        // The buffer grows with rollouts; the one to restore has to have the size it had.
        let mut capacity = self.pool.config().capacity;
        io.value("model/buffer_capacity", &mut capacity)?;
        if capacity != self.pool.config().capacity {
            self.pool = Replay::new(ReplayConfig { capacity, ..*self.pool.config() })?;
        }
        if let Some(termination) = &mut self.termination {
            termination.state(&mut io.scope("termination"))?;
        }
        if let Some(shaping) = &mut self.shaping {
            shaping.state(&mut io.scope("shaping"))?;
        }
        if let Some(normaliser) = &mut self.normaliser {
            normaliser.state(&mut io.scope("normaliser"))?;
        }
        Ok(())
    }

    fn replays(&mut self) -> Vec<(&'static str, &mut Replay)> {
        vec![("replay", &mut self.real), ("model_replay", &mut self.pool)]
    }
}
