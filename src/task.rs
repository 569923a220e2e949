//! An environment in an agent's coordinates. Only here are actions scaled and numbers converted
//! between f64 and f32.

use std::path::Path;

use liprl_agents::{
    AgentError,
    demos::{DemoSpec, Demonstrations, DemonstrationsConfig},
    feedback::FeedbackConfig,
};
use liprl_envs::{BoxSpace, Env, EnvError, Frame, Options, Step};

use crate::config::{Config, EnvConfig};
use crate::recorded::RecordedTask;

/// A failure of the environment or the agent.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The environment failed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The agent failed.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// An action dimension is unbounded, so that it cannot be scaled.
    #[error("{id}: action {index} has no finite bounds; agents act in [-1, 1] and need them")]
    Unbounded {
        /// The environment.
        id: String,
        /// The coordinate.
        index: usize,
    },
    /// An action dimension has one value or none, so that there is nothing to learn.
    #[error("{id}: action {index} has the bounds [{low}, {high}], in which there is nothing to choose")]
    Flat {
        /// The environment.
        id: String,
        /// The coordinate.
        index: usize,
        /// Its lower bound.
        low: f64,
        /// Its upper bound.
        high: f64,
    },
    /// A number between agent and environment is NaN or infinite, or is so in 32 bits.
    #[error("{id}: {what} {} at coordinate {index}", fault(*value))]
    NonFinite {
        /// The environment.
        id: String,
        /// Observation, action or reward.
        what: &'static str,
        /// The number.
        value: f64,
        /// The coordinate.
        index: usize,
    },
}

/// Words for a number that agents cannot take.
fn fault(value: f64) -> String {
    if value.is_finite() {
        format!("is {value:e}, beyond the largest 32-bit number, {:.1e},", f32::MAX)
    } else {
        format!("is not finite ({value})")
    }
}

/// An environment with f32 actions in `[-1, 1]` and f32 observations, all finite.
pub struct Task {
    env: Box<dyn Env>,
    centre: Vec<f64>,
    half_width: Vec<f64>,
    /// The last observation in f64.
    obs: Vec<f64>,
    /// The last action in the environment's units.
    action: Vec<f64>,
    /// Steps in which the simulator started over.
    restarts: u64,
    /// The spaces of demonstrations, if they stand for an environment.
    recorded: Option<RecordedTask>,
}

impl Task {
    /// Makes the environment of a config.
    pub fn new(config: &EnvConfig) -> Result<Self, TaskError> {
        Self::around(config.make()?, None)
    }

    /// Makes the environment of a run, or reads its demonstrations for their spaces.
    pub fn of(config: &Config) -> Result<Self, TaskError> {
        if !config.env.is_recorded() {
            return Self::new(&config.env);
        }
        let bad =
            |setting: &str, problem: &str| AgentError::BadConfig { setting: setting.into(), problem: problem.into() };
        let feedback = config.agent.settings::<FeedbackConfig>();
        if feedback.is_some_and(|agent| agent.expert.is_some()) {
            return Err(bad("agent.expert", "cannot act: `env: demonstrations` has no environment").into());
        }
        let named = feedback.and_then(|agent| agent.demonstrations.as_ref());
        let named = named.ok_or_else(|| {
            bad(
                "env",
                "`demonstrations` is for the agent `feedback` with `demonstrations`; others act in an environment",
            )
        })?;
        if config.stop_at_return.is_some() {
            return Err(bad("stop_at_return", "is never reached: `env: demonstrations` has no evaluation").into());
        }
        if config.eval.simulator_jacobian > 0 {
            return Err(bad("eval.simulator_jacobian", "has no simulator: `env: demonstrations` runs nothing").into());
        }
        Self::recorded(RecordedTask::of(&named.read(None)?))
    }

    /// A task of these spaces, in which nothing can be run.
    pub fn recorded(recorded: RecordedTask) -> Result<Self, TaskError> {
        Self::around(Box::new(recorded.to_env()), Some(recorded))
    }

    /// Another one of the same task, of the run's `config`.
    pub fn another(&self, config: &EnvConfig) -> Result<Self, TaskError> {
        self.recorded.clone().map_or_else(|| Self::new(config), Self::recorded)
    }

    fn around(env: Box<dyn Env>, recorded: Option<RecordedTask>) -> Result<Self, TaskError> {
        let (space, id) = (env.action_space(), &env.spec().id);
        let bounds = || space.low.iter().zip(&space.high);
        if let Some(index) = bounds().position(|(low, high)| !(low.is_finite() && high.is_finite())) {
            return Err(TaskError::Unbounded { id: id.clone(), index });
        }
        let centre: Vec<f64> = bounds().map(|(low, high)| 0.5 * low + 0.5 * high).collect();
        let half_width: Vec<f64> = bounds().map(|(low, high)| 0.5 * high - 0.5 * low).collect();
        if let Some(index) = half_width.iter().position(|half_width| *half_width <= 0.0) {
            return Err(TaskError::Flat { id: id.clone(), index, low: space.low[index], high: space.high[index] });
        }
        let (obs, action) = (vec![0.0; env.observation_space().dim()], vec![0.0; centre.len()]);
        Ok(Self { env, centre, half_width, obs, action, restarts: 0, recorded })
    }

