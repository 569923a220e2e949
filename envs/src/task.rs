//! The environment around a task: spaces, generator, checks and saved state.
//!
//! The classic, system and MuJoCo tasks implement [`Task`], and [`TaskEnv`] makes an environment of
//! each. [`Core`] is the part that does not depend on the task.

use crate::env::{Env, EnvSpec, FPS, Frame, Options, Step};
use crate::error::EnvError;
use crate::given::Given;
use crate::model::Model;
use crate::numpy_rng::NumpyRng;
use crate::options::OptionDoc;
use crate::space::BoxSpace;
use crate::state::{StateReader, StateWriter};

/// The state and rules that distinguish one task from another.
pub trait Task: Send {
    /// Options of a reset.
    fn reset_options(&self) -> &'static [OptionDoc] {
        &[]
    }

    /// Draws an initial state.
    fn reset(&mut self, rng: &mut NumpyRng, options: &Given) -> Result<(), EnvError>;

    /// Advances the state by one control step. Returns the reward, and true if the task ended.
    fn advance(&mut self, action: &[f64]) -> (f64, bool);

    /// Writes the observation of the current state.
    fn observe(&mut self, obs: &mut [f64]);

    /// True if `advance` can ever end an episode.
    fn can_terminate(&self) -> bool {
        true
    }

    /// As [`Env::nudge`].
    fn nudge(&mut self, _coordinate: usize, _by: f64) -> bool {
        false
    }

    /// As [`Env::started_over`].
    fn started_over(&self) -> bool {
        false
    }

    /// As [`Env::info`].
    fn info(&self) -> &[(&'static str, f64)] {
        &[]
    }

    /// As [`Env::model`].
    fn model(&self) -> Option<&dyn Model> {
        None
    }

    /// As [`Env::start_box`].
    fn start_box(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        None
    }

    /// As [`Env::render_fps`].
    fn render_fps(&self) -> f64 {
        FPS
    }

    /// As [`Env::render`]. An error says why there is no picture.
    fn render(&mut self) -> Result<Frame, String> {
        Err("it has no picture".to_owned())
    }

    /// As [`Env::close`].
    fn close(&mut self) {}

    /// The numbers on which later steps depend, always equally many.
    fn state(&self) -> Vec<f64>;

    /// Takes back numbers that `state` returned. An error says why the simulator rejects them.
    fn set_state(&mut self, state: &[f64]) -> Result<(), String>;
}

/// The part of an environment that is the same for every task.
pub(crate) struct Core {
    pub(crate) spec: EnvSpec,
    pub(crate) observation_space: BoxSpace,
    pub(crate) action_space: BoxSpace,
    pub(crate) rng: NumpyRng,
    /// True if a reset must precede the next step.
    pub(crate) over: bool,
}

impl Core {
    /// An environment that was never reset, with the generator of seed 0.
    pub(crate) fn new(spec: EnvSpec, observation_space: BoxSpace, action_space: BoxSpace) -> Self {
        Self { spec, observation_space, action_space, rng: NumpyRng::new(0), over: true }
    }

    /// Restarts the generator if a seed is given.
    pub(crate) fn reseed(&mut self, seed: Option<u64>) {
        if let Some(seed) = seed {
            self.rng = NumpyRng::new(seed);
        }
    }

    /// Rejects a step without a reset before it, slices of the wrong length and actions that are
    /// not finite.
    pub(crate) fn check_step(&self, action: &[f64], obs: &[f64]) -> Result<(), EnvError> {
        if self.over {
            return Err(EnvError::NeedsReset { id: self.spec.id.clone() });
        }
        self.check_length("action", action.len(), self.action_space.dim())?;
        self.check_finite("action", action)?;
        self.check_observation(obs)
    }

    /// Rejects an observation slice of the wrong length.
    pub(crate) fn check_observation(&self, obs: &[f64]) -> Result<(), EnvError> {
        self.check_length("observation", obs.len(), self.observation_space.dim())
    }

