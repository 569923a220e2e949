//! Replay, demonstrations, networks and agents over one libtorch back end.

pub mod actor_critic;
mod agent;
mod batch;
pub mod cloning;
pub mod control;
pub mod count;
pub mod demos;
pub mod device;
mod error;
pub mod feedback;
pub mod gail;
pub mod lipschitz;
pub mod mbpo;
mod metrics;
pub mod nets;
mod noise;
mod normaliser;
pub mod optim;
mod policy;
mod registry;
pub mod regression;
pub mod replay;
mod rng;
pub mod shaping;
mod state;

pub use agent::{Agent, Transition, Visited};
pub use batch::{Batch, WindowBatch};
pub use error::AgentError;
pub use metrics::Metrics;
pub use noise::Noise;
pub use normaliser::{NormaliserOptions, RunningNormaliser};
pub use policy::{Policy, PolicyHead, PolicySlope};
pub use registry::{AgentConfig, Lesson, Setup};
pub use replay::{Flags, Replay, ReplayConfig};
pub use rng::{StreamRng, Streams};
pub use state::{Array, ArrayData, State};
