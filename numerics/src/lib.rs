//! The numerical base of learners and certificates, without libtorch: random streams, saved state,
//! perceptrons in flat buffers, dense f64 algebra, nearest neighbours.
//!
//! | file | content |
//! | --- | --- |
//! | `rng` | named random streams from one seed |
//! | `state` | a component's state as named arrays and values, in safetensors |
//! | `state_io` | one walk over a component's state, which saves or loads |
//! | `normaliser` | running moments of observations, in f64 |
//! | `activation` | activations and initialisations that a config can name |
//! | `mlp` | the perceptron: the place of each parameter in the flat buffer |
//! | `init` | first weights from a random stream |
//! | `activate` | one layer's way from its matrix product to its output |
//! | `kernels` | elementwise loops for AVX2 and AVX-512, chosen at run time |
//! | `single` | outputs for one observation |
//! | `pull_back` | outputs and their gradient at one input, in f64 |
//! | `linalg` | dense f64 linear algebra shared by control and certificates |
//! | `singular` | the top singular pair of small matrices |
//! | `neighbours` | nearest rows |
//! | `formula` | formulas over the numbers of transitions |

mod activate;
mod activation;
mod error;
mod formula;
mod init;
pub mod kernels;
pub mod linalg;
mod mlp;
pub mod neighbours;
mod normaliser;
mod pull_back;
mod rng;
mod single;
mod singular;
mod state;
mod state_io;
#[doc(hidden)]
pub mod testing;

pub use activate::ActivationCache;
pub use activation::{Activation, Init, SWISH_CONSTANT, widths_for};
pub use error::NumericsError;
pub use formula::{Column, Formula, FormulaError, Variable};
pub use mlp::{Layer, Mlp, NORM_EPS};
pub use normaliser::{NormaliserOptions, RunningNormaliser};
pub use pull_back::PullBack;
pub use rng::{StreamRng, Streams};
pub use single::Single;
pub use singular::TopPair;
pub use state::{Array, ArrayData, State};
pub use state_io::StateIo;
