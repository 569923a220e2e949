//! What a gradient penalty makes of a norm that is not the wanted one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// φ of a gradient penalty, u being how far the norm is above the wanted one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sides {
    /// max(0, u)²: flatter than k costs nothing.
    One,
    /// u².
    #[default]
    Two,
}

impl Sides {
    /// φ(u) and its derivative.
    pub fn cost(self, excess: f64) -> (f64, f64) {
        match self {
            Self::One if excess <= 0.0 => (0.0, 0.0),
            _ => (excess * excess, 2.0 * excess),
        }
    }

    /// φ(u) by autograd.
    pub fn cost_tensor(self, excess: &Tensor) -> Tensor {
        match self {
            Self::One => excess.relu().square(),
            Self::Two => excess.square(),
        }
    }
}
