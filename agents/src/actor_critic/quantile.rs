//! The quantile critic, QR (Dabney et al. 2018, arXiv 1710.10044): N returns θ₁ … θ_N, θᵢ
//! estimating the quantile of level τᵢ = (2i − 1) / 2N (lemma 2).
//!
//! - value: mean θᵢ;
//! - target: tⱼ = R + γᵏ θ'ⱼ with the target critic's quantiles;
//! - loss: Σᵢ meanⱼ |τᵢ − [u < 0]| L(u), u = tⱼ − θᵢ, with Huber's L(u) = ½ u² up to κ and κ (|u| −
//!   ½ κ) beyond (eq. 9 and 10).
//!
//! First the autograd forms, any device; then the same by hand, a row at a time.

use multiversion::multiversion;
use tch::{Kind, Tensor};

use super::QuantileConfig;

/// Quantiles worked on at a time: one AVX-512 register.
const LANES: usize = 16;

/// The quantiles' levels.
#[derive(Clone, Debug)]
pub(crate) struct Quantile {
    config: QuantileConfig,
    /// τ, `[N]`.
    levels: Vec<f32>,
}

impl Quantile {
    /// The levels of this config.
    pub(crate) fn new(config: QuantileConfig) -> Self {
        let n = config.quantiles;
        let levels = (0..n).map(|i| ((2 * i + 1) as f64 / (2 * n) as f64) as f32).collect();
        Self { config, levels }
    }

    /// Number of quantiles, N.
    pub(crate) fn outputs(&self) -> usize {
        self.levels.len()
    }

    /// The value `[B]` of quantiles `[B, N]`.
    pub(crate) fn value(&self, quantiles: &Tensor) -> Tensor {
        quantiles.mean_dim(-1, false, Kind::Float)
    }

    /// t `[B, N]` of the target critic's `quantiles [B, N]`, R `[B]` and γᵏ `[B]`.
    pub(crate) fn target(&self, quantiles: &Tensor, reward: &Tensor, discount: &Tensor) -> Tensor {
        let pair = |of: &Tensor| match self.config.reference_tiling {
            true => of.repeat([self.outputs() as i64]).view_as(quantiles),
            false => of.unsqueeze(1),
        };
        pair(reward) + pair(discount) * quantiles
    }

    /// Each row's loss `[B]` at `quantiles [B, N]` against t `[B, N]`.
    pub(crate) fn losses(&self, quantiles: &Tensor, target: &Tensor) -> Tensor {
        let kappa = self.config.kappa;
        // [B, i, j]
        let error = target.unsqueeze(1) - quantiles.unsqueeze(2);
        let size = error.abs();
        let huber = (error.square() * 0.5).where_self(&size.le(kappa), &((&size - 0.5 * kappa) * kappa));
        let levels = Tensor::from_slice(&self.levels).to_device(quantiles.device()).view([1, -1, 1]);
        let side = (levels - error.lt(0.0).to_kind(Kind::Float)).abs();
        (side * huber).mean_dim(-1, false, Kind::Float).sum_dim_intlist(-1, false, Kind::Float)
    }

    /// Index of the reward and the discount of quantile `j` of row `row` in a batch of `batch`
    /// rows.
    fn pair(&self, row: usize, j: usize, batch: usize) -> usize {
        if self.config.reference_tiling { (row * self.outputs() + j) % batch } else { row }
    }

    /// t of row number `row` into `target [N]`: its `quantiles [N]`, and every row's R and γᵏ,
    /// `[B]` each.
    pub(crate) fn target_row(
        &self,
        quantiles: &[f32],
        row: usize,
        reward: &[f32],
        discount: &[f32],
        target: &mut [f32],
    ) {
        for (j, (target, quantile)) in target.iter_mut().zip(quantiles).enumerate() {
            let at = self.pair(row, j, reward.len());
            *target = reward[at] + discount[at] * quantile;
        }
    }

    /// One row's loss and value at `quantiles` against t, and `scale` times the loss's gradient
    /// into `gradient`. All `[N]`.
    pub(crate) fn critic_gradient_row(
        &self,
        quantiles: &[f32],
        target: &[f32],
        scale: f32,
        gradient: &mut [f32],
    ) -> (f32, f32) {
        let share = 1.0 / self.levels.len() as f32;
        let sum = pairs(quantiles, target, &self.levels, self.config.kappa as f32, scale * share, gradient);
        (sum * share, self.mean(quantiles))
    }

    /// One row's value at `quantiles`, and `scale` times its gradient, 1/N, into `gradient`. All
    /// `[N]`.
    pub(crate) fn actor_gradient_row(&self, quantiles: &[f32], scale: f32, gradient: &mut [f32]) -> f32 {
        gradient.fill(scale / self.levels.len() as f32);
        self.mean(quantiles)
    }

    fn mean(&self, quantiles: &[f32]) -> f32 {
        quantiles.iter().sum::<f32>() / quantiles.len() as f32
    }
}

