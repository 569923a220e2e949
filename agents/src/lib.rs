//! Replay, demonstrations, networks and agents over one libtorch back end.

mod agent;
mod error;
mod metrics;
mod replay;
mod rng;
mod state;

pub use agent::{Agent, Transition};
pub use error::AgentError;
pub use metrics::Metrics;
pub use replay::Replay;
pub use rng::{StreamRng, Streams};
pub use state::{Array, ArrayData, State};
