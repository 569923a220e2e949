//! One run in memory: environment, agent, counters. `advance` is one environment step.

use std::path::Path;

use liprl_agents::{Agent, AgentError, Metrics, Transition, Visited, VisitedEpisode};
use liprl_envs::{EnvError, Step};
use liprl_numerics::Streams;
use serde::{Deserialize, Serialize};

use super::certificate;
use super::simulator::JacobianSamples;
use crate::agent::build_agent;
use crate::config::Config;
use crate::rollout::{self, EvalSummary};
use crate::task::{Task, TaskError};

/// The complete state of a run.
pub struct Session {
    /// The config.
    pub config: Config,
    /// The environment of training.
    pub task: Task,
    /// The agent.
    pub agent: Box<dyn Agent>,
    /// Counters and running episode.
    pub counters: Counters,
    streams: Streams,
    eval_task: Task,
    next_obs: Vec<f32>,
    action: Vec<f32>,
    /// True after a checkpoint whose episode does not repeat.
    broken_off: bool,
}

/// The result of an evaluation.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Returns and lengths; `None` without an environment.
    pub summary: Option<EvalSummary>,
    /// True for the best evaluation so far.
    pub best: bool,
    /// Diagnostics at the visited pairs, by metric name.
    pub diagnostics: Vec<(String, f64)>,
}

/// The session's own state in a checkpoint, besides environment and agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counters {
    /// Environment steps done.
    pub step: u64,
    /// Episodes finished.
    pub episodes: u64,
    /// Return of the running episode so far.
    pub episode_return: f64,
    /// Length of the running episode so far.
    pub episode_length: u64,
    /// Return of the last finished episode.
    pub last_return: Option<f64>,
    /// Observation for the next action.
    pub obs: Vec<f32>,
    /// Steps so far in which the simulator started over, from which nothing is learned.
    #[serde(default)]
    pub simulator_restarts: u64,
    /// Measurements since the last logging event.
    pub metrics: Metrics,
    /// The latest evaluation, and its step.
    pub last_eval: Option<(u64, EvalSummary)>,
    /// The best evaluation by mean return, and its step.
    pub best_eval: Option<(u64, EvalSummary)>,
}

impl Session {
    /// Builds environment and agent and starts the first episode.
    pub fn new(config: Config) -> Result<Self, TaskError> {
        let streams = Streams::new(config.seed);
        let mut task = Task::of(&config)?;
        let eval_task = task.another(&config.env)?;
        let agent = build_agent(&config, &task)?;
        let mut obs = vec![0.0; task.obs_dim()];
        if task.spaces_alone().is_none() {
            task.reset(Some(streams.seed("env")), &mut obs)?;
        }
        let counters = Counters {
            step: 0,
            episodes: 0,
            episode_return: 0.0,
            episode_length: 0,
            last_return: None,
            obs,
            simulator_restarts: 0,
            metrics: Metrics::default(),
            last_eval: None,
            best_eval: None,
        };
        let (next_obs, action) = (vec![0.0; task.obs_dim()], vec![0.0; task.act_dim()]);
        Ok(Self { config, task, agent, counters, streams, eval_task, next_obs, action, broken_off: false })
    }

    /// Keeps files that the environments write in the run folder.
    pub fn work_in(&mut self, folder: &Path) -> Result<(), TaskError> {
        self.task.work_in(folder)?;
        Ok(self.eval_task.work_in(folder)?)
    }

    /// Brings the environment of training to a saved state. Returns the reason if its episode does
    /// not repeat: then the next step is left out, and a new episode begins.
    pub(super) fn restore_task(&mut self, state: &[u8]) -> Result<Option<String>, EnvError> {
        match self.task.restore(state) {
            Err(error @ EnvError::Unrepeatable { .. }) => {
                self.broken_off = true;
                Ok(Some(error.to_string()))
            }
            restored => restored.map(|()| None),
        }
    }

    /// Takes the place of a step after which the episode is truncated: no window of steps crosses it, and
    /// values are bootstrapped there.
    fn break_off(&mut self) -> Result<(), TaskError> {
        let now = &mut self.counters;
        self.agent.skip();
        self.agent.update(&mut now.metrics)?;
        now.step += 1;
        (now.episode_return, now.episode_length) = (0.0, 0);
        self.task.reset(None, &mut now.obs)
    }

