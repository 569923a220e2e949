//! Control of known systems: what a learned feedback policy is compared with, and what bounds the difference.
//!
//! | file | what |
//! | --- | --- |
//! | `expert` | something that can be asked for the right action at any observation |
//! | `feedback` | experts: linear feedback, a trained policy |
//! | `mpc` | an expert that plans |
//! | `ilqr` | the plans: iterative LQR with a bounded input |
//! | `riccati` | the discrete Riccati equation |
//! | `lyapunov` | the discrete Lyapunov equation |
//! | `gain` | exact gains Σ‖AᵏB‖ and contraction (κ, ρ) of stable loops |
//! | `lqr` | a linear system with quadratic cost: the best feedback, and what any other costs |
//! | `linear` | scaled experts as policies, on linear systems |
//! | `bounds` | how far a learned policy can be off, stray and lose |
//! | `algebra` | eigenvalues and solves of small dense matrices |
//!
//! All of it is f64 and deterministic. `docs/systems.md` says how to use it, `docs/derivations/feedback.md` has the proofs.

mod algebra;
pub mod bounds;
mod error;
mod expert;
mod feedback;
mod gain;
mod ilqr;
mod linear;
mod lqr;
mod lyapunov;
mod mpc;
mod riccati;

pub use crate::dense::spectral_norm;
pub use algebra::{dense, extreme_eigenvalues, linearisation, spectral_radius};
pub use error::ControlError;
pub use expert::{Expert, ExpertConfig, Scaled};
pub use feedback::{LinearFeedback, PolicyExpert};
pub use gain::{Contraction, contraction, power_sum, scanned_contraction};
pub use linear::{linear, linear_policy};
pub use lqr::Lqr;
pub use lyapunov::lyapunov;
pub use mpc::{Mpc, MpcConfig};
pub use riccati::{Riccati, riccati};