    fn check_length(&self, what: &'static str, found: usize, expected: usize) -> Result<(), EnvError> {
        if found == expected {
            return Ok(());
        }
        Err(EnvError::WrongLength { id: self.spec.id.clone(), what, found, expected })
    }

    /// Rejects numbers that are not finite; the error names the first.
    pub(crate) fn check_finite(&self, what: &'static str, values: &[f64]) -> Result<(), EnvError> {
        match values.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(index) => Err(EnvError::NonFinite { id: self.spec.id.clone(), what, index }),
        }
    }

    /// Starts a saved state.
    pub(crate) fn save(&self) -> StateWriter {
        StateWriter::new(&self.spec.id).word(u64::from(self.over)).rng(&self.rng)
    }

    /// Starts reading a saved state. Returns the reader with the saved `over` and generator.
    pub(crate) fn open<'a>(&self, state: &'a [u8]) -> Result<(StateReader<'a>, bool, NumpyRng), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, &self.spec.id, state)?;
        let (over, rng) = (reader.word()? != 0, reader.rng()?);
        Ok((reader, over, rng))
    }
}

/// The environment of a task.
pub struct TaskEnv<T> {
    core: Core,
    task: T,
    /// Length of the task's state.
    state_len: usize,
}

impl<T: Task + 'static> TaskEnv<T> {
    /// The environment of `task`, with the id and options it was given.
    pub fn boxed(given: &Given, observation_space: BoxSpace, action_space: BoxSpace, task: T) -> Box<dyn Env> {
        let (core, state_len) = (Core::new(given.spec.clone(), observation_space, action_space), task.state().len());
        Box::new(Self { core, task, state_len })
    }
}

impl<T: Task> Env for TaskEnv<T> {
    fn spec(&self) -> &EnvSpec {
        &self.core.spec
    }

    fn observation_space(&self) -> &BoxSpace {
        &self.core.observation_space
    }

    fn action_space(&self) -> &BoxSpace {
        &self.core.action_space
    }

    fn can_terminate(&self) -> bool {
        self.task.can_terminate()
    }

    fn nudge(&mut self, coordinate: usize, by: f64) -> bool {
        self.task.nudge(coordinate, by)
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        self.core.check_observation(obs)?;
        let spec = EnvSpec { options: options.clone(), ..self.core.spec.clone() };
        let options = Given::new(spec, self.task.reset_options())?;
        self.core.reseed(seed);
        self.task.reset(&mut self.core.rng, &options)?;
        self.core.over = false;
        self.task.observe(obs);
        self.core.check_finite("observation", obs)
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.core.check_step(action, obs)?;
        let (reward, terminated) = self.task.advance(action);
        self.core.over = terminated;
        self.task.observe(obs);
        self.core.check_finite("observation", obs)?;
        self.core.check_finite("reward", &[reward])?;
        Ok(Step { reward, terminated, truncated: false })
    }

    fn started_over(&self) -> bool {
        self.task.started_over()
    }

    fn info(&self) -> &[(&'static str, f64)] {
        self.task.info()
    }

    fn model(&self) -> Option<&dyn Model> {
        self.task.model()
    }

    fn start_box(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        self.task.start_box()
    }

    fn render_fps(&self) -> f64 {
        self.task.render_fps()
    }

    fn render(&mut self) -> Result<Frame, EnvError> {
        self.task.render().map_err(|problem| EnvError::NoPicture { id: self.core.spec.id.clone(), problem })
    }

    fn close(&mut self) {
        self.task.close();
    }

    fn save(&self) -> Vec<u8> {
        self.core.save().numbers(&self.task.state()).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let (mut reader, over, rng) = self.core.open(state)?;
        let mut numbers = vec![0.0; self.state_len];
        reader.numbers(&mut numbers)?;
        reader.finish()?;
        let rejected = |problem| EnvError::BadState { id: self.core.spec.id.clone(), problem };
        self.task.set_state(&numbers).map_err(rejected)?;
        (self.core.over, self.core.rng) = (over, rng);
        Ok(())
    }
}
