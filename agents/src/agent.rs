//! Interface of a learner for the training loop.

use liprl_control::{Policy, certify::Certifiable};
use liprl_numerics::{State, StateIo};

use crate::{AgentError, Metrics, Replay, Transition, Visited};

/// A learner. The loop calls `act`, steps the environment, calls `observe`, then `update`;
/// everything random inside comes from the agent's own streams, which `state` includes.
pub trait Agent {
    /// Chooses an exploring action in `[-1, 1]` for the next step of training.
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError>;

    /// Chooses the action the learner thinks best. Draws no random number and changes no state.
    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError>;

    /// Takes in what the action led to.
    fn observe(&mut self, transition: &Transition<'_>) -> Result<(), AgentError>;

    /// Counts a step whose observation does not follow from the one before, because the simulator
    /// started over. Nothing is learned from it, and no window of steps crosses it.
    fn skip(&mut self);

    /// Does the learning due after one environment step (often one gradient update, sometimes none)
    /// and adds what it measured to `metrics`.
    fn update(&mut self, metrics: &mut Metrics) -> Result<(), AgentError>;

    /// True if the learning due after the last step is not finished, because it takes long. The
    /// caller then calls `update` again before the next step; a checkpoint may fall between two
    /// such calls.
    fn busy(&self) -> bool {
        false
    }

    /// Gradient updates done since the agent was made, those before a resume included.
    fn updates(&self) -> u64;

    /// Weights, actions, values for TensorBoard histograms, each under its metric name. Called at
    /// logging events only; changes no state.
    fn histograms(&mut self) -> Result<Vec<(String, Vec<f32>)>, AgentError>;

    /// Measurements that are too expensive for every step (Lipschitz constants, bounds), by metric
    /// name, at an evaluation whose episodes went through `visited`. Changes no state.
    fn diagnose(&mut self, visited: &Visited) -> Result<Vec<(String, f64)>, AgentError>;

    /// The policy that `act_greedy` follows, by itself.
    fn policy(&self) -> Result<Policy, AgentError>;

    /// The networks it has besides its policy, for certificates; by default there are none.
    fn networks(&self) -> Result<Vec<Certifiable>, AgentError> {
        Ok(Vec::new())
    }

    /// Everything but the replays' contents, which are saved separately: weights, optimiser,
    /// normalisers, random streams, counters.
    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError>;

    /// The replay buffers, each under a fixed name, for checkpoints that write only what changed.
    fn replays(&mut self) -> Vec<(&'static str, &mut Replay)>;
}

impl dyn Agent + '_ {
    /// The agent's state.
    pub fn save(&mut self) -> Result<State, AgentError> {
        State::of(|io| self.state(io))
    }

    /// Takes the state of an agent with the same config.
    pub fn load(&mut self, state: &State) -> Result<(), AgentError> {
        self.state(&mut StateIo::load_from(state))
    }
}
