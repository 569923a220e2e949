//! Environments with Gymnasium's semantics, native in Rust.
//!
//! [`make`] builds any environment of the [`registry`] by Gymnasium's id; [`register`] adds a program's own. The
//! MuJoCo and classic tasks equal Python's Gymnasium to 1e-10 on the same actions and start from the same states
//! on the same seed; `tests/parity.rs` checks both against the Python package. The [`systems`] are given by their equations, which an
//! environment hands out by [`Env::model`].

mod batched;
mod classic;
mod differences;
mod env;
mod error;
#[cfg(feature = "gymnasium-rs")]
pub mod gymnasium_rs;
mod mujoco;
mod numpy_rng;
mod options;
mod registry;
mod space;
mod state;
pub mod systems;
pub mod wrappers;

pub use batched::BatchedEnv;
pub use differences::jacobian;
pub use env::{Env, EnvSpec, Frame, Options, Step};
pub use error::EnvError;
pub use numpy_rng::NumpyRng;
pub use options::{Given, MatrixOption, OptionDoc, OptionValue};
pub use registry::{EnvEntry, make, register, registry};
pub use space::BoxSpace;
pub use state::{StateReader, StateWriter};
