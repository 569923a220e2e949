//! Terms of rewards, observations and initial noise that several tasks share.

use crate::mujoco::sim::Sim;
use crate::numpy_rng::NumpyRng;

/// Named quantities of a step or a reset.
pub(super) type Info = Vec<(&'static str, f64)>;

/// Adds uniform noise on [-scale, scale) to each value, in order.
pub(super) fn add_uniform(rng: &mut NumpyRng, scale: f64, values: &mut [f64]) {
    for value in values {
        *value += rng.uniform(-scale, scale);
    }
}

/// Adds normal noise of standard deviation `scale` to each value, in order.
pub(super) fn add_normal(rng: &mut NumpyRng, scale: f64, values: &mut [f64]) {
    for value in values {
        *value += scale * rng.standard_normal();
    }
}

/// Σ xᵢ².
pub(super) fn sum_of_squares<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values.into_iter().map(|x| x * x).sum()
}

/// True if `x` is strictly inside the interval.
pub(super) fn inside(x: f64, (low, high): (f64, f64)) -> bool {
    low < x && x < high
}

/// Appends the positions from `skip` on, then the velocities.
pub(super) fn observe_state(sim: &Sim, skip: usize, obs: &mut Vec<f64>) {
    obs.extend_from_slice(&sim.qpos()[skip..]);
    obs.extend_from_slice(sim.qvel());
}

/// As [`observe_state`] with velocities clipped to ±10 (Hopper and Walker2d).
pub(super) fn observe_clipped(sim: &Sim, skip: usize, obs: &mut Vec<f64>) {
    obs.extend_from_slice(&sim.qpos()[skip..]);
    obs.extend(sim.qvel().iter().map(|v| v.clamp(-10.0, 10.0)));
}

/// Appends the position of a planar walker: along the track, and above its initial height.
pub(super) fn planar_position(sim: &Sim, info: &mut Info) {
    info.push(("x_position", sim.qpos()[0]));
    info.push(("z_distance_from_origin", sim.qpos()[1] - sim.initial_qpos()[1]));
}

/// Appends the position of a robot that is free in the plane.
pub(super) fn plane_position(sim: &Sim, info: &mut Info) {
    let (x, y) = (sim.qpos()[0], sim.qpos()[1]);
    info.extend([("x_position", x), ("y_position", y), ("distance_from_origin", (x * x + y * y).sqrt())]);
}

/// The vector from `b` to `a`, and its length.
pub(super) fn difference(a: [f64; 3], b: [f64; 3]) -> ([f64; 3], f64) {
    let vector = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (vector, sum_of_squares(&vector).sqrt())
}
