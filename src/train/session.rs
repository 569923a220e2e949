//! One run in memory: environment, agent, counters. `advance` is one environment step.

use std::path::Path;

use liprl_agents::{Agent, AgentError, Metrics, Setup, TaskContext, Transition, Visited};
use liprl_control::Policy;
use liprl_envs::Step;
use liprl_nets::device::parse_device;
use liprl_numerics::Streams;
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    rollout::{self, Summary},
    saved,
    task::{Task, TaskError},
    train::{certificate, simulator::Places},
};

/// Everything of a run that changes as it goes on.
pub struct Session {
    /// What the run is.
    pub config: Config,
    /// Training's environment.
    pub task: Task,
    /// The learner.
    pub agent: Box<dyn Agent>,
    /// Counters and running episode.
    pub counters: Counters,
    streams: Streams,
    eval_task: Task,
    next_obs: Vec<f32>,
    action: Vec<f32>,
}

/// What an evaluation came to.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Returns and lengths.
    pub summary: Summary,
    /// Whether it is the best so far.
    pub best: bool,
    /// What the agent measured on the pairs visited, under metric names.
    pub diagnostics: Vec<(String, f64)>,
}

/// The session's small state, as a checkpoint keeps it beside environment and agent.
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
    /// Return of the episode finished last.
    pub last_return: Option<f64>,
    /// Observation the next action answers.
    pub obs: Vec<f32>,
    /// What was measured since the last logging event.
    pub metrics: Metrics,
    /// The latest evaluation, and its step.
    pub last_eval: Option<(u64, Summary)>,
    /// The best evaluation by mean return, and its step.
    pub best_eval: Option<(u64, Summary)>,
}

impl Session {
    /// Builds environment and agent and starts the first episode.
    pub fn new(config: Config) -> Result<Self, TaskError> {
        let streams = Streams::new(config.seed);
        let (mut task, eval_task) = (Task::new(&config.env)?, Task::new(&config.env)?);
        let agent = build_agent(&config, &task)?;
        let mut obs = vec![0.0; task.obs_dim()];
        task.reset(Some(streams.seed("env")), &mut obs)?;
        let counters = Counters {
            step: 0,
            episodes: 0,
            episode_return: 0.0,
            episode_length: 0,
            last_return: None,
            obs,
            metrics: Metrics::default(),
            last_eval: None,
            best_eval: None,
        };
        let (next_obs, action) = (vec![0.0; task.obs_dim()], vec![0.0; task.act_dim()]);
        Ok(Self { config, task, agent, counters, streams, eval_task, next_obs, action })
    }

    /// One environment step and the learning due after it; where that takes long, its first part, and `busy` says so.
    pub fn advance(&mut self) -> Result<(), TaskError> {
        let now = &mut self.counters;
        self.agent.act(&now.obs, &mut self.action)?;
        let step = self.task.step(&self.action, &mut self.next_obs)?;
        self.agent.observe(&Transition {
            obs: &now.obs,
            action: &self.action,
            reward: step.reward as f32,
            next_obs: &self.next_obs,
            terminated: step.terminated,
            truncated: step.truncated,
        })?;
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

    /// Whether the learning due after the last step is unfinished.
    pub fn busy(&self) -> bool {
        self.agent.busy()
    }

    /// Another part of that learning.
    pub fn go_on_learning(&mut self) -> Result<(), TaskError> {
        Ok(self.agent.update(&mut self.counters.metrics)?)
    }

    /// Greedy episodes on an environment and seeds of their own. The seeds depend on the run's seed and the step
    /// alone, so an evaluation leaves no trace in the run.
    pub fn evaluate(&mut self) -> Result<Evaluation, TaskError> {
        let first_seed = self.streams.seed(&format!("eval/{}", self.counters.step));
        let mut recorder = Recorder { agent: &mut *self.agent, visited: Visited::default(), calls: 0 };
        let (mut next_obs, mut terminated, mut steps) = (Vec::new(), Vec::new(), 0_usize);
        let measured = self.config.eval.simulator_jacobian;
        let mut places = (measured > 0).then(|| Places::new(STRIDE));
        let mut watch = |task: &Task, step: Option<&Step>| {
            if let Some(step) = step {
                if steps.is_multiple_of(STRIDE) {
                    next_obs.extend(task.raw_obs().iter().map(|&x| x as f32));
                    terminated.push(step.terminated);
                }
                steps += 1;
            }
            places.iter_mut().for_each(|places| places.watch(task, step));
        };
        let episodes = (0..u64::from(self.config.eval.episodes))
            .map(|index| {
                rollout::episode(&mut self.eval_task, &mut recorder, first_seed.wrapping_add(index), &mut watch)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let visited = Visited { next_obs, terminated, ..recorder.visited };
        let mut diagnostics = self.agent.diagnose(&visited)?;
        if let Some(config) = self.config.eval.certificate {
            let half_width = self.eval_task.action_range().1;
            diagnostics.extend(certificate::measure(&*self.agent, config, half_width, &visited)?);
        }
        if let Some(places) = &places {
            diagnostics.extend(places.measure(&mut self.eval_task, measured)?);
        }
        let summary = Summary::of(&episodes);
        let now = &mut self.counters;
        let best = now.best_eval.is_none_or(|(_, best)| summary.return_mean > best.return_mean);
        now.last_eval = Some((now.step, summary));
        if best {
            now.best_eval = now.last_eval;
        }
        Ok(Evaluation { summary, best, diagnostics })
    }
}

/// Keeps every tenth pair that an evaluation goes through, for the agent to measure things at.
struct Recorder<'a> {
    agent: &'a mut dyn Agent,
    visited: Visited,
    calls: usize,
}

/// Steps from one kept pair to the next.
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

/// The agent a config describes, for the task's dimensions, with the demonstrations it asks for.
pub fn build_agent(config: &Config, task: &Task) -> Result<Box<dyn Agent>, AgentError> {
    let demonstrations = config.agent.demonstrations().map(|path| task.demonstrations(path)).transpose()?;
    let (can_terminate, action_half_width) = (task.env().can_terminate(), task.action_range().1.to_vec());
    let spec = Some(task.env().spec().clone());
    let expert = config.agent.expert().map(expert).transpose()?;
    let context = TaskContext { demonstrations, can_terminate, task: spec, expert, action_half_width };
    let setup = Setup {
        obs_dim: task.obs_dim(),
        act_dim: task.act_dim(),
        streams: Streams::new(config.seed),
        device: parse_device(&config.device)?,
        threads: config.threads,
    };
    config.agent.build(&setup, &context)
}

/// The policy of a run that is asked while another is trained.
fn expert(path: &Path) -> Result<Policy, AgentError> {
    let wrong = |error: anyhow::Error| AgentError::BadConfig {
        setting: "agent.expert.path".to_owned(),
        problem: format!("{error:#}"),
    };
    saved::policy(path).map_err(wrong)
}
