//! The environment trait: Gymnasium's `reset` and `step`, in f64, without allocation per step.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::error::EnvError;
use crate::model::Model;
use crate::python_spec::PythonSpec;
use crate::space::BoxSpace;

/// Options of a task's constructor or of one reset, by Gymnasium's names.
pub type Options = BTreeMap<String, serde_json::Value>;

/// Steps a second of tasks without a clock, in films.
pub(crate) const FPS: f64 = 30.0;

/// Reward and flags of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The task's reward.
    pub reward: f64,
    /// True if the task itself ended (fallen, goal reached). The value of the next state is zero.
    pub terminated: bool,
    /// True if a time limit cut the episode off. The next state keeps its value.
    pub truncated: bool,
}

impl Step {
    /// True if the episode is over, for either reason.
    pub fn done(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// Identity of an environment.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvSpec {
    /// Gymnasium's id, such as `Hopper-v5`.
    pub id: String,
    /// Steps after which the time limit truncates; `None` without a limit.
    pub max_episode_steps: Option<u32>,
    /// The options this instance was made with (those given, not the defaults).
    pub options: Options,
    /// Origin of an environment in Python; `None` for a native one.
    pub python: Option<Arc<PythonSpec>>,
}

/// One environment. Observations and actions are f64 slices of the spaces' lengths; a step
/// allocates nothing.
///
/// A caller resets before the first step and after every step that is `done`. A step without that
/// reset is [`EnvError::NeedsReset`]. Actions outside the space go to the simulator as they are, as
/// in Gymnasium. An action that is not finite is rejected.
pub trait Env: Send {
    /// Id, time limit and options.
    fn spec(&self) -> &EnvSpec;

    /// Bounds of the observations that `reset` and `step` write.
    fn observation_space(&self) -> &BoxSpace;

    /// Bounds of the actions that `step` takes.
    fn action_space(&self) -> &BoxSpace;

    /// Starts an episode and writes its first observation. A seed restarts the environment's
    /// generator, so the same seed gives the same episode. Without a seed the generator goes on.
    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError>;

    /// Advances by one control step and writes the observation that follows.
    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError>;

    /// True if a step can be `terminated`. False promises that only time limits end episodes; an
    /// environment that does not know returns true.
    fn can_terminate(&self) -> bool {
        true
    }

    /// Moves the state so that this coordinate of the observation changes by `by` and no other
    /// state variable does. The next step continues from there. Returns false, and moves nothing,
    /// if the coordinate is not a state variable.
    fn nudge(&mut self, _coordinate: usize, _by: f64) -> bool {
        false
    }

    /// True if the simulator gave up the last step and started over, so that its observation does
    /// not follow from the one before. MuJoCo does so when an unstable simulation's numbers become
    /// too large.
    fn started_over(&self) -> bool {
        false
    }

    /// Named quantities of the last reset or step: Gymnasium's `info` (reward terms, positions).
    fn info(&self) -> &[(&'static str, f64)];

    /// The complete state: a restored environment continues exactly as the saved one would have.
    fn save(&self) -> Vec<u8>;

    /// Takes back a state that `save` of an equal environment wrote. After
    /// [`EnvError::Unrepeatable`] the environment can be reset.
    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError>;

    /// The equations behind the steps, for planning and for attacks along a trajectory. `None` if
    /// the environment has no differentiable form of them.
    fn model(&self) -> Option<&dyn Model> {
        None
    }

    /// The lower and the upper ends of the box in which every episode starts, in the state of
    /// `model`. `None` if starts are not in a box, or it is not known.
    fn start_box(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        None
    }

    /// Steps a second of a film in real time: Gymnasium's metadata `render_fps`. 30 for tasks
    /// without a clock.
    fn render_fps(&self) -> f64 {
        FPS
    }

    /// A picture of the current state, or [`EnvError::CannotRender`] if the task cannot draw
    /// itself.
    fn render(&mut self) -> Result<Frame, EnvError> {
        Err(EnvError::CannotRender { id: self.spec().id.clone() })
    }

    /// Keeps files that the environment writes, such as logs, in this folder from now on.
    fn work_in(&mut self, _folder: &Path) -> Result<(), EnvError> {
        Ok(())
    }

    /// Releases resources outside memory (windows, child processes).
    fn close(&mut self) {}
}

/// An RGB picture, row by row, three bytes a pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `3 · width · height` bytes.
    pub rgb: Vec<u8>,
}
