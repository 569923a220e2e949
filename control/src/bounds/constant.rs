//! Numbers in a bound, each with its provenance.

use crate::error::ControlError;

/// Origin of a constant.
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
    /// Origin of the number.
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

    /// `value`, computed from these `parts`: certified only if all of them are.
    pub fn from(value: f64, parts: &[Self]) -> Self {
        let certified = parts.iter().all(|part| part.provenance == Provenance::Certified);
        if certified { Self::certified(value) } else { Self::estimated(value) }
    }

    /// The number; an error if it is negative or not finite.
    pub(super) fn at_least_zero(self, name: &'static str) -> Result<f64, ControlError> {
        if self.value.is_finite() && self.value >= 0.0 {
            return Ok(self.value);
        }
        Err(ControlError::bad(name, format!("must be a finite number of at least 0, found {}", self.value)))
    }

    /// The number; an error unless it is finite and above zero.
    pub(super) fn above_zero(self, name: &'static str) -> Result<f64, ControlError> {
        if self.value.is_finite() && self.value > 0.0 {
            return Ok(self.value);
        }
        Err(ControlError::bad(name, format!("must be a finite number above 0, found {}", self.value)))
    }
}
