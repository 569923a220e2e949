//! Critics whose outputs are a distribution of returns: the choice between the two kinds, and the
//! loops over a batch's rows. The equations are in `categorical` and `quantile`.
//!
//! A row's loss is also its priority in prioritised replay: unlike the error of the expectation it
//! vanishes only where the whole distribution fits. For the categorical head that is the choice of
//! arXiv 2006.16785's authors and, up to the target's entropy, of Rainbow (Hessel et al. 2018,
//! section "Prioritized replay").

use tch::Tensor;

use super::{CriticHead, batch::Rows, categorical::Categorical, outputs::CriticSums, quantile::Quantile};

/// The meaning of a distributional critic's outputs.
#[derive(Clone, Debug)]
pub(crate) enum Distribution {
    /// Logits of fixed returns.
    Categorical(Categorical),
    /// Quantiles.
    Quantile(Quantile),
}

impl Distribution {
    /// The distribution that `head` asks for; `None` of `scalar`.
    pub(crate) fn new(head: CriticHead) -> Option<Self> {
        match head {
            CriticHead::Scalar => None,
            CriticHead::Categorical(config) => Some(Self::Categorical(Categorical::new(config))),
            CriticHead::Quantile(config) => Some(Self::Quantile(Quantile::new(config))),
        }
    }

    /// Outputs of the network, N.
    pub(crate) fn outputs(&self) -> usize {
        match self {
            Self::Categorical(head) => head.outputs(),
            Self::Quantile(head) => head.outputs(),
        }
    }

    /// The expectation `[B]` of outputs `[B, N]`, by autograd.
    pub(crate) fn value(&self, outputs: &Tensor) -> Tensor {
        match self {
            Self::Categorical(head) => head.value(outputs),
            Self::Quantile(head) => head.value(outputs),
        }
    }

    /// The target `[B, N]` of the target critic's outputs `[B, N]`, R `[B]` and γᵏ `[B]`, on any
    /// device.
    pub(crate) fn target(&self, outputs: &Tensor, reward: &Tensor, discount: &Tensor) -> Tensor {
        match self {
            Self::Categorical(head) => head.target(outputs, reward, discount),
            Self::Quantile(head) => head.target(outputs, reward, discount),
        }
    }

    /// Each row's loss `[B]` at outputs `[B, N]` against `target [B, N]`, by autograd.
    pub(crate) fn losses(&self, outputs: &Tensor, target: &Tensor) -> Tensor {
        match self {
            Self::Categorical(head) => head.losses(outputs, target),
            Self::Quantile(head) => head.losses(outputs, target),
        }
    }

    /// The target of a share's rows into `target`, both it and the target critic's `outputs`
    /// `[rows, N]`; so is the scratch space.
    pub(crate) fn target_rows(&self, outputs: &[f32], rows: &Rows, scratch: &mut [f32], target: &mut [f32]) {
        let (n, first) = (self.outputs(), rows.range.start);
        let (reward, discount) = (rows.batch_reward.slice(), rows.batch_discount.slice());
        let each = outputs.chunks_exact(n).zip(scratch.chunks_exact_mut(n)).zip(target.chunks_exact_mut(n));
        for (row, ((outputs, scratch), target)) in each.enumerate().map(|(i, each)| (first + i, each)) {
            match self {
                Self::Categorical(head) => head.target_row(outputs, reward[row], discount[row], scratch, target),
                Self::Quantile(head) => head.target_row(outputs, row, reward, discount, target),
            }
        }
    }

    /// The loss at `outputs` against `target`, both `[rows, N]`, weighted by `weight [rows]`: its
    /// sums over the rows, `share` times its gradient into `gradient [rows, N]`, and each row's
    /// own, unweighted, into `losses [rows]`.
    pub(crate) fn critic_gradient_rows(
        &self,
        (outputs, target): (&[f32], &[f32]),
        weight: &[f32],
        share: f32,
        gradient: &mut [f32],
        losses: &mut [f32],
    ) -> CriticSums {
        let (n, mut sums) = (self.outputs(), CriticSums::default());
        let each = outputs.chunks_exact(n).zip(target.chunks_exact(n)).zip(gradient.chunks_exact_mut(n));
        for (((outputs, target), gradient), (weight, kept)) in each.zip(weight.iter().zip(losses)) {
            let (loss, value) = match self {
                Self::Categorical(head) => head.critic_gradient_row(outputs, target, weight * share, gradient),
                Self::Quantile(head) => head.critic_gradient_row(outputs, target, weight * share, gradient),
            };
            *kept = loss;
            sums.loss += f64::from(weight * loss);
            sums.value += f64::from(value);
        }
        sums
    }

    /// The expectation of `outputs [rows, N]`, summed over the rows, and `share` times its gradient
    /// into `gradient [rows, N]`.
    pub(crate) fn actor_gradient_rows(&self, outputs: &[f32], share: f32, gradient: &mut [f32]) -> f64 {
        let n = self.outputs();
        let each = outputs.chunks_exact(n).zip(gradient.chunks_exact_mut(n));
        let values = each.map(|(outputs, gradient)| match self {
            Self::Categorical(head) => head.actor_gradient_row(outputs, share, gradient),
            Self::Quantile(head) => head.actor_gradient_row(outputs, share, gradient),
        });
        values.map(f64::from).sum()
    }
}
