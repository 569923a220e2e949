//! Policies, experts, bounds on closed loops and Lipschitz certificates, in f64 and without
//! libtorch.
//!
//! | file | content |
//! | --- | --- |
//! | `policy` | a trained policy by itself, in one file |
//! | `tables` | tables of actions: the oracle, the Lipschitz extension |
//! | `certify` | proven Lipschitz bounds of networks |
//! | `expert` | the interface of an expert: an action at any observation |
//! | `expert_config` | experts that a config can name |
//! | `feedback` | experts: linear feedback, a trained policy |
//! | `mpc` | an expert that plans |
//! | `ilqr` | its plans: iterative LQR with a bounded input |
//! | `riccati` | the discrete Riccati equation |
//! | `lyapunov` | the discrete Lyapunov equation |
//! | `gain` | exact gains Σ‖AᵏB‖ and contraction (κ, ρ) of stable loops |
//! | `lqr` | a linear system with quadratic cost: the best feedback, and the cost of any other |
//! | `linear` | scaled experts as policies, on linear systems |
//! | `testing` | closed forms of costs, for tests |
//! | `smoothing` | policies on noisy observations, and what the noise proves of them |
//! | `games` | convergence of games, adversarial imitation among them |
//! | `bounds` | bounds on a learned policy's error, deviation and loss |
//! | `algebra` | eigenvalues and solves of small dense matrices |
//!
//! All of it is deterministic. `docs/systems.md` explains its use; `docs/derivations/` has the
//! proofs.

mod algebra;
pub mod bounds;
pub mod certify;
mod error;
mod expert;
mod expert_config;
mod feedback;
mod gain;
pub mod games;
mod ilqr;
mod linear;
mod lqr;
mod lyapunov;
mod mpc;
mod policy;
mod riccati;
pub mod smoothing;
pub mod tables;
#[doc(hidden)]
pub mod testing;

pub use algebra::{dense, extreme_eigenvalues, linearisation, spectral_radius};
pub use error::ControlError;
pub use expert::{Expert, Scaled};
pub use expert_config::ExpertConfig;
pub use feedback::{LinearFeedback, PolicyExpert};
pub use gain::{Contraction, contraction, power_sum, scanned_contraction};
pub use linear::{linear, linear_policy};
pub use liprl_numerics::linalg::spectral_norm;
pub use lqr::Lqr;
pub use lyapunov::lyapunov;
pub use mpc::{Mpc, MpcConfig};
pub use policy::{Policy, PolicyHead, PolicySlope};
pub use riccati::{Riccati, riccati};
