//! Environment steps as agents see them.

/// One environment step as an agent sees it. Actions are in the policy's coordinates, `[-1, 1]` per dimension;
/// the training loop scales them to the environment's bounds.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    /// Observation acted upon.
    pub obs: &'a [f32],
    /// Action taken, in `[-1, 1]`.
    pub action: &'a [f32],
    /// The environment's reward.
    pub reward: f32,
    /// Observation that followed, the final one of the episode included.
    pub next_obs: &'a [f32],
    /// The task ended: the next state is worth nothing.
    pub terminated: bool,
    /// The episode was cut off: the next state keeps its value.
    pub truncated: bool,
}

/// Some of the pairs that greedy episodes went through. Arrays are flat and row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Visited {
    /// Observations, `[R, O]`.
    pub obs: Vec<f32>,
    /// Actions taken there, `[R, A]`, in `[-1, 1]`.
    pub action: Vec<f32>,
    /// Observations that followed, `[R, O]`.
    pub next_obs: Vec<f32>,
    /// True if the task ended the episode there, so that no value follows; `[R]`, or empty: nowhere.
    pub terminated: Vec<bool>,
}
