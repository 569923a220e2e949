//! Greedy episodes, as `eval`, `record` and the evaluations of training run them.

use liprl_agents::AgentError;
use liprl_control::smoothing::Smoothed;
use liprl_envs::Step;

use crate::task::{Task, TaskError};

/// A policy that acts greedily.
pub trait Actor {
    /// Starts the episode of this seed, for policies with random numbers of their own.
    fn start(&mut self, _seed: u64) {}

    /// Writes an action in `[-1, 1]`.
    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError>;
}

impl Actor for dyn liprl_agents::Agent {
    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        liprl_agents::Agent::act_greedy(self, obs, action)
    }
}

impl Actor for liprl_control::Policy {
    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        Ok(self.act(obs, action)?)
    }
}

impl Actor for Smoothed {
    fn start(&mut self, seed: u64) {
        self.begin(seed);
    }

    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        Ok(self.act(obs, action)?)
    }
}

/// Return and length of one episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpisodeStats {
    /// Sum of rewards.
    pub total: f64,
    /// Steps taken.
    pub length: u32,
}

/// The seeds of so many episodes.
pub fn seeds(first: u64, count: u32) -> impl Iterator<Item = u64> + Clone {
    (0..u64::from(count)).map(move |index| first.wrapping_add(index))
}

/// Runs one episode from a seed. `watch` is called after the reset (without a step) and after each
/// step.
pub fn run_episode<A: Actor + ?Sized>(
    task: &mut Task,
    actor: &mut A,
    seed: u64,
    mut watch: impl FnMut(&Task, Option<&Step>),
) -> Result<EpisodeStats, TaskError> {
    watch_episode(task, actor, seed, |task, step| {
        watch(task, step);
        Ok(())
    })
}

/// Does the same with a `watch` that may draw the task, and whose error ends the episode.
pub fn watch_episode<A: Actor + ?Sized, E: From<TaskError>>(
    task: &mut Task,
    actor: &mut A,
    seed: u64,
    mut watch: impl FnMut(&mut Task, Option<&Step>) -> Result<(), E>,
) -> Result<EpisodeStats, E> {
    let (mut obs, mut action) = (vec![0.0; task.obs_dim()], vec![0.0; task.act_dim()]);
    let mut episode = EpisodeStats { total: 0.0, length: 0 };
    task.reset(Some(seed), &mut obs)?;
    actor.start(seed);
    watch(task, None)?;
    loop {
        actor.act_greedy(&obs, &mut action).map_err(TaskError::from)?;
        let step = task.step(&action, &mut obs)?;
        episode.total += step.reward;
        episode.length += 1;
        watch(task, Some(&step))?;
        if step.done() {
            return Ok(episode);
        }
    }
}

/// Mean and spread of several episodes.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EvalSummary {
    /// Mean return.
    pub return_mean: f64,
    /// Standard deviation of the returns (of the sample: divided by n − 1; 0 for one episode).
    pub return_std: f64,
    /// Mean length in steps.
    pub length_mean: f64,
}

impl EvalSummary {
    /// Summarises at least one episode.
    pub fn of(episodes: &[EpisodeStats]) -> Self {
        let n = episodes.len() as f64;
        let return_mean = episodes.iter().map(|episode| episode.total).sum::<f64>() / n;
        let squares: f64 = episodes.iter().map(|episode| (episode.total - return_mean).powi(2)).sum();
        let return_std = if episodes.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        let length_mean = episodes.iter().map(|episode| f64::from(episode.length)).sum::<f64>() / n;
        Self { return_mean, return_std, length_mean }
    }
}
