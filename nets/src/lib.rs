//! Networks, their gradients, optimisers and Lipschitz constants over libtorch.
//!
//! All parameters of a network lie in one flat buffer. An autograd form serves any device and any
//! loss; a hand-written form serves the standard losses on a CPU.
//!
//! | file | content |
//! | --- | --- |
//! | `autograd` | the autograd form of a perceptron and of a normaliser |
//! | `buffer` | memory that libtorch multiplies and Rust loops over |
//! | `config` | settings of a network and its optimiser |
//! | `device` | `cpu`, `cuda`, `cuda:N` |
//! | `product` | matrix products |
//! | `precision` | products of passes in f32 or bf16 |
//! | `workspace_cache` | LRU cache of workspaces by number of rows |
//! | `engine` | values, tangents and gradients over preallocated buffers |
//! | `fitter` | a network and the Adam that fits it to any loss |
//! | `gaussian` | the tanh-Gaussian policy head |
//! | `layers` | perceptrons with a Lipschitz constant by construction |
//! | `lipschitz` | Lipschitz constants and gradient norms of networks |
//! | `optim` | Adam, Polyak averaging, clipping and schedules as passes over a flat buffer |
//! | `recurrent` | recurrent networks with a Lipschitz constant, convex if wanted |
//! | `regression` | a network fitted by least squares |
//! | `team` | threads that each take a share of a batch's rows |

pub mod autograd;
mod buffer;
mod config;
pub mod device;
mod engine;
mod error;
mod fitter;
pub mod gaussian;
pub mod layers;
pub mod lipschitz;
pub mod optim;
mod precision;
mod product;
pub mod recurrent;
pub mod regression;
mod team;
#[doc(hidden)]
pub mod testing;
mod workspace_cache;

pub use autograd::Autograd;
pub use buffer::{Buffer, TensorRows, slice_of};
pub use config::{LipschitzConfig, LrSchedule, MuonConfig, NetworkConfig, Optimiser, WeightConstraint};
pub use engine::{Forward, Gradient, Pass, Tangents, Weights};
pub use error::NetsError;
pub use fitter::Fitter;
pub use precision::{Precision, network_product, set_precision};
pub use product::product;
pub use team::Team;
pub use workspace_cache::WorkspaceCache;