    /// The spaces of demonstrations, if they stand for an environment: nothing can then be run.
    pub fn spaces_alone(&self) -> Option<&RecordedTask> {
        self.recorded.as_ref()
    }

    /// Dimension of an observation.
    pub fn obs_dim(&self) -> usize {
        self.obs.len()
    }

    /// Dimension of an action.
    pub fn act_dim(&self) -> usize {
        self.action.len()
    }

    /// The environment itself.
    pub fn env(&self) -> &dyn Env {
        &*self.env
    }

    /// Centre and half width of each action's range; an action in `[-1, 1]` is multiplied by the
    /// half width.
    pub fn action_range(&self) -> (&[f64], &[f64]) {
        (&self.centre, &self.half_width)
    }

    /// The last observation in f64.
    pub fn raw_obs(&self) -> &[f64] {
        &self.obs
    }

    /// The last action in the environment's units.
    pub fn raw_action(&self) -> &[f64] {
        &self.action
    }

    /// Steps so far in which the simulator started over; their observations do not follow from the
    /// ones before.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Starts an episode.
    pub fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), TaskError> {
        self.env.reset(seed, &Options::new(), &mut self.obs)?;
        self.observe(obs)
    }

    /// Takes an action in `[-1, 1]` and writes the next observation.
    pub fn step(&mut self, action: &[f32], obs: &mut [f32]) -> Result<Step, TaskError> {
        let scales = self.centre.iter().zip(&self.half_width);
        for (index, ((raw, &x), (centre, half_width))) in self.action.iter_mut().zip(action).zip(scales).enumerate() {
            if !x.is_finite() {
                return Err(self.non_finite("action", x.into(), index));
            }
            *raw = centre + half_width * f64::from(x);
        }
        let step = self.env.step(&self.action, &mut self.obs)?;
        self.restarts += u64::from(self.env.started_over());
        if !(step.reward as f32).is_finite() {
            return Err(self.non_finite("reward", step.reward, 0));
        }
        self.observe(obs)?;
        Ok(step)
    }

    /// A picture of the current state.
    pub fn render(&mut self) -> Result<Frame, EnvError> {
        self.env.render()
    }

    /// Reads demonstrations of this task and scales their actions to `[-1, 1]`. Actions out of the
    /// task's bounds end up outside.
    ///
    /// # Errors
    /// [`AgentError::BadDemonstrations`] for a file that cannot be read, or is of another task or
    /// shape.
    pub fn demonstrations(&self, config: &DemonstrationsConfig) -> Result<Demonstrations, AgentError> {
        let (observation_space, action_space) = (self.env.observation_space(), self.env.action_space());
        let spec = DemoSpec { env: self.env.spec(), observation_space, action_space };
        let mut demonstrations = config.read(self.recorded.is_none().then_some(&spec))?;
        if self.recorded.is_some() {
            let given = demonstrations.meta.action_space.as_ref();
            let bounded = |space: &BoxSpace| space.low.iter().chain(&space.high).all(|bound| bound.is_finite());
            if !given.is_some_and(bounded) {
                let note =
                    "not all actions have bounds there: the least and the largest of each coordinate stand for them";
                demonstrations.notes.push(note.to_owned());
            }
        }
        for episode in &mut demonstrations.episodes {
            for action in episode.actions.chunks_exact_mut(self.centre.len()) {
                for ((x, centre), half_width) in action.iter_mut().zip(&self.centre).zip(&self.half_width) {
                    *x = (*x - centre) / half_width;
                }
            }
        }
        Ok(demonstrations)
    }

    /// The derivative of the next observation with respect to (observation, action), row-major `[O,
    /// O + A]`, at the current state and an action in the environment's units, by differences of
    /// `increment`. The action's columns are per unit of `[-1, 1]`. See [`liprl_envs::jacobian`].
    pub fn jacobian(&mut self, action: &[f64], increment: f64) -> Result<Option<Vec<f64>>, EnvError> {
        let mut matrix = liprl_envs::jacobian(&mut *self.env, action, increment)?;
        for row in matrix.iter_mut().flat_map(|matrix| matrix.chunks_exact_mut(self.obs.len() + action.len())) {
            row[self.obs.len()..].iter_mut().zip(&self.half_width).for_each(|(entry, half_width)| *entry *= half_width);
        }
        Ok(matrix)
    }

    /// The environment's complete state.
    pub fn save(&self) -> Vec<u8> {
        self.env.save()
    }

    /// Restores a state from `save`.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.env.restore(state)
    }

    /// Keeps files that the environment writes in this folder.
    pub fn work_in(&mut self, folder: &Path) -> Result<(), EnvError> {
        self.env.work_in(folder)
    }

    fn observe(&self, obs: &mut [f32]) -> Result<(), TaskError> {
        for (index, (narrow, &wide)) in obs.iter_mut().zip(&self.obs).enumerate() {
            *narrow = wide as f32;
            if !narrow.is_finite() {
                return Err(self.non_finite("observation", wide, index));
            }
        }
        Ok(())
    }

    fn non_finite(&self, what: &'static str, value: f64, index: usize) -> TaskError {
        TaskError::NonFinite { id: self.env.spec().id.clone(), what, value, index }
    }
}
