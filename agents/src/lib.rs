//! Replay, demonstrations and agents over one libtorch back end.

pub mod actor_critic;
mod agent;
pub mod cloning;
pub mod demos;
mod error;
pub mod feedback;
pub mod gail;
pub mod kinds;
pub mod mbpo;
mod memory;
mod metrics;
mod noise;
mod registry;
pub mod replay;
mod setup;
pub mod shaping;
mod transition;

pub use agent::Agent;
pub use error::{AgentError, setting_path};
pub use memory::{MemoryPart, MemoryParts, MemorySizes};
pub use metrics::Metrics;
pub use noise::{ActionNoise, Noise};
pub use registry::{AgentConfig, AgentKind};
pub use replay::{Batch, Flags, Replay, ReplayConfig, WindowBatch, WindowReturn};
pub use setup::{Setup, TaskContext};
pub use transition::{Transition, Visited, VisitedEpisode};
