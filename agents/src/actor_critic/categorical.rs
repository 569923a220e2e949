//! The categorical critic, C51 (Bellemare et al. 2017, arXiv 1707.06887): probabilities p =
//! softmax(logits) of N returns z₁ … z_N (atoms), evenly spaced by Δ from `v_min` to `v_max`.
//!
//! - value: Σ pⱼ zⱼ;
//! - target: the atoms R + γᵏ zⱼ of the target critic, clipped to the support, each shared out
//!   between its two neighbours (eq. 7): mᵢ = Σⱼ [1 − |[R + γᵏ zⱼ] − zᵢ| / Δ]₀¹ p'ⱼ. After a
//!   termination γᵏ = 0, and all mass lies around R;
//! - loss: the cross-entropy −Σ mᵢ log pᵢ. Its gradient with respect to the logits is p Σᵢ mᵢ − m.
//!
//! With `clamp` c the target's p' are clamped to [c, 1 − c] and so are the p in the loss's value,
//! without being normalised again. The gradient passes that clamp as if it were not there, as it
//! does in the authors' code of arXiv 2006.16785 (which clamps the memory that the backward pass of
//! exp and log reads, so that the clamped values cancel).
//!
//! First the autograd forms, any device; then the same by hand, a row at a time.

use tch::{Kind, Tensor};

use super::CategoricalConfig;

/// The atoms and what is done with their probabilities.
#[derive(Clone, Debug)]
pub(crate) struct Categorical {
    config: CategoricalConfig,
    /// z, `[N]`.
    atoms: Vec<f32>,
    /// Δ.
    spacing: f32,
}

impl Categorical {
    /// The atoms of this config.
    pub(crate) fn new(config: CategoricalConfig) -> Self {
        let spacing = (config.v_max - config.v_min) / (config.atoms - 1) as f64;
        let atoms = (0..config.atoms).map(|i| (config.v_min + i as f64 * spacing) as f32).collect();
        Self { config, atoms, spacing: spacing as f32 }
    }

    /// Number of atoms, N.
    pub(crate) fn outputs(&self) -> usize {
        self.atoms.len()
    }

    /// The value `[B]` of logits `[B, N]`.
    pub(crate) fn value(&self, logits: &Tensor) -> Tensor {
        logits.softmax(-1, Kind::Float).matmul(&self.atoms(logits))
    }

    /// The target's probabilities m `[B, N]`: the target critic's `logits [B, N]`, R `[B]` and γᵏ
    /// `[B]`.
    pub(crate) fn target(&self, logits: &Tensor, reward: &Tensor, discount: &Tensor) -> Tensor {
        let atoms = self.atoms(logits);
        let moved = reward.unsqueeze(1) + discount.unsqueeze(1) * &atoms;
        let moved = moved.clamp(self.config.v_min, self.config.v_max);
        let mut p = logits.softmax(-1, Kind::Float);
        if let Some(clamp) = self.config.clamp {
            p = p.clamp(clamp, 1.0 - clamp);
        }
        // [B, i, j]
        let distance = (moved.unsqueeze(1) - atoms.view([1, -1, 1])).abs() / f64::from(self.spacing);
        ((-distance + 1.0).clamp(0.0, 1.0) * p.unsqueeze(1)).sum_dim_intlist(-1, false, Kind::Float)
    }

    /// Each row's loss `[B]` at `logits [B, N]` against m `[B, N]`.
    pub(crate) fn losses(&self, logits: &Tensor, target: &Tensor) -> Tensor {
        let mut log_p = logits.log_softmax(-1, Kind::Float);
        if let Some(clamp) = self.config.clamp {
            let clamped = log_p.exp().clamp(clamp, 1.0 - clamp).log();
            log_p = &log_p + (clamped - &log_p).detach();
        }
        -(log_p * target).sum_dim_intlist(-1, false, Kind::Float)
    }

    fn atoms(&self, like: &Tensor) -> Tensor {
        Tensor::from_slice(&self.atoms).to_device(like.device())
    }

    /// m of one row into `target`; `p` is scratch space. All `[N]`.
    pub(crate) fn target_row(&self, logits: &[f32], reward: f32, discount: f32, p: &mut [f32], target: &mut [f32]) {
        let (low, high) = (self.config.v_min as f32, self.config.v_max as f32);
        softmax(logits, p);
        self.clamp(p);
        target.fill(0.0);
        let last = target.len() - 1;
        for (p, atom) in p.iter().zip(&self.atoms) {
            let moved = bounded(reward + discount * atom, low, high);
            // Rounding may push the place an ulp beyond the last atom.
            let place = bounded((moved - low) / self.spacing, 0.0, last as f32);
            let below = place as usize;
            let share = place - below as f32;
            target[below] += p * (1.0 - share);
            if below < last {
                target[below + 1] += p * share;
            }
        }
    }

