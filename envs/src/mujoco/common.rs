//! Options and terms that several tasks share.

use std::borrow::Cow;

use crate::mujoco::env::Info;
use crate::mujoco::sim::Sim;
use crate::{NumpyRng, OptionDoc, OptionValue};

pub(super) const fn xml_file(default: &'static str) -> OptionDoc {
    OptionDoc::new(
        "xml_file",
        OptionValue::Text(Cow::Borrowed(default)),
        "The MuJoCo model: one of Gymnasium's by name, or a path that begins with `/`, `.` or `~`.",
    )
}

pub(super) const fn frame_skip(default: u32) -> OptionDoc {
    OptionDoc::new("frame_skip", OptionValue::Count(default), "Simulation steps per control step.")
}

pub(super) const fn reset_noise_scale(default: f64) -> OptionDoc {
    OptionDoc::new(
        "reset_noise_scale",
        OptionValue::NonNegative(default),
        "Size of the random perturbation of initial positions and velocities.",
    )
}

pub(super) const fn forward_reward_weight(default: f64) -> OptionDoc {
    OptionDoc::new("forward_reward_weight", OptionValue::Number(default), "Reward per metre per second forwards.")
}

pub(super) const fn ctrl_cost_weight(default: f64) -> OptionDoc {
    OptionDoc::new("ctrl_cost_weight", OptionValue::Number(default), "Cost per squared control.")
}

pub(super) const fn healthy_reward(default: f64) -> OptionDoc {
    OptionDoc::new("healthy_reward", OptionValue::Number(default), "Reward of each step that ends healthy.")
}

pub(super) const fn terminate_when_unhealthy() -> OptionDoc {
    OptionDoc::new("terminate_when_unhealthy", OptionValue::Flag(true), "Whether an unhealthy state ends the episode.")
}

pub(super) const fn healthy_z_range(low: f64, high: f64) -> OptionDoc {
    OptionDoc::new("healthy_z_range", OptionValue::Range(low, high), "Heights of the torso that are healthy, metres.")
}

pub(super) const fn healthy_angle_range(low: f64, high: f64) -> OptionDoc {
    OptionDoc::new(
        "healthy_angle_range",
        OptionValue::Range(low, high),
        "Pitches of the torso that are healthy, radians.",
    )
}

pub(super) const fn exclude_current_positions() -> OptionDoc {
    OptionDoc::new(
        EXCLUDE_POSITIONS,
        OptionValue::Flag(true),
        "Leave the position in the plane or along the track out of the observation.",
    )
}

pub(super) const fn reward_weight(name: &'static str, default: f64, doc: &'static str) -> OptionDoc {
    OptionDoc::new(name, OptionValue::Number(default), doc)
}

pub(super) const fn include_in_observation(name: &'static str, doc: &'static str) -> OptionDoc {
    OptionDoc::new(name, OptionValue::Flag(true), doc)
}

pub(super) const EXCLUDE_POSITIONS: &str = "exclude_current_positions_from_observation";

/// Adds uniform noise on [-scale, scale) to each value, in order.
pub(super) fn add_uniform(rng: &mut NumpyRng, scale: f64, values: &mut [f64]) {
    for value in values {
        *value += rng.uniform(-scale, scale);
    }
}

/// Adds normal noise of this standard deviation to each value, in order.
pub(super) fn add_normal(rng: &mut NumpyRng, scale: f64, values: &mut [f64]) {
    for value in values {
        *value += scale * rng.standard_normal();
    }
}

/// Σ xᵢ².
pub(super) fn sum_of_squares<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values.into_iter().map(|x| x * x).sum()
}

/// Strictly inside an interval.
pub(super) fn inside(x: f64, (low, high): (f64, f64)) -> bool {
    low < x && x < high
}

/// Positions, then velocities clipped to ±10 (Hopper and Walker2d).
pub(super) fn observe_clipped(sim: &Sim, skip: usize, obs: &mut Vec<f64>) {
    obs.extend_from_slice(&sim.qpos()[skip..]);
    obs.extend(sim.qvel().iter().map(|v| v.clamp(-10.0, 10.0)));
}

/// Where a planar walker is: along the track, and above its initial height.
pub(super) fn planar_position(sim: &Sim, initial_height: f64, info: &mut Info) {
    info.push(("x_position", sim.qpos()[0]));
    info.push(("z_distance_from_origin", sim.qpos()[1] - initial_height));
}

/// Where a robot free in the plane is.
pub(super) fn plane_position(sim: &Sim, info: &mut Info) {
    let (x, y) = (sim.qpos()[0], sim.qpos()[1]);
    info.extend([("x_position", x), ("y_position", y), ("distance_from_origin", (x * x + y * y).sqrt())]);
}

/// Distance between two points and the vector from the second to the first.
pub(super) fn difference(a: [f64; 3], b: [f64; 3]) -> ([f64; 3], f64) {
    let vector = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (vector, sum_of_squares(&vector).sqrt())
}
