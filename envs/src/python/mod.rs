//! Environments in Python, each in a worker process of its own.
//!
//! A worker holds one environment of Gymnasium's API and answers over two pipes: `wire` has the
//! frames, `process` the process, worker.py its program. Observations of Boxes in Dicts and Tuples
//! are flattened in the order of `gymnasium.spaces.flatten_space`.
//!
//! Every episode starts from an explicit seed of at most 31 bits, as more is refused by NumPy's
//! older generators. The saved state is the episode's seed and actions, or the environment's own
//! `get_state` if it has one.

mod adapter;
mod as_env;
mod description;
mod explain;
mod log;
mod order;
mod process;
mod repeat;
mod replay;
mod spawn;
mod wire;

pub use crate::python_spec::{DEFAULT_TIME_LIMIT, ObservationPart, PythonConfig, PythonSpec, PythonWrapper};
pub use adapter::PythonEnv;
pub use repeat::{Repetition, Verdict, repetition};

use crate::env::{Env, Options};
use crate::error::EnvError;
use order::Purpose;

/// Makes the environment of a Gymnasium id, or of a class, in a process of its own. `options` are
/// the constructor's, and `max_episode_steps`.
///
/// # Errors
/// [`EnvError::Python`] if the interpreter, a module, the environment or one of its spaces cannot be
/// used.
pub fn make(id: &str, options: &Options, config: &PythonConfig) -> Result<Box<dyn Env>, EnvError> {
    Ok(Box::new(PythonEnv::start(id, options, config, Purpose::default())?))
}
