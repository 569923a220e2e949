//! The equations of off-policy GAIL (arXiv 2006.16785), by autograd on any device. D(x) is the
//! discriminator's logit of a row x.
//!
//! | equation | place |
//! | --- | --- |
//! | L = classification loss + gradient penalty | sum of the next two |
//! | classification loss: cross-entropy or positive–unlabelled, minus an entropy term | [`Classification::loss`] |
//! | gradient penalty: λ mean φ(‖J ∇D(x)‖₂ − k), φ one- or two-sided | [`gradient_penalty`] |
//! | r(D(x)): minimax, non-saturating, AIRL | [`super::reward`] |
//! | returns of relabelled windows, with r(absorbing)/(1 − γ) after terminations | `learned_reward` |
//!
//! The classification loss has labels y and weights w. With ℓ(x, y) = softplus(x) − y x of a logit
//! x:
//!
//! - cross-entropy: mean_policy ℓ(x, y) + mean_expert w ℓ(x, y);
//! - positive–unlabelled (Xu & Denil 2019, eq. 7):
//!   η mean_expert w ℓ(x, 1) + max(−β, mean_policy ℓ(x, 0) − η mean_expert w ℓ(x, 0));
//! - either minus c · mean H(σ(x)) over both sides, H(σ(x)) = softplus(x) − x σ(x).
//!
//! The discriminator's step on a CPU is written by hand in `classification` and `discriminator`,
//! and tested against these functions.

use tch::Tensor;

use super::discriminator_config::{ClassificationLoss, GradientPenalty};
use crate::AgentError;

/// Settings and labels of the classification loss of one batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Classification<'a> {
    /// The kind of loss.
    pub(super) loss: ClassificationLoss,
    /// c, the weight of the entropy.
    pub(super) entropy: f64,
    /// Labels of the policy's rows, `[B]`.
    pub(super) policy_labels: &'a [f32],
    /// Labels of the demonstrated rows, `[B]`.
    pub(super) expert_labels: &'a [f32],
    /// w of the demonstrated rows, `[B]`.
    pub(super) expert_weights: &'a [f32],
}

impl Classification<'_> {
    /// The loss, a scalar, of logits `[B]` of each side.
    pub(super) fn loss(&self, policy: &Tensor, expert: &Tensor) -> Tensor {
        let on = |numbers: &[f32]| Tensor::from_slice(numbers).to_device(policy.device()).to_kind(policy.kind());
        let weights = on(self.expert_weights);
        let cross = |x: &Tensor, y: &Tensor| x.softplus() - x * y;
        let entropy = Tensor::cat(&[policy, expert], 0);
        let entropy = (entropy.softplus() - &entropy * entropy.sigmoid()).mean(None);
        let loss = match self.loss {
            ClassificationLoss::CrossEntropy => {
                cross(policy, &on(self.policy_labels)).mean(None)
                    + (cross(expert, &on(self.expert_labels)) * weights).mean(None)
            }
            ClassificationLoss::PositiveUnlabelled { prior, slack } => {
                let (positive, negative) = ((-expert).softplus() * &weights, expert.softplus() * &weights);
                let unlabelled = policy.softplus().mean(None) - negative.mean(None) * prior;
                positive.mean(None) * prior + unlabelled.clamp_min(-slack)
            }
        };
        loss - entropy * self.entropy
    }
}

/// λ mean φ(‖J ∇D(x)‖₂ − k), a scalar, and the norms `[B]`, at the points x `[B, I]`. J is the
/// diagonal of `slopes`, `[B, I]`.
pub(super) fn gradient_penalty(
    config: &GradientPenalty,
    logits: impl Fn(&Tensor) -> Result<Tensor, AgentError>,
    points: &Tensor,
    slopes: &Tensor,
) -> Result<(Tensor, Tensor), AgentError> {
    let points = points.detach().set_requires_grad(true);
    let sum = logits(&points)?.f_sum(points.kind())?;
    let gradient = Tensor::f_run_backward(&[&sum], &[&points], true, true)?.swap_remove(0) * slopes;
    let (cost, norm) = config.sides.rows_autograd(&gradient, config.target)?;
    Ok((cost.mean(None) * config.scale, norm))
}
