//! Gymnasium's classic control tasks with continuous actions, among them its cart-pole with a
//! continuous force.

mod cart_pole;
mod mountain_car;
mod pendulum;

use crate::entry::EnvEntry;

/// The tasks.
pub(crate) const ENTRIES: &[EnvEntry] = &[pendulum::ENTRY, mountain_car::ENTRY, cart_pole::ENTRY];
