//! The small-gain certificate.
//!
//! With weights w > 0: Cᵢᵢ = 2wᵢμᵢ, Cᵢⱼ = −(wᵢLᵢⱼ + wⱼLⱼᵢ), and the margin is
//! α* = ½ λ_min(D^−½ C D^−½) with D = diag(w). If α* > 0 the flow ẋ = −F(x) contracts at the rate α*
//! in the norm √(Σ wᵢ‖xᵢ‖²).

use faer::Mat;

use crate::{ControlError, extreme_eigenvalues};

/// Rounds over all players in the search for weights; each is a convex problem of one number.
const ROUNDS: usize = 60;
/// Largest |ln w|.
const WIDEST: f64 = 40.0;

/// Each player's curvature and the others' influence on it.
#[derive(Clone, Debug, PartialEq)]
pub struct SmallGain {
    curvature: Vec<f64>,
    /// Lᵢⱼ, `[N, N]`; the diagonal is not read.
    influence: Vec<f64>,
}

impl SmallGain {
    /// The certificate of `curvature` μ `[N]` and `influence` L `[N, N]`, row by row.
    ///
    /// # Errors
    /// [`ControlError::BadInput`] if sizes do not fit, or a number is not finite or an influence
    /// negative.
    pub fn new(curvature: Vec<f64>, influence: Vec<f64>) -> Result<Self, ControlError> {
        let n = curvature.len();
        if n == 0 || influence.len() != n * n {
            let problem = format!("has {} numbers, must have {n} × {n}, one of each player on each", influence.len());
            return Err(ControlError::bad("influence", problem));
        }
        if curvature.iter().chain(&influence).any(|x| !x.is_finite()) || influence.iter().any(|&l| l < 0.0) {
            return Err(ControlError::bad("game", "curvatures must be finite, influences finite and not negative"));
        }
        Ok(Self { curvature, influence })
    }

    /// Number of players.
    pub fn players(&self) -> usize {
        self.curvature.len()
    }

    /// μ `[N]`.
    pub fn curvature(&self) -> &[f64] {
        &self.curvature
    }

    /// Lᵢⱼ.
    pub fn influence(&self, i: usize, j: usize) -> f64 {
        self.influence[i * self.players() + j]
    }

    /// α* of the weights `[N]`, each above 0. At or below zero nothing is certified.
    pub fn margin(&self, weights: &[f64]) -> Result<f64, ControlError> {
        let n = self.players();
        let scaled = Mat::from_fn(n, n, |i, j| match i == j {
            true => self.curvature[i],
            false => {
                let ratio = (weights[i] / weights[j]).sqrt();
                -0.5 * (ratio * self.influence(i, j) + self.influence(j, i) / ratio)
            }
        });
        Ok(extreme_eigenvalues(scaled.as_ref())?.0)
    }

    /// The weights of the largest margin, the first of them 1, and that margin. In the logarithms of
    /// the weights the margin is concave (its negative is the largest eigenvalue of a matrix of
    /// convex entries that are not negative off the diagonal), so that going through the players
    /// one by one cannot end in a lesser peak.
    pub fn best_weights(&self) -> Result<(Vec<f64>, f64), ControlError> {
        let n = self.players();
        let mut logs = vec![0.0f64; n];
        let margin = |logs: &[f64]| self.margin(&logs.iter().map(|log| log.exp()).collect::<Vec<_>>());
        let mut best = margin(&logs)?;
        for _ in 0..ROUNDS {
            let before = best;
            for k in 1..n {
                let golden = (5f64.sqrt() - 1.0) / 2.0;
                let (mut low, mut high) = (-WIDEST, WIDEST);
                let mut at = |log: f64| {
                    logs[k] = log;
                    margin(&logs)
                };
                let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
                let (mut at_left, mut at_right) = (at(left)?, at(right)?);
                while high - low > 1e-9 {
                    if at_left >= at_right {
                        (high, right, at_right) = (right, left, at_left);
                        left = high - golden * (high - low);
                        at_left = at(left)?;
                    } else {
                        (low, left, at_left) = (left, right, at_right);
                        right = low + golden * (high - low);
                        at_right = at(right)?;
                    }
                }
                best = at(0.5 * (low + high))?;
            }
            if best - before <= 1e-12 * before.abs().max(1e-300) {
                break;
            }
        }
        Ok((logs.iter().map(|log| log.exp()).collect(), best))
    }

