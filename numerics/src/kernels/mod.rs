//! The elementwise loops of the hand-written passes, each one pass over its memory. They are
//! compiled for AVX-512, AVX2 and the baseline, and chosen at run time. No multiply-add is fused
//! and sums keep sixteen fixed lanes, so all three give equal bits.
//!
//! | file | content |
//! | --- | --- |
//! | `vectors` | sums and products of vectors and rows |
//! | `activation` | activations forward and back |
//! | `norm` | LayerNorm forward and back |
//! | `smooth` | exponential, sigmoid, tanh |
//! | `adam` | Adam and Polyak averaging |
//! | `half` | bf16 to and fro |

mod activation;
mod adam;
mod half;
mod norm;
mod smooth;
mod vectors;

pub use activation::{activation_backward, bias_activate, slope_backward};
pub use adam::{AdamStep, adam, polyak};
pub use half::{add_bf16, from_bf16, to_bf16};
pub use norm::{Norm, NormGrad, norm_activate, norm_backward};
pub use smooth::{exp, sigmoid, sigmoid_all, tanh, tanh_all};
pub use vectors::{add, add_bias, add_rows, dot, matvec, sum_of_squares};