/// Σᵢⱼ |τᵢ − [u < 0]| L(u), and `scale` times its derivatives by θᵢ into `gradient`. With c = u
/// clamped to ± κ, L = c (u − ½ c) and L' = c on every piece. Each lane sums one quantile's pairs
/// in order, so that all targets give the same bits.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn pairs(quantiles: &[f32], targets: &[f32], levels: &[f32], kappa: f32, scale: f32, gradient: &mut [f32]) -> f32 {
    let mut total = 0.0;
    let chunks = quantiles.chunks(LANES).zip(levels.chunks(LANES)).zip(gradient.chunks_mut(LANES));
    for ((some, some_levels), gradient) in chunks {
        let (mut quantile, mut level) = ([0.0; LANES], [0.0; LANES]);
        quantile[..some.len()].copy_from_slice(some);
        level[..some.len()].copy_from_slice(some_levels);
        let (mut loss, mut slope) = ([0.0; LANES], [0.0; LANES]);
        for target in targets {
            for k in 0..LANES {
                let u = target - quantile[k];
                let c = u.max(-kappa).min(kappa);
                let side = if u < 0.0 { 1.0 - level[k] } else { level[k] };
                loss[k] += side * (c * (u - 0.5 * c));
                slope[k] += side * c;
            }
        }
        for ((gradient, slope), loss) in gradient.iter_mut().zip(slope).zip(loss) {
            *gradient = -scale * slope;
            total += loss;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use liprl_nets::{
        autograd::{gradient, leaf},
        testing::{assert_close, assert_gradient},
    };
    use liprl_numerics::testing::numbers;

    use super::*;

    fn head(quantiles: usize, kappa: f64, reference_tiling: bool) -> Quantile {
        Quantile::new(QuantileConfig { quantiles, kappa, reference_tiling })
    }

    /// The loss of one row by its definition, in f64.
    fn definition(quantiles: &[f32], targets: &[f32], kappa: f64) -> f64 {
        let n = quantiles.len() as f64;
        let mut loss = 0.0;
        for (i, &quantile) in quantiles.iter().enumerate() {
            for &target in targets {
                let (u, level) = (f64::from(target) - f64::from(quantile), (2.0 * i as f64 + 1.0) / (2.0 * n));
                let huber = if u.abs() <= kappa { 0.5 * u * u } else { kappa * (u.abs() - 0.5 * kappa) };
                loss += (level - f64::from(u8::from(u < 0.0))).abs() * huber / n;
            }
        }
        loss
    }

    #[test]
    fn loss_and_gradients_equal_the_double_loop_and_autograd() {
        // 16 and 32 fill whole registers, the others do not.
        for (n, kappa) in [(1, 1.0), (5, 1.0), (16, 0.5), (32, 1.0), (51, 2.0)] {
            let (head, rows) = (head(n, kappa, false), 6);
            let (quantiles, targets) = (numbers(rows * n, "quantiles"), numbers(rows * n, "returns"));
            let shape = [rows as i64, n as i64];
            let leaf = leaf(&Tensor::from_slice(&quantiles).view(shape));
            let losses = head.losses(&leaf, &(Tensor::from_slice(&targets) * 1.5).view(shape));
            let targets: Vec<f32> = targets.iter().map(|t| 1.5 * t).collect();
            let values = head.value(&leaf);
            let (mut by_hand, mut climbed) = (vec![0.0; rows * n], vec![0.0; rows * n]);
            for row in 0..rows {
                let at = row * n..(row + 1) * n;
                let (loss, value) = head.critic_gradient_row(
                    &quantiles[at.clone()],
                    &targets[at.clone()],
                    0.3,
                    &mut by_hand[at.clone()],
                );
                assert_close(f64::from(loss), definition(&quantiles[at.clone()], &targets[at.clone()], kappa));
                assert_close(f64::from(loss), losses.double_value(&[row as i64]));
                assert_close(f64::from(value), values.double_value(&[row as i64]));
                assert_eq!(head.actor_gradient_row(&quantiles[at.clone()], -0.7, &mut climbed[at]), value);
            }
            assert_gradient(&by_hand, &gradient(&(losses.sum(Kind::Float) * 0.3), &leaf).unwrap().flatten(0, -1));
            assert_gradient(&climbed, &gradient(&(values.sum(Kind::Float) * -0.7), &leaf).unwrap().flatten(0, -1));
        }
    }

    /// The loss is least where the outputs are the quantiles of the targets.
    #[test]
    fn descent_finds_the_quantiles_of_a_known_distribution() {
        let (head, targets) = (head(4, 1e-3, false), (0..1000).map(|i| i as f32 / 999.0).collect::<Vec<_>>());
        let (mut quantiles, mut slope) = (vec![0.5f32; 4], vec![0.0; 4]);
        for step in 0..3000 {
            pairs(&quantiles, &targets, &head.levels, 1e-3, 1.0 / (1000.0 * 1e-3), &mut slope);
            let rate = 0.05 / (1.0 + step as f32 / 300.0);
            quantiles.iter_mut().zip(&slope).for_each(|(q, slope)| *q -= rate * slope);
        }
        for (quantile, expected) in quantiles.iter().zip([0.125, 0.375, 0.625, 0.875]) {
            assert!((quantile - expected).abs() < 0.01, "{quantiles:?}");
        }
    }

    #[test]
    fn targets_worked_out_by_hand() {
        let (quantiles, reward, discount) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [10.0, 20.0, 30.0], [1.0, 0.0, 0.5]);
        for (tiling, expected) in [
            // Three rows of two: 10 + {1, 2}, 20 (terminated), 30 + ½ {5, 6}.
            (false, [11.0, 12.0, 20.0, 20.0, 32.5, 33.0]),
            // Rows 0, 1, 2, 0, 1, 2 of the rewards and discounts, in that order.
            (true, [11.0, 20.0, 31.5, 14.0, 20.0, 33.0]),
        ] {
            let head = head(2, 1.0, tiling);
            let mut target = [0.0; 6];
            for row in 0..3 {
                let at = 2 * row..2 * row + 2;
                head.target_row(&quantiles[at.clone()], row, &reward, &discount, &mut target[at]);
            }
            assert_eq!(target, expected);
            let tensor = head.target(
                &Tensor::from_slice(&quantiles).view([3, 2]),
                &Tensor::from_slice(&reward),
                &Tensor::from_slice(&discount),
            );
            assert_gradient(&target, &tensor.flatten(0, -1));
        }
    }
}
