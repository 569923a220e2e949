//! Control systems given by their equations: linear ones from matrices, and a few nonlinear ones, with quadratic cost.
//!
//! | file | what |
//! | --- | --- |
//! | `model` | x⁺ = f(x, u), its Jacobians, cost and observation: what planning and attacks differentiate |
//! | `linear` | x⁺ = A x + B u, from matrices or from continuous time |
//! | `pendulum` | Gymnasium's torque-limited pendulum |
//! | `cart_pole` | Gymnasium's cart-pole under a continuous force |
//! | `env` | a model as an environment: start, reward, observation, saved state |
//! | `matrix` | row-major matrices and the few things done to them here |
//! | `options` | matrices and starts out of a config |
//!
//! The reward is minus the stage cost c(x, u) = eᵀQe + uᵀRu at the state before the step, e being x with its angles wrapped to ±π and u
//! the input that acts (after the actuator's limit, where there is one).

mod cart_pole;
mod env;
mod linear;
mod matrix;
mod model;
mod options;
mod pendulum;

pub use cart_pole::CartPole;
pub use linear::Linear;
pub use matrix::Matrix;
pub use model::{AngleObservation, Model, Quadratic};
pub use pendulum::Pendulum;

use crate::EnvEntry;

/// The systems.
pub(crate) const ENTRIES: &[EnvEntry] = &[
    linear::ENTRY,
    linear::DOUBLE_INTEGRATOR,
    linear::OSCILLATOR,
    linear::UPRIGHT_PENDULUM,
    pendulum::ENTRY,
    cart_pole::ENTRY,
];
