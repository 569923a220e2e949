//! Replay, demonstrations, networks and agents over one libtorch back end.

pub mod actor_critic;
mod agent;
pub mod count;
mod error;
mod metrics;
pub mod nets;
mod registry;
mod replay;
mod rng;
mod state;

pub use agent::{Agent, Transition};
pub use error::AgentError;
pub use metrics::Metrics;
pub use registry::{AgentConfig, Setup};
pub use replay::Replay;
pub use rng::{StreamRng, Streams};
pub use state::{Array, ArrayData, State};
