//! The environment trait: Gymnasium's `reset` and `step`, in f64, without allocation per step.

use std::collections::BTreeMap;

use crate::systems::Model;
use crate::{BoxSpace, EnvError};

/// Options of a task's constructor or of one reset, by Gymnasium's names.
pub type Options = BTreeMap<String, serde_json::Value>;

/// What one step returned besides the observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The task's reward.
    pub reward: f64,
    /// The task itself ended (fallen, goal reached): the value of the next state is zero.
    pub terminated: bool,
    /// The episode was cut off from outside (time limit): the next state keeps its value.
    pub truncated: bool,
}

impl Step {
    /// Whether the episode is over, for whichever reason.
    pub fn done(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// Who an environment is.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvSpec {
    /// Gymnasium's id, such as `Hopper-v5`.
    pub id: String,
    /// Steps after which the time limit truncates, if there is one.
    pub max_episode_steps: Option<u32>,
    /// The options this instance was made with (those given, not the defaults).
    pub options: Options,
}

/// One environment. Observations and actions are f64 slices of the spaces' lengths; a call allocates nothing.
///
/// A caller resets before the first step and after every step that is `done`; a step in between those is
/// [`EnvError::NeedsReset`]. Actions outside the space are passed to the simulator as they are, as Gymnasium
/// does; a non-finite action is refused.
pub trait Env: Send {
    /// Id, time limit and options.
    fn spec(&self) -> &EnvSpec;

    /// Bounds of what `reset` and `step` write into `obs`.
    fn observation_space(&self) -> &BoxSpace;

    /// Bounds of what `step` takes.
    fn action_space(&self) -> &BoxSpace;

    /// Starts an episode and writes its first observation. With a seed the environment's generator starts
    /// anew from it, so the same seed gives the same episode; without one it goes on.
    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError>;

    /// Advances by one control step and writes the observation that follows.
    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError>;

    /// Whether a step can ever be `terminated`. False promises that episodes end by time limits alone; an environment that does not know
    /// says true.
    fn can_terminate(&self) -> bool {
        true
    }

    /// Moves the state so that this coordinate of the observation changes by so much and no other state variable does; the next step goes
    /// on from there. False, with nothing moved, where the coordinate is not itself a state variable.
    fn nudge(&mut self, _coordinate: usize, _by: f64) -> bool {
        false
    }

    /// Named quantities of the last reset or step: Gymnasium's `info` (reward terms, positions).
    fn info(&self) -> &[(&'static str, f64)];

    /// The complete state: a restored environment continues exactly as the saved one would have.
    fn save(&self) -> Vec<u8>;

    /// Takes back a state that `save` of an equal environment wrote.
    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError>;

    /// The equations behind the steps, where the environment has them in a form that can be differentiated: what planning and attacks along
    /// a trajectory go through.
    fn model(&self) -> Option<&dyn Model> {
        None
    }

    /// A picture of the current state, height × width × 3 bytes, where the task can draw itself.
    fn render(&mut self) -> Result<Frame, EnvError> {
        Err(EnvError::CannotRender { id: self.spec().id.clone() })
    }

    /// Releases what the environment holds outside memory (windows, child processes).
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

/// Refuses an action of another length or with a number that is not finite.
pub(crate) fn check_action(env: &impl Env, action: &[f64]) -> Result<(), EnvError> {
    check_length(env, "action", action.len(), env.action_space().dim())?;
    check_finite(&env.spec().id, "action", action)
}

/// Refuses an observation slice of another length.
pub(crate) fn check_observation(env: &impl Env, obs: &[f64]) -> Result<(), EnvError> {
    check_length(env, "observation", obs.len(), env.observation_space().dim())
}

fn check_length(env: &impl Env, what: &'static str, found: usize, expected: usize) -> Result<(), EnvError> {
    if found == expected {
        return Ok(());
    }
    Err(EnvError::WrongLength { id: env.spec().id.clone(), what, found, expected })
}

/// Names the first number that is not finite.
pub(crate) fn check_finite(id: &str, what: &'static str, values: &[f64]) -> Result<(), EnvError> {
    match values.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(index) => Err(EnvError::NonFinite { id: id.to_owned(), what, index }),
    }
}
