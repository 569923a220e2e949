//! Lipschitz constants: of networks, of policies, of simulators, and what they say about a value
//! function.
//!
//! | file | content |
//! | --- | --- |
//! | `spectral` | spectral normalisation of linear layers by power iteration |
//! | `input_gradient` | ∇ₓ f of a piecewise linear network and the gradient of a function of it, for gradient penalties |
//! | `sides` | one-sided and two-sided penalties |
//! | `norms` | spectral norms of matrices; proven constants of a perceptron's layers and their product |
//! | `jacobian` | gradient and Jacobian norms at given points, row by row |
//! | `value_bounds` | from the constants of reward, dynamics and policy to the gradient of Q |
//! | `summary` | summaries of many such numbers |
//! | `report` | the metric names of these numbers |
//!
//! A constant from `norms` holds everywhere and is mostly far from reached; a norm from `jacobian`
//! is exact and holds at its point alone. `docs/derivations/liayn.md` has the proofs.

mod input_gradient;
mod jacobian;
mod norms;
mod report;
mod sides;
mod spectral;
mod summary;
mod value_bounds;

pub use input_gradient::InputGradient;
pub use jacobian::{JacobianNorms, gradient, gradient_norms, jacobian, jacobian_norms, sum_gradient_norms};
pub use norms::{LayerBound, activation_constant, layer_bounds, layer_norm_constant, product_bound, spectral_norms};
pub use report::{network_constants, summarise};
pub use sides::{NORM_FLOOR, Sides};
pub use spectral::SpectralNorm;
pub use summary::{Summary, share_above};
pub use value_bounds::{
    Gamma2C, gamma2c, gamma2c_of_means, gamma2c_per_row, paper_estimate, paper_estimate_over, sound_bound,
    sound_bound_over, sound_factor,
};
