//! Gymnasium's classic control tasks with continuous actions.

mod env;
mod mountain_car;
mod pendulum;

use crate::EnvEntry;

/// The tasks.
pub(crate) const ENTRIES: &[EnvEntry] = &[pendulum::ENTRY, mountain_car::ENTRY];
