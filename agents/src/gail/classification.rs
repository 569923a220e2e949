//! The classification loss of `equations` by hand: its value, statistics, and derivative with
//! respect to each logit.

use super::{
    discriminator_config::ClassificationLoss,
    equations::Classification,
    reward::{sigmoid, softplus},
};

/// Means over a batch of logits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ClassificationStats {
    /// The loss, entropy term included.
    pub(super) loss: f64,
    /// Mean H over both sides, in nats.
    pub(super) entropy: f64,
    /// Share of the policy's rows with x < 0.
    pub(super) policy_accuracy: f64,
    /// Share of the demonstrated rows with x > 0.
    pub(super) expert_accuracy: f64,
    /// Mean logit of the policy's rows.
    pub(super) policy_logit: f64,
    /// Mean logit of the demonstrated rows.
    pub(super) expert_logit: f64,
}

impl Classification<'_> {
    /// The loss and its statistics. Writes the derivatives with respect to the logits `[B]` of each
    /// side to `policy_slopes` and `expert_slopes`.
    pub(super) fn by_hand(
        &self,
        policy: &[f32],
        expert: &[f32],
        policy_slopes: &mut [f32],
        expert_slopes: &mut [f32],
    ) -> ClassificationStats {
        let (n, m) = (policy.len() as f64, expert.len() as f64);
        let mut stats = ClassificationStats::default();
        let mut entropy = |x: f64| {
            let p = sigmoid(x);
            stats.entropy += (softplus(x) - x * p) / (n + m);
            self.entropy * x * p * (1.0 - p) / (n + m)
        };
        let (mut of_policy, mut positive, mut negative) = (0.0, 0.0, 0.0);
        for ((x, y), slope) in policy.iter().zip(self.policy_labels).zip(policy_slopes.iter_mut()) {
            let (x, y) = (f64::from(*x), self.policy_label(*y));
            of_policy += (softplus(x) - x * y) / n;
            *slope = ((sigmoid(x) - y) / n + entropy(x)) as f32;
        }
        let share = self.positive_share();
        for (((x, y), w), slope) in
            expert.iter().zip(self.expert_labels).zip(self.expert_weights).zip(expert_slopes.iter_mut())
        {
            let (x, w) = (f64::from(*x), f64::from(*w));
            let y = if self.unlabelled() { 1.0 } else { f64::from(*y) };
            positive += w * (softplus(x) - x * y) / m;
            negative += w * softplus(x) / m;
            *slope = (share * w * (sigmoid(x) - y) / m + entropy(x)) as f32;
        }
        stats.loss = share * positive + of_policy - self.entropy * stats.entropy;
        if let ClassificationLoss::PositiveUnlabelled { prior, slack } = self.loss {
            let unlabelled = of_policy - prior * negative;
            stats.loss += unlabelled.max(-slack) - of_policy;
            self.unlabelled_slopes(unlabelled > -slack, prior, policy, expert, policy_slopes, expert_slopes);
        }
        let share_of = |x: &[f32], sign: f32| x.iter().filter(|&&x| x * sign > 0.0).count() as f64 / x.len() as f64;
        let mean = |x: &[f32]| x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64;
        (stats.policy_accuracy, stats.expert_accuracy) = (share_of(policy, -1.0), share_of(expert, 1.0));
        (stats.policy_logit, stats.expert_logit) = (mean(policy), mean(expert));
        stats
    }

    fn unlabelled(&self) -> bool {
        matches!(self.loss, ClassificationLoss::PositiveUnlabelled { .. })
    }

    fn policy_label(&self, label: f32) -> f64 {
        if self.unlabelled() { 0.0 } else { f64::from(label) }
    }

    /// Factor of the demonstrated rows' own term.
    fn positive_share(&self) -> f64 {
        match self.loss {
            ClassificationLoss::CrossEntropy => 1.0,
            ClassificationLoss::PositiveUnlabelled { prior, .. } => prior,
        }
    }

    /// The second term's part: −η w σ(x) / m for demonstrated rows if it counts, and nothing from
    /// either side if it is cut off.
    fn unlabelled_slopes(
        &self,
        counts: bool,
        prior: f64,
        policy: &[f32],
        expert: &[f32],
        policy_slopes: &mut [f32],
        expert_slopes: &mut [f32],
    ) {
        let (n, m) = (policy.len() as f64, expert.len() as f64);
        if counts {
            for ((x, w), slope) in expert.iter().zip(self.expert_weights).zip(expert_slopes) {
                *slope -= (prior * f64::from(*w) * sigmoid(f64::from(*x)) / m) as f32;
            }
        } else {
            policy.iter().zip(policy_slopes).for_each(|(x, slope)| *slope -= (sigmoid(f64::from(*x)) / n) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::LN_2;

    use liprl_nets::testing::assert_gradient;
    use liprl_numerics::testing::numbers;
    use tch::{Kind, Tensor};

    use super::*;

    #[test]
    fn slopes_by_hand_equal_autograd_and_the_formulas() {
        let unlabelled = |slack| ClassificationLoss::PositiveUnlabelled { prior: 0.4, slack };
        // With slack −(a large number) the second term would always be cut off; 0 cuts it if it is
        // negative.
        for loss in [ClassificationLoss::CrossEntropy, unlabelled(0.0), unlabelled(5.0)] {
            for shift in [-4.0, 0.0, 2.0] {
                let policy: Vec<f32> = numbers(7, "policy").iter().map(|x| 2.0 * x + shift).collect();
                let expert: Vec<f32> = numbers(7, "expert").iter().map(|x| 3.0 * x + 4.0).collect();
                let weights: Vec<f32> = numbers(7, "weights").iter().map(|x| x.abs()).collect();
                let classification = Classification {
                    loss,
                    entropy: 0.3,
                    policy_labels: &[0.0, 0.1, 0.0, 0.2, 0.0, 0.0, 1.0],
                    expert_labels: &[1.0, 0.7, 1.2, 0.9, 1.0, 0.0, 1.0],
                    expert_weights: &weights,
                };
                let (mut a, mut b) = ([0.0; 7], [0.0; 7]);
                let stats = classification.by_hand(&policy, &expert, &mut a, &mut b);
                let leaf = |x: &[f32]| Tensor::from_slice(x).to_kind(Kind::Double).set_requires_grad(true);
                let (policy, expert) = (leaf(&policy), leaf(&expert));
                let expected = classification.loss(&policy, &expert);
                assert!((stats.loss - expected.double_value(&[])).abs() < 1e-6, "{loss:?}");
                let slopes = Tensor::run_backward(&[&expected], &[&policy, &expert], false, false);
                let by_hand: Vec<f32> = a.into_iter().chain(b).collect();
                assert_gradient(&by_hand, &Tensor::cat(&slopes, 0).to_kind(Kind::Float));
            }
        }
    }

    #[test]
    fn statistics_of_a_batch_worked_out_by_hand() {
        let classification = Classification {
            loss: ClassificationLoss::CrossEntropy,
            entropy: 0.0,
            policy_labels: &[0.0, 0.0],
            expert_labels: &[1.0, 1.0],
            expert_weights: &[1.0, 0.5],
        };
        let (mut a, mut b) = ([0.0; 2], [0.0; 2]);
        let stats = classification.by_hand(&[0.0, -1.0], &[0.0, 2.0], &mut a, &mut b);
        // ln 2 = 0.693147; softplus(−1) = 0.313262; softplus(2) − 2 = softplus(−2) = 0.126928.
        let loss = (LN_2 + 0.313_262) / 2.0 + (LN_2 + 0.5 * 0.126_928) / 2.0;
        assert!((stats.loss - loss).abs() < 1e-5);
        assert_eq!((stats.policy_accuracy, stats.expert_accuracy), (0.5, 0.5));
        assert_eq!((stats.policy_logit, stats.expert_logit), (-0.5, 1.0));
        // H(½) = ln 2; H(σ(1)) = softplus(1) − σ(1) = 1.313262 − 0.731059; H(σ(2)) = 2.126928 − 2 ·
        // 0.880797.
        assert!((stats.entropy - (2.0 * LN_2 + 0.582_203 + 0.365_334) / 4.0).abs() < 1e-5);
        assert!(
            (f64::from(a[0]) - 0.25).abs() < 1e-7 && (f64::from(b[1]) - 0.5 * (0.880_797 - 1.0) / 2.0).abs() < 1e-6
        );
    }
}
