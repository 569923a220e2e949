//! A reward of your own, for imitation: near 1 at demonstrated transitions, towards 0 far from all.

use garde::Validate;
use liprl::agents::{
    AgentError, Setup,
    gail::{FitRows, RewardKind, RewardSource, RowReward},
};
use liprl::tch::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// r = exp(−d²/2σ²) with d the distance to the nearest demonstrated row; its Lipschitz constant is
/// 1/(σ √e).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nearest {
    /// σ, in the units of a row, above 0.
    #[garde(range(min = 1e-9))]
    width: f64,
}

/// The reward, with the demonstrated rows `[E, I]`.
struct Fitted(Nearest, Tensor);

impl RewardKind for Nearest {
    fn source(&self) -> RewardSource<'_> {
        RewardSource::Rows(self)
    }
}

impl FitRows for Nearest {
    fn fit(&self, demonstrated: &Tensor, _: &Setup) -> Result<Box<dyn RowReward>, AgentError> {
        Ok(Box::new(Fitted(*self, demonstrated.copy())))
    }
}

impl RowReward for Fitted {
    fn reward(&mut self, x: &Tensor) -> Result<Vec<f32>, AgentError> {
        let distance = Tensor::f_cdist(x, &self.1, 2.0, None)?.f_amin(1, false)?;
        Ok(Vec::try_from(((distance / self.0.width).square() * -0.5).exp())?)
    }

    fn gradient_norms(&mut self, x: &Tensor) -> Result<Vec<f32>, AgentError> {
        let (reward, width) = (self.reward(x)?, self.0.width as f32);
        Ok(reward.into_iter().map(|r| r * (-2.0 * r.max(f32::MIN_POSITIVE).ln()).sqrt() / width).collect())
    }
}
