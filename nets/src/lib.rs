//! Networks, their gradients, optimisers and Lipschitz constants over libtorch.
//!
//! All parameters of a network lie in one flat buffer. An autograd form serves any device and any loss; a hand-written form serves
//! the standard losses on a CPU.
//!
//! | file | content |
//! | --- | --- |
//! | `autograd` | the autograd form of a perceptron and of a normaliser |
//! | `buffer` | memory that libtorch multiplies and Rust loops over |
//! | `config` | settings of a network and its optimiser |
//! | `device` | `cpu`, `cuda`, `cuda:N` |
//! | `product` | matrix products |
//! | `rooms` | buffers by number of rows, the last few kept |
//! | `pass` | hand-written forward and backward over preallocated buffers |
//! | `forward` | outputs alone, for many rows |
//! | `gaussian` | the tanh-Gaussian policy head |
//! | `layers` | perceptrons with a Lipschitz constant by construction |
//! | `lipschitz` | Lipschitz constants and gradient norms of networks |
//! | `optim` | Adam, Polyak averaging, clipping and schedules as passes over a flat buffer |
//! | `regression` | a network fitted by least squares |
//! | `team` | threads that each take a share of a batch's rows |

pub mod autograd;
mod buffer;
mod config;
pub mod device;
mod error;
mod forward;
pub mod gaussian;
pub mod layers;
pub mod lipschitz;
pub mod optim;
mod pass;
mod product;
pub mod regression;
mod rooms;
mod team;
#[doc(hidden)]
pub mod testing;

pub use autograd::Autograd;
pub use buffer::Buffer;
pub use config::{LrSchedule, NetworkConfig};
pub use error::NetsError;
pub use forward::Forward;
pub use pass::{Gradient, Pass, Weights};
pub use product::product;
pub use rooms::Rooms;
pub use team::Team;
