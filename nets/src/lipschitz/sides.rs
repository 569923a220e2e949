//! Cost φ(‖J g‖₂ − k) of a gradient g whose norm is not the wanted k, J a diagonal of units, by
//! autograd and by hand.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::NetsError;

/// Added to a squared norm, so that its root has a gradient at zero.
pub const NORM_FLOOR: f64 = 1e-24;

/// φ of a gradient penalty, u being the norm's distance above the wanted one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sides {
    /// max(0, u)²: norms below k cost nothing.
    One,
    /// u².
    #[default]
    Two,
}

impl Sides {
    /// φ(‖g‖₂ − k) of each row of gradients `[R, I]` in their units, and ‖g‖₂, both `[R]`, by
    /// autograd.
    pub fn rows_autograd(self, gradient: &Tensor, target: f64) -> Result<(Tensor, Tensor), NetsError> {
        let norm = (gradient.square().f_sum_dim_intlist(1, false, None::<Kind>)? + NORM_FLOOR).sqrt();
        Ok((self.cost_tensor(&(&norm - target)), norm))
    }

    /// φ(‖J g‖₂ − k) of one row by hand, J the diagonal of `units` and `norm` ‖J g‖₂. Writes
    /// `share` ∂φ/∂g = share φ′ J² g / ‖J g‖₂ to `outer`.
    pub fn row_by_hand(
        self,
        (norm, target): (f64, f64),
        share: f64,
        (g, units): (&[f32], &[f32]),
        outer: &mut [f32],
    ) -> f64 {
        let (cost, derivative) = self.cost(norm - target);
        let factor = (share * derivative / norm.max(NORM_FLOOR.sqrt())) as f32;
        for ((outer, g), unit) in outer.iter_mut().zip(g).zip(units) {
            *outer = factor * unit * unit * g;
        }
        cost
    }

    /// φ(u) and its derivative.
    pub fn cost(self, excess: f64) -> (f64, f64) {
        match self {
            Self::One if excess <= 0.0 => (0.0, 0.0),
            _ => (excess * excess, 2.0 * excess),
        }
    }

    /// φ(u) by autograd.
    fn cost_tensor(self, excess: &Tensor) -> Tensor {
        match self {
            Self::One => excess.relu().square(),
            Self::Two => excess.square(),
        }
    }
}
