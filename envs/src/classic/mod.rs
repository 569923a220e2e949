//! Gymnasium's classic control tasks with continuous actions, its cart-pole with a continuous force among them.

mod cart_pole;
mod env;
mod mountain_car;
mod pendulum;

use crate::EnvEntry;

/// The tasks.
pub(crate) const ENTRIES: &[EnvEntry] = &[pendulum::ENTRY, mountain_car::ENTRY, cart_pole::ENTRY];
