//! Experts: made from the task's equations, or a trained policy; and the episodes they demonstrate.

use liprl_control::{Expert, ExpertConfig as EquationExpert, Policy, Scaled};
use liprl_envs::{Env, EnvSpec, Options};
use liprl_numerics::Streams;
use rand_distr::{Distribution, StandardNormal};
use serde_json::Value;

use super::{config::FeedbackConfig, expert_config::ExpertConfig, pairs::bad};
use crate::{
    AgentError, Setup, TaskContext,
    demos::{Demonstrations, Episode},
};

/// An expert in a policy's coordinates: f32, and actions in `[-1, 1]`.
pub trait QueriedExpert {
    /// Forgets earlier calls: the next observation does not follow from the last one. A function of the
    /// observation alone has nothing to forget.
    fn begin(&mut self) {}

    /// Writes the action in `[-1, 1]` at `obs [O]` into `action [A]`.
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError>;
}

impl QueriedExpert for Policy {
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        Ok(Self::act(self, obs, action)?)
    }
}

/// An expert made from the task's equations, in a policy's coordinates. Its actions are beyond `[-1, 1]`
/// if they are beyond the task's bounds.
pub struct ExpertPolicy {
    expert: Scaled<Box<dyn Expert>>,
    obs: Vec<f64>,
    action: Vec<f64>,
}

impl ExpertPolicy {
    /// The expert on this environment.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] if its sizes are not the environment's, or an action has no bounds.
    pub fn new(expert: Box<dyn Expert>, env: &dyn Env) -> Result<Self, AgentError> {
        let (space, seen) = (env.action_space(), env.observation_space().dim());
        if expert.obs_dim() != seen {
            let problem = format!("is for observations of {} numbers, the task has {seen}", expert.obs_dim());
            return Err(bad("expert", problem));
        }
        let (obs, action) = (vec![0.0; seen], vec![0.0; expert.act_dim()]);
        Ok(Self { expert: Scaled::new(expert, &space.low, &space.high)?, obs, action })
    }
}

impl QueriedExpert for ExpertPolicy {
    fn begin(&mut self) {
        self.expert.begin();
    }

    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        self.obs.iter_mut().zip(obs).for_each(|(wide, narrow)| *wide = f64::from(*narrow));
        self.expert.action(&self.obs, &mut self.action)?;
        action.iter_mut().zip(&self.action).for_each(|(narrow, wide)| *narrow = *wide as f32);
        Ok(())
    }
}

/// The expert that `config` names, for the task of `context`.
pub(super) fn build_expert(
    config: &ExpertConfig,
    context: &TaskContext,
    dims: (usize, usize),
) -> Result<Box<dyn QueriedExpert>, AgentError> {
    let equations = match config {
        ExpertConfig::Lqr => EquationExpert::Lqr,
        ExpertConfig::Mpc(config) => EquationExpert::Mpc(config.clone()),
        ExpertConfig::Run { path } => {
            let wrong = |problem: String| bad("expert.path", format!("{}: {problem}", path.display()));
            let policy = context.expert.clone().ok_or_else(|| wrong("was not read".to_owned()))?;
            check(&policy, context.task.as_ref(), dims).map_err(wrong)?;
            return Ok(Box::new(policy));
        }
    };
    let env = task(context)?;
    let id = &env.spec().id;
    let unknown =
        || bad("expert", format!("{id} has no equations that an expert could be made from; name a trained run"));
    let expert = equations.build(env.model().ok_or_else(unknown)?);
    let expert = expert.map_err(|error| bad("expert", format!("{id}: {error}")))?;
    Ok(Box::new(ExpertPolicy::new(expert, &*env)?))
}

/// Checks that the policy is for this task.
fn check(policy: &Policy, task: Option<&EnvSpec>, (obs_dim, act_dim): (usize, usize)) -> Result<(), String> {
    let id = |env: &Value| ["id", "python", "entry"].iter().find_map(|key| env.get(key)?.as_str().map(str::to_owned));
    let trained = policy.about().get("env").and_then(|env| env.as_str().map(str::to_owned).or_else(|| id(env)));
    if let (Some(trained), Some(task)) = (trained, task)
        && trained != task.id
    {
        return Err(format!("was trained on {trained}, the task is {}", task.id));
    }
    let (o, a) = (policy.obs_dim(), policy.act_dim());
    if (o, a) != (obs_dim, act_dim) {
        return Err(format!(
            "is for observations of {o} and actions of {a} numbers, the task has {obs_dim} and {act_dim}"
        ));
    }
    Ok(())
}

/// The task as an environment of its own.
fn task(context: &TaskContext) -> Result<Box<dyn Env>, AgentError> {
    let spec = context.task.as_ref();
    let spec = spec.ok_or_else(|| bad("expert", "cannot be made: the task is not known".to_owned()))?;
    liprl_envs::make_again(spec).map_err(|error| bad("expert", error.to_string()))
}

/// The episodes that the expert shows before training; `None` if the config asks for none. The same for
/// the same seed.
///
/// # Errors
/// If the expert cannot be made or asked.
pub fn shown(
    config: &FeedbackConfig,
    setup: &Setup,
    context: &TaskContext,
) -> Result<Option<Demonstrations>, AgentError> {
    let (Some(expert), Some(count)) = (&config.expert, config.expert_episodes) else { return Ok(None) };
    let mut expert = build_expert(expert, context, (setup.obs_dim, setup.act_dim))?;
    episodes(&mut *expert, context, (count, config.expert_noise), &setup.streams).map(Some)
}

/// Episodes of the expert, its actions under Gaussian noise of mean square `noise` a step (actions in
/// `[-1, 1]`); its actions before the noise are recorded. Starts and noise come from `streams`.
pub(super) fn episodes(
    expert: &mut dyn QueriedExpert,
    context: &TaskContext,
    (count, noise): (usize, f64),
    streams: &Streams,
) -> Result<Demonstrations, AgentError> {
    let mut env = task(context)?;
    let failed = |error: liprl_envs::EnvError| bad("expert_episodes", error.to_string());
    let space = env.action_space().clone();
    let (o, a) = (env.observation_space().dim(), space.low.len());
    let (mut obs, mut raw, mut seen, mut action) = (vec![0.0; o], vec![0.0; a], vec![0.0; o], vec![0.0; a]);
    let (first, mut rng, std) = (streams.seed("expert/env"), streams.rng("expert/noise"), (noise / a as f64).sqrt());
    let mut episodes = Vec::with_capacity(count);
    for index in 0..count {
        env.reset(Some(first.wrapping_add(index as u64)), &Options::new(), &mut obs).map_err(failed)?;
        expert.begin();
        let mut episode = Episode::begin(None, &obs, &[]);
        loop {
            seen.iter_mut().zip(&obs).for_each(|(narrow, wide)| *narrow = *wide as f32);
            expert.act(&seen, &mut action)?;
            let intended: Vec<f64> = action.iter().map(|&x| f64::from(x)).collect();
            for (i, raw) in raw.iter_mut().enumerate() {
                let pushed: f64 = if noise > 0.0 { StandardNormal.sample(&mut rng) } else { 0.0 };
                let (low, high) = (space.low[i], space.high[i]);
                *raw = 0.5 * (low + high) + 0.5 * (high - low) * (intended[i] + std * pushed);
            }
            let step = env.step(&raw, &mut obs).map_err(failed)?;
            episode.push(&intended, &step, &obs, &[]);
            if step.done() {
                break;
            }
        }
        episodes.push(episode);
    }
    Ok(Demonstrations { episodes, ..Demonstrations::default() })
}
