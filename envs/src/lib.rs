//! Environments with Gymnasium's semantics, native in Rust.

mod env;
mod error;
mod space;

pub use env::{Env, EnvSpec, Frame, Options, Step};
pub use error::EnvError;
pub use space::BoxSpace;
