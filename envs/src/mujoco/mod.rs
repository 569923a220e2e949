//! Gymnasium's MuJoCo tasks, version 5: one short file per task over one shared simulation.

mod ant;
mod camera;
mod common;
mod half_cheetah;
mod hopper;
mod humanoid;
mod humanoid_standup;
mod inverted_double_pendulum;
mod inverted_pendulum;
mod options;
mod pusher;
mod reacher;
mod renderer;
mod sim;
mod simulation;
mod swimmer;
mod walker2d;

pub use renderer::{serve_render_worker, set_render_worker};

use crate::entry::EnvEntry;

/// The tasks, simplest first.
pub(crate) const ENTRIES: &[EnvEntry] = &[
    inverted_pendulum::ENTRY,
    inverted_double_pendulum::ENTRY,
    reacher::ENTRY,
    pusher::ENTRY,
    swimmer::ENTRY,
    hopper::ENTRY,
    walker2d::ENTRY,
    half_cheetah::ENTRY,
    ant::ENTRY,
    humanoid::ENTRY,
    humanoid_standup::ENTRY,
];
