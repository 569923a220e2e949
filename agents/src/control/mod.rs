//! Control of known systems: what a learned feedback policy is compared with, and what bounds the difference.
//!
//! | file | what |
//! | --- | --- |
//! | `expert` | something that can be asked for the right action at any observation |
//! | `riccati` | the discrete Riccati equation |
//! | `lyapunov` | the discrete Lyapunov equation |
//! | `gain` | exact gains Σ‖AᵏB‖ and contraction (κ, ρ) of stable loops |
//! | `lqr` | a linear system with quadratic cost: the best feedback, and what any other costs |
//! | `algebra` | norms, eigenvalues and solves of small dense matrices |
//!
//! All of it is f64 and deterministic. `docs/systems.md` says how to use it, `docs/derivations/feedback.md` has the proofs.

mod algebra;
mod error;
mod expert;
mod gain;
mod lqr;
mod lyapunov;
mod riccati;

pub use algebra::{dense, extreme_eigenvalues, linearisation, spectral_norm, spectral_radius};
pub use error::ControlError;
pub use expert::{Expert, Scaled};
pub use gain::{Contraction, contraction, power_sum, scanned_contraction};
pub use lqr::Lqr;
pub use lyapunov::lyapunov;
pub use riccati::{Riccati, riccati};
