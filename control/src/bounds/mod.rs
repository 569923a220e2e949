//! What a learned feedback policy can be off by, lose, and be pushed to: four bounds with explicit constants.
//!
//! | file | bound |
//! | --- | --- |
//! | `learning` | B1, the policy's error from its error on the data; pairs that no α-Lipschitz policy can fit |
//! | `coverage` | δ, how far a region's points are from the data |
//! | `closed_loop` | B2, how far the loop strays; B3, what it loses; B4, both under disturbed measurements |
//! | `basin` | where a nonlinear loop contracts, and how it is not left |
//! | `supremum` | the largest value of a function of known slope over a box |
//!
//! The setting: x⁺ = f(x, u) on a region X, an expert π*, a policy π. The assumptions, in the order in which the bounds need them:
//!
//! - A1: ‖f(x, u) − f(x, v)‖ ≤ L_u ‖u − v‖ on X.
//! - A2: the expert's loop F*(x) = f(x, π*(x)) forgets: ‖F*ᵗ(x) − F*ᵗ(y)‖ ≤ κρᵗ‖x − y‖ with ρ < 1, or is linear with the gain G.
//! - A3: Lip(π*) ≤ ℓ*, Lip(π) ≤ α.
//! - A4: the stage cost has Lipschitz constants ℓ_x and ℓ_u on the tube of B2.
//! - A5: that tube lies in X.
//!
//! A bound is as good as its worst constant: one that was only estimated makes the result an estimate, and it says so. The proofs are in
//! `docs/derivations/feedback.md`.

mod basin;
mod closed_loop;
mod coverage;
mod learning;
mod supremum;

pub use basin::Basin;
pub use closed_loop::{Costs, Stability, decay_with_exact_equilibrium, linear_regret};
pub use coverage::{Coverage, coverage, coverage_within, finite_sample_coverage, uncovered_mass};
pub use learning::{Pair, disturbed_error, expected_error, forced_error, learning_error, steepest_pair};
pub use supremum::{Supremum, supremum, supremum_within};

use super::ControlError;

/// Where a constant comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Proven, or exact.
    Certified,
    /// Sampled, fitted or supposed: may be too small.
    Estimated,
}

/// A number in a bound, with its provenance.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Constant {
    /// The number.
    pub value: f64,
    /// How far it can be trusted.
    pub provenance: Provenance,
}

impl Constant {
    /// A proven number.
    pub fn certified(value: f64) -> Self {
        Self { value, provenance: Provenance::Certified }
    }

    /// A number that may be too small.
    pub fn estimated(value: f64) -> Self {
        Self { value, provenance: Provenance::Estimated }
    }

    /// `value`, made out of these: certified only if all of them are.
    pub fn from(value: f64, parts: &[Self]) -> Self {
        let certified = parts.iter().all(|part| part.provenance == Provenance::Certified);
        if certified { Self::certified(value) } else { Self::estimated(value) }
    }

    /// Refuses a number that is negative or not finite.
    fn at_least_zero(self, name: &'static str) -> Result<f64, ControlError> {
        if self.value.is_finite() && self.value >= 0.0 {
            return Ok(self.value);
        }
        Err(ControlError::bad(name, format!("must be a finite number of at least 0, found {}", self.value)))
    }

    /// Refuses a number that is not finite and above zero.
    fn above_zero(self, name: &'static str) -> Result<f64, ControlError> {
        if self.value.is_finite() && self.value > 0.0 {
            return Ok(self.value);
        }
        Err(ControlError::bad(name, format!("must be a finite number above 0, found {}", self.value)))
    }
}
