//! One engine for perceptrons on a CPU: values, tangents and gradients over buffers allocated once.
//! faer multiplies the matrices; everything between two products is one loop (`kernels`).
//!
//! | file | content |
//! | --- | --- |
//! | `weights` | a network's parameters as products take them, and a gradient laid out likewise |
//! | `pass` | values forward and gradients back, over a fixed number of rows |
//! | `forward` | outputs alone, for any number of rows up to a capacity |
//! | `tangents` | Jacobians, directional derivatives, and the gradient of a function of them |
//!
//! Several networks at once are one `Pass` and one `Weights` each; their `Gradient` is one buffer.

mod forward;
mod pass;
mod tangents;
mod weights;

pub use forward::Forward;
pub use pass::Pass;
pub use tangents::Tangents;
pub use weights::{Gradient, Weights};
