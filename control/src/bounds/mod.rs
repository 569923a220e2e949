//! Upper bounds on a learned feedback policy's error, deviation and loss, with explicit constants.
//!
//! | file | bound |
//! | --- | --- |
//! | `learning` | B1, the policy's error from its error on the data; pairs that no α-Lipschitz policy can fit |
//! | `coverage` | δ, the largest distance from a region's points to the data |
//! | `closed_loop` | B2, the loop's deviation; B3, its loss; B4, both under perturbed measurements |
//! | `basin` | an ellipsoid in which a nonlinear loop contracts and stays |
//! | `supremum` | the largest value over a box of a function with a known Lipschitz constant |
//! | `constant` | a number in a bound, with its provenance |
//!
//! The setting: x⁺ = f(x, u) on a region X, an expert π*, a policy π. The assumptions, in the order
//! in which the bounds need them:
//!
//! - A1: ‖f(x, u) − f(x, v)‖ ≤ L_u ‖u − v‖ on X.
//! - A2: the expert's loop F*(x) = f(x, π*(x)) forgets: ‖F*ᵗ(x) − F*ᵗ(y)‖ ≤ κρᵗ‖x − y‖ with ρ < 1,
//!   or is linear with the gain G.
//! - A3: Lip(π*) ≤ ℓ*, Lip(π) ≤ α.
//! - A4: the stage cost has Lipschitz constants ℓ_x and ℓ_u on the tube of B2.
//! - A5: that tube lies in X.
//!
//! A bound is as good as its worst constant: one estimate among them makes the result an estimate,
//! and marks it so. The proofs are in `docs/derivations/feedback.md`.

mod basin;
mod closed_loop;
mod constant;
mod coverage;
mod learning;
mod supremum;

pub use basin::Basin;
pub use closed_loop::{Costs, Stability, decay_with_exact_equilibrium, linear_regret};
pub use constant::{Constant, Provenance};
pub use coverage::{Coverage, coverage, coverage_within, finite_sample_coverage, uncovered_mass};
pub use learning::{Pair, disturbed_error, forced_error, learning_error, steepest_pair};
pub use supremum::{Supremum, supremum, supremum_within};
