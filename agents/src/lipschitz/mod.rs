//! Lipschitz constants: imposed on networks while they learn, and measured on them afterwards.
//!
//! | file | what |
//! | --- | --- |
//! | `spectral` | spectral normalisation of linear layers by power iteration |
//! | `input_gradient` | ∇ₓ f of a piecewise linear network and the gradient of a function of it, for gradient penalties |

mod input_gradient;
mod spectral;

pub use input_gradient::InputGradient;
pub use spectral::SpectralNorm;