    /// The ratios w₂/w₁ of two players, least and largest, whose margin is at least `margin`; `None`
    /// if there are none, or not two players. The largest is infinite if the second player is not
    /// influenced.
    pub fn band(&self, margin: f64) -> Option<(f64, f64)> {
        if self.players() != 2 {
            return None;
        }
        let (own, across, back) =
            (self.curvature.iter().map(|mu| mu - margin), self.influence(0, 1), self.influence(1, 0));
        let own: Vec<f64> = own.collect();
        let (product, gain) = (own[0] * own[1], across * back);
        if own.iter().any(|&mu| mu <= 0.0) || gain > product {
            return None;
        }
        // The roots of (L₁₂ + r L₂₁)² = 4 r (μ₁ − a)(μ₂ − a); the smaller by the larger, which does
        // not cancel.
        let larger = 2.0 * product - gain + 2.0 * (product * (product - gain)).sqrt();
        Some((across.powi(2) / larger, larger / back.powi(2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(lambda: f64) -> SmallGain {
        SmallGain::new(vec![1.0, 1.0], vec![0.0, 10.0 * lambda, 0.05 * lambda, 0.0]).unwrap()
    }

    #[test]
    fn the_published_game_has_its_numbers() {
        // μ = 1, L₁₂ = 10λ, L₂₁ = 0.05λ: α* = 1 − λ√½ at r = 200, 1 − 5.025λ at r = 1.
        for (lambda, margin, low, high) in
            [(0.5, 0.646_447, 6.674, 5993.3), (1.0, 0.292_893, 34.315, 1165.7), (1.4, 0.010_051, 150.44, 265.89)]
        {
            let game = game(lambda);
            assert!((game.margin(&[1.0, 200.0]).unwrap() - margin).abs() < 1e-6, "{lambda}");
            assert!((game.margin(&[1.0, 1.0]).unwrap() - (1.0 - 5.025 * lambda)).abs() < 1e-9);
            let (weights, best) = game.best_weights().unwrap();
            assert!((weights[1] / 200.0 - 1.0).abs() < 1e-3 && (best - margin).abs() < 1e-6, "{weights:?} {best}");
            let band = game.band(0.0).unwrap();
            assert!((band.0 / low - 1.0).abs() < 1e-3 && (band.1 / high - 1.0).abs() < 1e-3, "{band:?}");
            // At its ends the margin is what was asked for.
            for ratio in [band.0, band.1] {
                assert!(game.margin(&[1.0, ratio]).unwrap().abs() < 1e-9);
            }
        }
        // Lost at λ = √2.
        assert!(game(1.415).band(0.0).is_none() && game(1.415).best_weights().unwrap().1 < 0.0);
        assert!(game(1.0).band(0.3).is_none() && game(1.0).band(0.29).is_some());
    }

    #[test]
    fn the_best_weights_of_three_players_are_those_of_a_scan() {
        let game = SmallGain::new(vec![1.0, 2.0, 0.5], vec![0.0, 0.3, 0.1, 0.8, 0.0, 0.2, 0.02, 0.05, 0.0]).unwrap();
        let (_, best) = game.best_weights().unwrap();
        let mut scanned = f64::NEG_INFINITY;
        for i in -60..=60 {
            for j in -60..=60 {
                let weights = [1.0, (f64::from(i) / 10.0).exp(), (f64::from(j) / 10.0).exp()];
                scanned = scanned.max(game.margin(&weights).unwrap());
            }
        }
        assert!(best >= scanned && best < scanned + 1e-3, "{best} {scanned}");
    }

    #[test]
    fn sizes_and_signs_are_checked() {
        for (curvature, influence) in [(vec![], vec![]), (vec![1.0], vec![0.0, 1.0]), (vec![f64::NAN], vec![0.0])] {
            assert!(SmallGain::new(curvature, influence).is_err());
        }
        assert!(SmallGain::new(vec![1.0, 1.0], vec![0.0, -1.0, 0.0, 0.0]).is_err());
    }
}
