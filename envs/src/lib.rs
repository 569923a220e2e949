//! Environments with Gymnasium's semantics, native in Rust.
//!
//! [`make`] builds any environment of the [`registry`] by Gymnasium's id; [`register`] adds a
//! program's own. The MuJoCo and classic tasks equal Python's Gymnasium to 1e-10 on the same
//! actions and start from the same states on the same seed; `tests/parity.rs` checks both against
//! the Python package. The [`systems`] are given by their equations, which an environment returns
//! from [`Env::model`].

mod batched;
mod classic;
mod differences;
mod drawing;
mod entry;
mod env;
mod error;
mod given;
#[cfg(feature = "gymnasium-rs")]
pub mod gymnasium_rs;
mod matrix;
mod model;
mod mujoco;
mod numpy_rng;
mod options;
pub mod python;
mod python_spec;
mod registry;
mod space;
mod state;
pub mod systems;
mod task;
pub mod wrappers;

pub use batched::BatchedEnv;
pub use differences::jacobian;
pub use entry::EnvEntry;
pub use env::{Env, EnvSpec, Frame, Options, Step};
pub use error::EnvError;
pub use given::Given;
pub use mujoco::{serve_render_worker, set_render_worker};
pub use numpy_rng::NumpyRng;
pub use options::{MatrixOption, OptionDoc, OptionValue};
pub use registry::{make, make_again, register, registry};
pub use space::BoxSpace;
pub use state::{StateReader, StateWriter};
pub use task::{Task, TaskEnv};
