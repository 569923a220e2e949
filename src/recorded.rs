//! The task of demonstrations from elsewhere: spaces alone, nothing that could be run.

use liprl_agents::demos::Demonstrations;
use liprl_envs::{BoxSpace, Env, EnvError, EnvSpec, Options, Step};
use serde::{Deserialize, Serialize};

use crate::config::RECORDED;

/// Spaces that a set of demonstrations has. Policy files keep them beside `env: demonstrations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedTask {
    /// The environment's id, if the set names one.
    pub id: Option<String>,
    /// Bounds of the observations.
    pub observations: RecordedBounds,
    /// Bounds of the actions, all finite.
    pub actions: RecordedBounds,
    /// True if some episode was terminated.
    pub terminates: bool,
}

/// Lower and upper bounds; `None` where there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedBounds {
    low: Vec<Option<f64>>,
    high: Vec<Option<f64>>,
}

impl RecordedTask {
    /// The spaces that the set states. Sides of the actions that it does not bound are the least and
    /// the largest action in it.
    pub fn of(demonstrations: &Demonstrations) -> Self {
        let (meta, episodes) = (&demonstrations.meta, &demonstrations.episodes);
        let unbounded = |dim| BoxSpace::uniform(dim, f64::NEG_INFINITY, f64::INFINITY);
        let (o, a) = (demonstrations.obs_dim(), demonstrations.act_dim());
        let observations = meta.observation_space.clone().unwrap_or_else(|| unbounded(o));
        let mut actions = meta.action_space.clone().unwrap_or_else(|| unbounded(a));
        let mut seen = BoxSpace::uniform(a, f64::INFINITY, f64::NEG_INFINITY);
        for action in episodes.iter().flat_map(|episode| episode.actions.chunks_exact(a.max(1))) {
            seen.low.iter_mut().zip(action).for_each(|(low, &x)| *low = low.min(x));
            seen.high.iter_mut().zip(action).for_each(|(high, &x)| *high = high.max(x));
        }
        for (bounds, seen) in [(&mut actions.low, &seen.low), (&mut actions.high, &seen.high)] {
            bounds.iter_mut().zip(seen).filter(|(bound, _)| !bound.is_finite()).for_each(|(bound, x)| *bound = *x);
        }
        Self {
            id: meta.env.as_ref().map(|env| env.id.clone()),
            observations: RecordedBounds::of(&observations),
            actions: RecordedBounds::of(&actions),
            terminates: episodes.iter().any(|episode| episode.terminations.last() == Some(&true)),
        }
    }

    /// The task as an environment, which can be asked for its spaces but neither reset nor stepped.
    pub fn to_env(&self) -> RecordedEnv {
        let id = self.id.clone().unwrap_or_else(|| RECORDED.to_owned());
        RecordedEnv {
            spec: EnvSpec { id, max_episode_steps: None, options: Options::new(), python: None },
            observations: self.observations.to_box(),
            actions: self.actions.to_box(),
            terminates: self.terminates,
        }
    }
}

impl RecordedBounds {
    fn of(space: &BoxSpace) -> Self {
        let side = |bounds: &[f64]| bounds.iter().map(|&x| x.is_finite().then_some(x)).collect();
        Self { low: side(&space.low), high: side(&space.high) }
    }

    fn to_box(&self) -> BoxSpace {
        let side = |bounds: &[Option<f64>], none: f64| bounds.iter().map(|x| x.unwrap_or(none)).collect();
        BoxSpace { low: side(&self.low, f64::NEG_INFINITY), high: side(&self.high, f64::INFINITY) }
    }
}

/// An environment that is known by its spaces alone.
pub struct RecordedEnv {
    spec: EnvSpec,
    observations: BoxSpace,
    actions: BoxSpace,
    terminates: bool,
}

impl RecordedEnv {
    fn refusal(&self) -> EnvError {
        let problem = "is known by demonstrations alone (`env: demonstrations`); nothing can be run in it".to_owned();
        EnvError::Simulator { id: self.spec.id.clone(), problem }
    }
}

impl Env for RecordedEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn observation_space(&self) -> &BoxSpace {
        &self.observations
    }

    fn action_space(&self) -> &BoxSpace {
        &self.actions
    }

    fn reset(&mut self, _: Option<u64>, _: &Options, _: &mut [f64]) -> Result<(), EnvError> {
        Err(self.refusal())
    }

    fn step(&mut self, _: &[f64], _: &mut [f64]) -> Result<Step, EnvError> {
        Err(self.refusal())
    }

    fn can_terminate(&self) -> bool {
        self.terminates
    }

    fn info(&self) -> &[(&'static str, f64)] {
        &[]
    }

    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), EnvError> {
        Ok(())
    }
}
