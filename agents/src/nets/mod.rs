//! Networks: all parameters of a network in one flat buffer, with an autograd form for any device and any loss, and a
//! hand-written form for the standard losses on a CPU.
//!
//! | file | what |
//! | --- | --- |
//! | `spec` | activations, initialisations |
//! | `mlp` | the perceptron: where each parameter lies in the flat buffer, its autograd form |
//! | `init` | first weights from a random stream |
//! | `product` | matrix products |
//! | `rooms` | buffers by number of rows, the last few kept |
//! | `pass` | hand-written forward and backward over preallocated buffers |
//! | `forward` | outputs alone, for many rows |
//! | `single` | one observation, no libtorch call |
//! | `pull_back` | one input, the slope of a function of the outputs |
//! | `gaussian` | the tanh-Gaussian policy head |
//! | `lipschitz` | perceptrons with a Lipschitz constant by construction |
//! | `kernels` | the elementwise loops, compiled for AVX2 and AVX-512 and chosen at run time |
//! | `team` | threads that each take a share of a batch's rows |

mod buffer;
mod forward;
pub mod gaussian;
mod init;
pub mod kernels;
pub mod lipschitz;
mod mlp;
mod pass;
mod product;
mod pull_back;
mod rooms;
mod single;
mod spec;
mod team;

pub use buffer::Buffer;
pub use forward::Forward;
pub(crate) use mlp::NORM_EPS;
pub use mlp::{Layer, Mlp};
pub use pass::{Gradient, Pass, Weights};
pub use product::product;
pub use pull_back::PullBack;
pub use rooms::Rooms;
pub use single::Single;
pub use spec::{Activation, Init};
pub use team::Team;
