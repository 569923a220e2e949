//! Experts as a config names them: made from the task's equations, or a trained policy; and the episodes they show.

use liprl_control::{Expert, ExpertConfig as Known, Policy, Scaled};
use liprl_envs::{Env, EnvSpec, Options};
use liprl_numerics::Streams;
use rand_distr::{Distribution, StandardNormal};

use super::{asking::ExpertConfig, data::bad, teacher::Teacher};
use crate::{
    AgentError, TaskContext,
    demos::{DemoMeta, Demonstrations, Episode},
};

/// An expert in the environment's units as a teacher in a policy's: f32, actions in `[-1, 1]`, beyond it where it goes beyond the bounds.
pub struct Asked {
    expert: Scaled<Box<dyn Expert>>,
    obs: Vec<f64>,
    action: Vec<f64>,
}

impl Asked {
    /// The expert on this environment.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] where its sizes are not the environment's, or an action has no bounds.
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

impl Teacher for Asked {
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

/// The teacher that `config` names, for the task of `context`.
pub(super) fn teacher(
    config: &ExpertConfig,
    context: &TaskContext,
    dims: (usize, usize),
) -> Result<Box<dyn Teacher>, AgentError> {
    let known = match config {
        ExpertConfig::Lqr => Known::Lqr,
        ExpertConfig::Mpc(config) => Known::Mpc(config.clone()),
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
    let expert = known.build(env.model().ok_or_else(unknown)?);
    let expert = expert.map_err(|error| bad("expert", format!("{id}: {error}")))?;
    Ok(Box::new(Asked::new(expert, &*env)?))
}

/// Whether the policy is one for this task.
fn check(policy: &Policy, task: Option<&EnvSpec>, (obs_dim, act_dim): (usize, usize)) -> Result<(), String> {
    let trained = policy.about().get("env").and_then(|env| env.as_str().or_else(|| env.get("id")?.as_str()));
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
    let mut options: Options = spec.options.clone();
    if let Some(steps) = spec.max_episode_steps {
        options.insert("max_episode_steps".to_owned(), steps.into());
    }
    liprl_envs::make(&spec.id, &options).map_err(|error| bad("expert", error.to_string()))
}

/// Episodes of the teacher, its actions under Gaussian noise of mean square `noise` a step (actions in `[-1, 1]`); recorded is what it meant
/// to do. Where they start and the noise come from `streams`.
pub(super) fn episodes(
    teacher: &mut dyn Teacher,
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
    let mut shown = Vec::with_capacity(count);
    for index in 0..count {
        env.reset(Some(first.wrapping_add(index as u64)), &Options::new(), &mut obs).map_err(failed)?;
        teacher.begin();
        let mut episode = Episode::begin(None, &obs, &[]);
        loop {
            seen.iter_mut().zip(&obs).for_each(|(narrow, wide)| *narrow = *wide as f32);
            teacher.act(&seen, &mut action)?;
            let meant: Vec<f64> = action.iter().map(|&x| f64::from(x)).collect();
            for (i, raw) in raw.iter_mut().enumerate() {
                let pushed: f64 = if noise > 0.0 { StandardNormal.sample(&mut rng) } else { 0.0 };
                let (low, high) = (space.low[i], space.high[i]);
                *raw = 0.5 * (low + high) + 0.5 * (high - low) * (meant[i] + std * pushed);
            }
            let step = env.step(&raw, &mut obs).map_err(failed)?;
            episode.push(&meant, &step, &obs, &[]);
            if step.done() {
                break;
            }
        }
        shown.push(episode);
    }
    Ok(Demonstrations { meta: DemoMeta::default(), episodes: shown })
}