    /// One row's loss and value at `logits` against m, and `scale` times the loss's gradient into
    /// `gradient`. All `[N]`.
    pub(crate) fn critic_gradient_row(
        &self,
        logits: &[f32],
        target: &[f32],
        scale: f32,
        gradient: &mut [f32],
    ) -> (f32, f32) {
        let log_sum = softmax(logits, gradient);
        let (mut loss, mut mass) = (0.0, 0.0);
        for ((logit, m), p) in logits.iter().zip(target).zip(gradient.iter()) {
            mass += m;
            loss -= m * match self.config.clamp {
                Some(clamp) => bounded(*p, clamp as f32, 1.0 - clamp as f32).ln(),
                None => logit - log_sum,
            };
        }
        let value = self.expectation(gradient);
        gradient.iter_mut().zip(target).for_each(|(p, m)| *p = scale * (*p * mass - m));
        (loss, value)
    }

    /// One row's value at `logits`, and `scale` times its gradient, p (z − value), into `gradient`.
    /// All `[N]`.
    pub(crate) fn actor_gradient_row(&self, logits: &[f32], scale: f32, gradient: &mut [f32]) -> f32 {
        softmax(logits, gradient);
        let value = self.expectation(gradient);
        gradient.iter_mut().zip(&self.atoms).for_each(|(p, atom)| *p *= scale * (atom - value));
        value
    }

    fn expectation(&self, p: &[f32]) -> f32 {
        p.iter().zip(&self.atoms).map(|(p, atom)| p * atom).sum()
    }

    fn clamp(&self, p: &mut [f32]) {
        if let Some(clamp) = self.config.clamp {
            let (low, high) = (clamp as f32, 1.0 - clamp as f32);
            p.iter_mut().for_each(|p| *p = bounded(*p, low, high));
        }
    }
}

/// `x` within these bounds; what is not a number stays so, and shows in the loss.
fn bounded(x: f32, low: f32, high: f32) -> f32 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

/// The softmax of `logits` into `p`; returns log Σ exp.
fn softmax(logits: &[f32], p: &mut [f32]) -> f32 {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |largest, &x| largest.max(x));
    let mut sum = 0.0;
    for (p, x) in p.iter_mut().zip(logits) {
        *p = (x - largest).exp();
        sum += *p;
    }
    p.iter_mut().for_each(|p| *p /= sum);
    largest + sum.ln()
}

#[cfg(test)]
mod tests {
    use liprl_nets::{
        autograd::{gradient, leaf},
        testing::{assert_close, assert_gradient},
    };
    use liprl_numerics::testing::numbers;

    use super::*;

    /// Atoms 0, 1, 2, 3.
    fn four(clamp: Option<f64>) -> Categorical {
        Categorical::new(CategoricalConfig { atoms: 4, v_min: 0.0, v_max: 3.0, clamp })
    }

    /// m by both forms, which must agree.
    fn project(head: &Categorical, p: &[f32], reward: f32, discount: f32) -> Vec<f32> {
        let logits: Vec<f32> = p.iter().map(|p| p.ln()).collect();
        let (mut scratch, mut target) = (vec![0.0; p.len()], vec![0.0; p.len()]);
        head.target_row(&logits, reward, discount, &mut scratch, &mut target);
        let tensor = |numbers: &[f32]| Tensor::from_slice(numbers).unsqueeze(0);
        let (reward, discount) = (Tensor::from_slice(&[reward]), Tensor::from_slice(&[discount]));
        assert_gradient(&target, &head.target(&tensor(&logits), &reward, &discount).squeeze());
        target
    }

