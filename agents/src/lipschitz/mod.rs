//! Lipschitz constants of networks, policies and simulators.
//!
//! | file | what |
//! | --- | --- |
//! | `norms` | spectral norms of matrices; proven constants of a perceptron's layers and their product |
//! | `jacobian` | what is measured at given points: gradient and Jacobian norms, row by row |
//! | `summary` | what is reported of many such numbers |
//!
//! A constant from `norms` holds everywhere and is mostly far from reached; a norm from `jacobian` is exact and holds at its point
//! alone.

mod jacobian;
mod norms;
mod summary;

pub use jacobian::{
    JacobianNorms, finite_difference_jacobian, gradient, gradient_norms, jacobian, jacobian_norms, sum_gradient_norms,
};
pub use norms::{
    LayerBound, SWISH_CONSTANT, activation_constant, layer_bounds, layer_norm_constant, product_bound, spectral_norms,
};
pub use summary::{Summary, share_above};
