//! Control systems given by their equations: linear ones from matrices, and a few nonlinear ones,
//! with quadratic cost.
//!
//! | file | content |
//! | --- | --- |
//! | `linear` | x⁺ = A x + B u, from matrices or from continuous time |
//! | `pendulum` | Gymnasium's torque-limited pendulum |
//! | `cart_pole` | Gymnasium's cart-pole under a continuous force |
//! | `system` | a model as an environment: start, reward, observation, saved state |
//! | `picture` | drawings of states |
//! | `angle` | the observation of a state with an angle |
//! | `options` | matrices, weights and initial distributions from a config |
//!
//! The equations themselves are a [`Model`]: x⁺ = f(x, u), its Jacobians, cost and observation. The
//! reward is minus the stage cost c(x, u) = eᵀQe + uᵀRu at the state before the step. e is x with
//! its angles wrapped to ±π, and u the input after the actuator's limit.

mod angle;
mod cart_pole;
mod linear;
mod options;
mod pendulum;
mod picture;
mod system;
#[cfg(test)]
mod testing;

pub use angle::AngleObservation;
pub use cart_pole::CartPole;
pub use linear::Linear;
pub use pendulum::Pendulum;

pub use crate::matrix::Matrix;
pub use crate::model::{Model, Quadratic};

use crate::entry::EnvEntry;

/// The systems.
pub(crate) const ENTRIES: &[EnvEntry] = &[
    linear::ENTRY,
    linear::DOUBLE_INTEGRATOR,
    linear::OSCILLATOR,
    linear::UPRIGHT_PENDULUM,
    pendulum::ENTRY,
    cart_pole::ENTRY,
];
