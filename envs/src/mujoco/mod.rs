//! Gymnasium's MuJoCo tasks, version 5: one short file per task over one shared environment.

mod common;
mod env;
mod half_cheetah;
mod hopper;
mod inverted_double_pendulum;
mod inverted_pendulum;
mod sim;
mod walker2d;

use crate::EnvEntry;

/// The tasks, simplest first.
pub(crate) const ENTRIES: &[EnvEntry] =
    &[inverted_pendulum::ENTRY, inverted_double_pendulum::ENTRY, hopper::ENTRY, walker2d::ENTRY, half_cheetah::ENTRY];