    /// Takes one environment step and makes the updates due after it. Long updates come in parts:
    /// then only the first is made, and `busy` is true. Without an environment it makes the updates
    /// alone.
    pub fn advance(&mut self) -> Result<(), TaskError> {
        if std::mem::take(&mut self.broken_off) {
            return self.break_off();
        }
        let now = &mut self.counters;
        if self.task.spaces_alone().is_some() {
            self.agent.update(&mut now.metrics)?;
            now.step += 1;
            return Ok(());
        }
        self.agent.act(&now.obs, &mut self.action)?;
        let step = self.task.step(&self.action, &mut self.next_obs)?;
        if self.task.env().started_over() {
            self.agent.skip();
            now.simulator_restarts += 1;
        } else {
            self.agent.observe(&Transition {
                obs: &now.obs,
                action: &self.action,
                reward: step.reward as f32,
                next_obs: &self.next_obs,
                terminated: step.terminated,
                truncated: step.truncated,
            })?;
        }
        self.agent.update(&mut now.metrics)?;
        now.step += 1;
        now.episode_return += step.reward;
        now.episode_length += 1;
        if step.done() {
            now.metrics.add("train/return_mean", now.episode_return);
            now.metrics.add("train/length_mean", now.episode_length as f64);
            now.last_return = Some(now.episode_return);
            now.episodes += 1;
            now.episode_return = 0.0;
            now.episode_length = 0;
            self.task.reset(None, &mut now.obs)?;
        } else {
            std::mem::swap(&mut now.obs, &mut self.next_obs);
        }
        Ok(())
    }

    /// True if the simulator has started over in a step of training or of an evaluation.
    pub fn unstable(&self) -> bool {
        self.counters.simulator_restarts + self.eval_task.restarts() > 0
    }

    /// True if updates due after the last step are unfinished.
    pub fn busy(&self) -> bool {
        self.agent.busy()
    }

    /// Makes another part of those updates.
    pub fn go_on_learning(&mut self) -> Result<(), TaskError> {
        Ok(self.agent.update(&mut self.counters.metrics)?)
    }

    /// The seed of the first episode of an evaluation at this step.
    pub(super) fn eval_seed(&self) -> u64 {
        self.streams.seed(&format!("eval/{}", self.counters.step))
    }

    /// Runs greedy episodes on a separate environment. Their seeds depend on the run's seed and the
    /// step alone, so an evaluation does not change the run. Without an environment there are
    /// diagnostics alone.
    pub fn evaluate(&mut self) -> Result<Evaluation, TaskError> {
        if self.task.spaces_alone().is_some() {
            let diagnostics = self.diagnostics(&Visited::default())?;
            return Ok(Evaluation { summary: None, best: false, diagnostics });
        }
        let first_seed = self.eval_seed();
        let mut recorder = Recorder { agent: &mut *self.agent, visited: Visited::default(), calls: 0 };
        let (mut next_obs, mut terminated, mut steps) = (Vec::new(), Vec::new(), 0_usize);
        let mut visited_episodes: Vec<VisitedEpisode> = Vec::new();
        let count = self.config.eval.simulator_jacobian;
        let mut samples = (count > 0).then(|| JacobianSamples::new(STRIDE));
        let mut watch = |task: &Task, step: Option<&Step>| {
            if step.is_none() {
                visited_episodes.push(VisitedEpisode::default());
            }
            if let (Some(step), Some(episode)) = (step, visited_episodes.last_mut()) {
                if steps.is_multiple_of(STRIDE) {
                    next_obs.extend(task.raw_obs().iter().map(|&x| x as f32));
                    terminated.push(step.terminated);
                    episode.pairs.push(episode.rewards.len());
                }
                episode.rewards.push(step.reward);
                episode.terminated = step.terminated;
                steps += 1;
            }
            samples.iter_mut().for_each(|samples| samples.watch(task, step));
        };
        let episodes = rollout::seeds(first_seed, self.config.eval.episodes)
            .map(|seed| rollout::run_episode(&mut self.eval_task, &mut recorder, seed, &mut watch))
            .collect::<Result<Vec<_>, _>>()?;
        let visited = Visited { next_obs, terminated, episodes: visited_episodes, ..recorder.visited };
        let mut diagnostics = self.diagnostics(&visited)?;
        if let Some(samples) = &samples {
            diagnostics.extend(samples.measure(&mut self.eval_task, count)?);
        }
        let summary = EvalSummary::of(&episodes);
        let now = &mut self.counters;
        let best = now.best_eval.is_none_or(|(_, best)| summary.return_mean > best.return_mean);
        now.last_eval = Some((now.step, summary));
        if best {
            now.best_eval = now.last_eval;
        }
        Ok(Evaluation { summary: Some(summary), best, diagnostics })
    }

    /// The agent's own diagnostics, and certificates if the config asks for them.
    fn diagnostics(&mut self, visited: &Visited) -> Result<Vec<(String, f64)>, TaskError> {
        let mut diagnostics = self.agent.diagnose(visited)?;
        if let Some(config) = self.config.eval.certificate {
            let half_width = self.eval_task.action_range().1;
            diagnostics.extend(certificate::measure(&*self.agent, config, half_width, visited)?);
        }
        Ok(diagnostics)
    }
}

/// Records every tenth pair of an evaluation, for diagnostics.
struct Recorder<'a> {
    agent: &'a mut dyn Agent,
    visited: Visited,
    calls: usize,
}

/// Steps from one recorded pair to the next.
const STRIDE: usize = 10;

impl rollout::Actor for Recorder<'_> {
    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        self.agent.act_greedy(obs, action)?;
        if self.calls.is_multiple_of(STRIDE) {
            self.visited.obs.extend_from_slice(obs);
            self.visited.action.extend_from_slice(action);
        }
        self.calls += 1;
        Ok(())
    }
}
