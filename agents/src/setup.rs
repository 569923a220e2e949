//! Inputs to an agent's construction besides its own settings.

use liprl_control::Policy;
use liprl_envs::EnvSpec;
use liprl_numerics::Streams;

use crate::demos::Demonstrations;

/// Sizes, streams and hardware an agent is built for.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Numbers in an observation.
    pub obs_dim: usize,
    /// Numbers in an action.
    pub act_dim: usize,
    /// The run's random streams.
    pub streams: Streams,
    /// Device of the networks.
    pub device: tch::Device,
    /// Threads that share the work of one update on a CPU, at least 1.
    pub threads: usize,
}

/// Task information an agent may need: demonstrations, termination, expert.
#[derive(Clone, Debug)]
pub struct TaskContext {
    /// The demonstrations that `AgentConfig::demonstrations` names, their actions brought to
    /// `[-1, 1]`.
    pub demonstrations: Option<Demonstrations>,
    /// True if the task can end an episode by itself.
    pub can_terminate: bool,
    /// The task's id and options, for learners that know its rules.
    pub task: Option<EnvSpec>,
    /// The policy that `AgentConfig::expert` names.
    pub expert: Option<Policy>,
    /// Half of each action's range in the environment's units, `[A]`: what an action of 1 is, less
    /// that of 0. Empty stands for ones.
    pub action_half_width: Vec<f64>,
}

impl TaskContext {
    /// Nothing, for learners that need none of it.
    pub const NONE: Self =
        Self { demonstrations: None, can_terminate: true, task: None, expert: None, action_half_width: Vec::new() };
}
