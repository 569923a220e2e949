//! A whole episode: returns under an attack on observations.
//!
//! Each step acts on x + η with its own noise. An attack adds δ_t to each observation, knows all
//! that happened before, and has Σ‖δ_t‖² ≤ B² for the episode. If P(return ≥ τ) ≥ p without it,
//! then P(return ≥ τ) ≥ Φ(Φ⁻¹(p) − B/σ) with it (Kumar, Levine & Feizi 2022, arXiv 2106.11420: an
//! attack that adapts gains nothing over one that does not, for which this is the lemma of Neyman
//! and Pearson). The environment may be random, but must not read the observations.
//!
//! p comes from episodes without an attack, for all τ at once: the band of Dvoretzky, Kiefer and
//! Wolfowitz with Massart's constant (1990), one-sided.

use super::{cdf, quantile};

/// Returns of independent episodes without an attack, and a band that holds for their distribution.
#[derive(Clone, Debug)]
pub struct ReturnBand {
    /// Ascending.
    returns: Vec<f64>,
    /// √(ln(1/failure)/(2n)).
    width: f64,
    sigma: f64,
}

impl ReturnBand {
    /// The band of at least one episode's return, which fails with probability `failure` ≤ 1/2.
    pub fn new(mut returns: Vec<f64>, sigma: f64, failure: f64) -> Self {
        returns.sort_by(f64::total_cmp);
        let width = ((1.0 / failure).ln() / (2.0 * returns.len() as f64)).sqrt();
        Self { returns, width, sigma }
    }

    /// A lower bound on the probability that the return is at least that of episode `index` in
    /// ascending order, under an attack of length `budget`.
    fn probability(&self, index: usize, budget: f64) -> f64 {
        let above = 1.0 - index as f64 / self.returns.len() as f64 - self.width;
        cdf(quantile(above) - budget / self.sigma)
    }

    /// The return that is reached with probability `share` at least, under every attack of length
    /// `budget`; `None` if the episodes do not show one.
    pub fn reached(&self, share: f64, budget: f64) -> Option<f64> {
        // Probabilities fall with the index.
        let count = (0..self.returns.len()).take_while(|&index| self.probability(index, budget) >= share).count();
        count.checked_sub(1).map(|index| self.returns[index])
    }

    /// A lower bound on the expected return under every attack of length `budget`, if no episode
    /// can return less than `least`: least + Σ (τᵢ − τᵢ₋₁) P(return ≥ τᵢ).
    pub fn expected(&self, least: f64, budget: f64) -> f64 {
        let (mut before, mut sum) = (least, least);
        for (index, &value) in self.returns.iter().enumerate() {
            if value > before {
                sum += (value - before) * self.probability(index, budget);
                before = value;
            }
        }
        sum
    }

    /// Mean of the returns without an attack.
    pub fn mean(&self) -> f64 {
        self.returns.iter().sum::<f64>() / self.returns.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Streams;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// Episodes of `steps` steps whose return counts the noisy observations above `level`; the attack
    /// that knows what happened spends its budget evenly, downwards.
    fn episodes(n: usize, steps: usize, sigma: f64, budget: f64, name: &str) -> Vec<f64> {
        let mut rng = Streams::new(8).rng(name);
        let each = budget / (steps as f64).sqrt();
        (0..n)
            .map(|_| {
                (0..steps)
                    .filter(|_| {
                        let noise: f64 = StandardNormal.sample(&mut rng);
                        0.3 + sigma * noise - each > 0.0
                    })
                    .count() as f64
            })
            .collect()
    }

    #[test]
    fn attacked_episodes_stay_above_the_band() {
        let (sigma, steps) = (0.5, 10);
        let band = ReturnBand::new(episodes(4000, steps, sigma, 0.0, "plain"), sigma, 1e-3);
        for budget in [0.2, 0.5, 1.0] {
            let mut attacked = episodes(4000, steps, sigma, budget, "attacked");
            attacked.sort_by(f64::total_cmp);
            let mean = attacked.iter().sum::<f64>() / attacked.len() as f64;
            assert!(band.expected(0.0, budget) < mean, "{budget}");
            let median = attacked[attacked.len() / 2];
            let bound = band.reached(0.5, budget);
            assert!(budget > 0.6 || bound.is_some());
            assert!(bound.is_none_or(|bound| bound <= median), "{budget}: {bound:?} {median}");
        }
    }

    #[test]
    fn the_worst_episode_meets_the_bound() {
        // Return 1 if Σ observations > c, and the attack pushes along the sum: exactly Neyman–Pearson.
        let (sigma, steps, c, budget) = (1.0, 9, -1.5, 2.0);
        let mut rng = Streams::new(9).rng("sum");
        let n = 400_000;
        let returns: Vec<f64> = (0..n)
            .map(|_| {
                let draws = (0..steps).map(|_| -> f64 { StandardNormal.sample(&mut rng) });
                let sum: f64 = draws.sum();
                f64::from(u8::from(sum > c))
            })
            .collect();
        let band = ReturnBand::new(returns, sigma, 1e-3);
        // Σ of nine normals less √9·2: P(3z > −1.5 + 6) = Φ(−1.5).
        let exact = cdf(-1.5);
        let bound = band.expected(0.0, budget);
        assert!(bound <= exact && bound > exact - 5e-3, "{bound} {exact}");
        assert_eq!(band.reached(bound - 1e-9, budget), Some(1.0));
        assert_eq!(band.reached(exact + 5e-3, budget), Some(0.0));
        assert_eq!(band.reached(1.0, 0.0), None);
    }

    #[test]
    fn by_hand() {
        // Four returns at failure e⁻²: width √(2/8) = 0.5; P(≥ first) = 0.5, the others 0.25 and less.
        let band = ReturnBand::new(vec![3.0, 1.0, 2.0, 8.0], 2.0, (-2f64).exp());
        assert!((band.width - 0.5).abs() < 1e-12);
        assert!((band.expected(0.0, 0.0) - (0.5 + 0.25)).abs() < 1e-12);
        assert_eq!((band.reached(0.5, 0.0), band.reached(0.25, 0.0)), (Some(1.0), Some(2.0)));
        // With B = 2: Φ(0 − 1) = 0.158655 and Φ(−0.674490 − 1) = 0.047011.
        assert!((band.expected(0.0, 2.0) - 0.205_666).abs() < 1e-5);
        assert_eq!(band.mean(), 3.5);
    }
}