    fn assert_all_close(a: &[f32], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert_close(f64::from(*a), *b));
    }

    #[test]
    fn projections_worked_out_by_hand() {
        let (head, p) = (four(None), [0.1, 0.2, 0.3, 0.4]);
        // 0.25 + 0.5 z = 0.25, 0.75, 1.25, 1.75: shares of 1/4 and 3/4 either way.
        let expected =
            [0.1 * 0.75 + 0.2 * 0.25, 0.1 * 0.25 + 0.2 * 0.75 + 0.3 * 0.75 + 0.4 * 0.25, 0.3 * 0.25 + 0.4 * 0.75, 0.0];
        assert_all_close(&project(&head, &p, 0.25, 0.5), &expected);
        // 1.5 + z = 1.5, 2.5, 3.5, 4.5: the last two beyond the upper edge.
        assert_all_close(&project(&head, &p, 1.5, 1.0), &[0.0, 0.05, 0.05 + 0.1, 0.1 + 0.7]);
        // −2 + z = −2, −1, 0, 1: two beyond the lower edge, one on it.
        assert_all_close(&project(&head, &p, -2.0, 1.0), &[0.6, 0.4, 0.0, 0.0]);
        // R alone after a termination: between atoms, on one, at both edges and beyond.
        assert_all_close(&project(&head, &p, 1.75, 0.0), &[0.0, 0.25, 0.75, 0.0]);
        assert_all_close(&project(&head, &p, 2.0, 0.0), &[0.0, 0.0, 1.0, 0.0]);
        assert_all_close(&project(&head, &p, 3.0, 0.0), &[0.0, 0.0, 0.0, 1.0]);
        assert_all_close(&project(&head, &p, 7.0, 0.0), &[0.0, 0.0, 0.0, 1.0]);
        assert_all_close(&project(&head, &p, -0.5, 0.0), &[1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn projection_keeps_mass_and_mean_inside_the_support() {
        let head = Categorical::new(CategoricalConfig { atoms: 51, v_min: -3.7, v_max: 8.3, clamp: None });
        let mut p: Vec<f32> = numbers(51, "probabilities").iter().map(|x| x.exp()).collect();
        let sum: f32 = p.iter().sum();
        p.iter_mut().for_each(|p| *p /= sum);
        let mean = |p: &[f32]| p.iter().zip(&head.atoms).map(|(p, z)| f64::from(p * z)).sum::<f64>();
        let target = project(&head, &p, 0.71, 0.6);
        assert_close(target.iter().map(|&m| f64::from(m)).sum(), 1.0);
        assert_close(mean(&target), 0.71 + 0.6 * mean(&p));
        // The identity: every atom falls on itself.
        assert_all_close(&project(&head, &p, 0.0, 1.0), &p.iter().map(|&p| f64::from(p)).collect::<Vec<_>>());
    }

    #[test]
    fn clamped_probabilities_are_not_normalised_again() {
        let target = project(&four(Some(0.1)), &[0.95, 0.02, 0.02, 0.01], 0.0, 1.0);
        assert_all_close(&target, &[0.9, 0.1, 0.1, 0.1]);
    }

    /// As arXiv 2006.16785's authors clamp: in the memory that the backward pass of exp and log
    /// reads.
    #[test]
    fn the_gradient_passes_the_clamp_as_in_the_reference_code() {
        let head = four(Some(0.1));
        let (logits, target) = ([2.0, -1.0, 0.3, -4.0], [0.2, 0.5, 0.6, 0.1]);
        let leaf = leaf(&Tensor::from_slice(&logits).unsqueeze(0));
        let p = leaf.log_softmax(-1, Kind::Float).exp();
        let _ = p.data().clamp_(0.1, 0.9);
        let loss = -(p.log() * Tensor::from_slice(&target)).sum(Kind::Float);
        let mut by_hand = [0.0; 4];
        let (value, _) = head.critic_gradient_row(&logits, &target, 1.0, &mut by_hand);
        assert_close(f64::from(value), loss.double_value(&[]));
        assert_gradient(&by_hand, &gradient(&loss, &leaf).unwrap().squeeze());
    }

    #[test]
    fn loss_and_gradients_equal_autograd() {
        for clamp in [None, Some(0.01)] {
            let head = Categorical::new(CategoricalConfig { atoms: 51, v_min: -2.0, v_max: 5.0, clamp });
            let rows = 7;
            let logits: Vec<f32> = numbers(rows * 51, "logits").iter().map(|x| 2.0 * x).collect();
            let mut target: Vec<f32> = numbers(rows * 51, "m").iter().map(|x| x.abs()).collect();
            target.chunks_exact_mut(51).for_each(|row| {
                let sum: f32 = row.iter().sum();
                row.iter_mut().for_each(|m| *m /= sum);
            });
            let (mut by_hand, mut climbed) = (vec![0.0; rows * 51], vec![0.0; rows * 51]);
            let leaf = leaf(&Tensor::from_slice(&logits).view([rows as i64, 51]));
            let losses = head.losses(&leaf, &Tensor::from_slice(&target).view([rows as i64, 51]));
            let values = head.value(&leaf);
            for row in 0..rows {
                let at = row * 51..(row + 1) * 51;
                let (loss, value) =
                    head.critic_gradient_row(&logits[at.clone()], &target[at.clone()], 0.3, &mut by_hand[at.clone()]);
                assert_close(f64::from(loss), losses.double_value(&[row as i64]));
                assert_close(f64::from(value), values.double_value(&[row as i64]));
                assert_eq!(head.actor_gradient_row(&logits[at.clone()], -0.7, &mut climbed[at]), value);
            }
            assert_gradient(&by_hand, &gradient(&(losses.sum(Kind::Float) * 0.3), &leaf).unwrap().flatten(0, -1));
            assert_gradient(&climbed, &gradient(&(values.sum(Kind::Float) * -0.7), &leaf).unwrap().flatten(0, -1));
        }
    }
}
