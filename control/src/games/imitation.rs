//! Adversarial imitation on a finite MDP, as a game of two: a reward linear in features, with a
//! ridge, against a policy with an entropy bonus.
//!
//! ```text
//! f₁(φ) = φᵀ(ψ̄_π − ψ̄_E) + λ/2 ‖φ‖²      f₂(π) = −φᵀψ̄_π − τ H̄(π)
//! ```
//!
//! ψ̄ and H̄ are discounted means, (1 − γ) Σ γᵗ E. The equilibrium is that of maximum-entropy inverse
//! reinforcement learning: the minimum of V(φ) − φᵀψ̄_E + λ/2 ‖φ‖², which is strictly convex, where V
//! is the best entropy-regularised value. At it, in the metric of natural gradients (Fisher's
//! F = diag_s d(s)(diag π_s − π_sπ_sᵀ)):
//!
//! - μ₁ = λ and μ₂ = τ, since f₂(π) − f₂(π*) = τ Σ_s d(s) KL(π_s ‖ π*_s);
//! - L₁₂² = L₂₁² = λ_max(Σ_s d(s) Σ_a π(a|s) A(s, a)A(s, a)ᵀ), where A `[K]` are the features'
//!   advantages.

use faer::Mat;

use super::SmallGain;
use crate::{ControlError, algebra::solve, extreme_eigenvalues};

/// Most steps to the equilibrium, and the gradient that ends them.
const STEPS: usize = 100_000;
const TOLERANCE: f64 = 1e-11;

/// A finite MDP without a reward.
#[derive(Clone, Debug)]
pub struct TabularMdp {
    states: usize,
    actions: usize,
    /// P(s' | s, a), `[S, A, S]`.
    transitions: Vec<f64>,
    /// Distribution of the first state, `[S]`.
    start: Vec<f64>,
    gamma: f64,
}

impl TabularMdp {
    /// The MDP of P(s' | s, a) `[S, A, S]` and the first states' distribution `[S]`.
    ///
    /// # Errors
    /// [`ControlError::BadInput`] if sizes do not fit, a distribution does not sum to 1, or
    /// `gamma` is not in [0, 1).
    pub fn new(transitions: Vec<f64>, start: Vec<f64>, gamma: f64) -> Result<Self, ControlError> {
        let states = start.len();
        let actions = if states == 0 { 0 } else { transitions.len() / (states * states) };
        if actions == 0 || transitions.len() != states * actions * states {
            let problem = format!("has {} numbers for {states} states", transitions.len());
            return Err(ControlError::bad("transitions", problem));
        }
        for row in transitions.chunks_exact(states).chain([&start[..]]) {
            if row.iter().any(|&p| !(0.0..=1.0).contains(&p)) || (row.iter().sum::<f64>() - 1.0).abs() > 1e-9 {
                return Err(ControlError::bad(
                    "transitions",
                    format!("{row:?} is not a distribution: it must sum to 1"),
                ));
            }
        }
        if !(0.0..1.0).contains(&gamma) {
            return Err(ControlError::bad("gamma", format!("is {gamma}, must be at least 0 and below 1")));
        }
        Ok(Self { states, actions, transitions, start, gamma })
    }

    fn next(&self, s: usize, a: usize) -> &[f64] {
        &self.transitions[(s * self.actions + a) * self.states..][..self.states]
    }

    /// I − γP_π of a policy `[S, A]`.
    fn resolvent(&self, policy: &[f64]) -> Mat<f64> {
        Mat::from_fn(self.states, self.states, |s, t| {
            let p: f64 = (0..self.actions).map(|a| policy[s * self.actions + a] * self.next(s, a)[t]).sum();
            f64::from(u8::from(s == t)) - self.gamma * p
        })
    }

    /// Discounted share of time in each state, `[S]`, which sums to 1.
    fn occupancy(&self, policy: &[f64]) -> Vec<f64> {
        let start = Mat::from_fn(self.states, 1, |s, _| (1.0 - self.gamma) * self.start[s]);
        let d = solve(self.resolvent(policy).transpose(), start.as_ref());
        (0..self.states).map(|s| d[(s, 0)]).collect()
    }

    /// Each feature's advantages under a policy, `[S, A, K]`, from the features `[S, A, K]`.
    fn advantages(&self, policy: &[f64], features: &[f64]) -> Vec<f64> {
        let (a, k) = (self.actions, features.len() / (self.states * self.actions));
        let mean = Mat::from_fn(self.states, k, |s, k_| {
            (0..a).map(|b| policy[s * a + b] * features[(s * a + b) * k + k_]).sum()
        });
        let value = solve(self.resolvent(policy).as_ref(), mean.as_ref());
        let mut all = features.to_vec();
        for (pair, row) in all.chunks_exact_mut(k).enumerate() {
            let (s, b) = (pair / a, pair % a);
            for (k_, x) in row.iter_mut().enumerate() {
                let next: f64 = self.next(s, b).iter().enumerate().map(|(t, p)| p * value[(t, k_)]).sum();
                *x += self.gamma * next - value[(s, k_)];
            }
        }
        all
    }

    /// The policy `[S, A]` of most reward `[S, A]` plus τ times its entropy, by soft value iteration.
    fn soft_policy(&self, reward: &[f64], tau: f64) -> Vec<f64> {
        let mut value = vec![0.0; self.states];
        let mut q = vec![0.0; reward.len()];
        loop {
            let mut moved = 0.0f64;
            for (pair, q) in q.iter_mut().enumerate() {
                let (s, a) = (pair / self.actions, pair % self.actions);
                *q = reward[pair] + self.gamma * self.next(s, a).iter().zip(&value).map(|(p, v)| p * v).sum::<f64>();
            }
            for (value, q) in value.iter_mut().zip(q.chunks_exact(self.actions)) {
                let top = q.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let now = top + tau * q.iter().map(|q| ((q - top) / tau).exp()).sum::<f64>().ln();
                moved = moved.max((now - *value).abs());
                *value = now;
            }
            let size = value.iter().fold(1.0f64, |size, v| size.max(v.abs()));
            if moved <= 1e-14 * size {
                break;
            }
        }
        let mut policy = q;
        for row in policy.chunks_exact_mut(self.actions) {
            let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut().for_each(|q| *q = ((*q - top) / tau).exp());
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= sum);
        }
        policy
    }
}

/// The game, at its equilibrium.
#[derive(Clone, Debug)]
pub struct ImitationGame {
    /// φ `[K]`: the learned reward is φᵀψ(s, a).
    pub reward: Vec<f64>,
    /// π(a | s), `[S, A]`.
    pub policy: Vec<f64>,
    /// The policy's mean discounted features ψ̄_π `[K]`.
    pub features: Vec<f64>,
    /// Curvatures (λ, τ) and influences. They hold at the equilibrium, so that the rate is that of
    /// play that starts close to it.
    pub small_gain: SmallGain,
    /// Exact rate of contraction there: min(λ, τ), as what one player gains the other loses.
    pub rate: f64,
}

impl ImitationGame {
    /// Finds the equilibrium: features ψ `[S, A, K]`, the expert's mean discounted ones `[K]`, the
    /// ridge λ > 0 and the entropy's weight τ > 0.
    ///
    /// # Errors
    /// [`ControlError::BadInput`] if sizes do not fit or a number is out of range;
    /// [`ControlError::NotConverged`] if the equilibrium is not found.
    pub fn new(
        mdp: &TabularMdp,
        features: &[f64],
        expert: &[f64],
        ridge: f64,
        entropy: f64,
    ) -> Result<Self, ControlError> {
        let k = expert.len();
        if k == 0 || features.len() != mdp.states * mdp.actions * k {
            let wanted = format!("{} × {} × {k}", mdp.states, mdp.actions);
            return Err(ControlError::bad("features", format!("has {} numbers, must have {wanted}", features.len())));
        }
        if !(ridge > 0.0 && entropy > 0.0) || features.iter().chain(expert).any(|x| !x.is_finite()) {
            let problem = format!("ridge {ridge} and entropy {entropy} must be above 0, all features finite");
            return Err(ControlError::bad("game", problem));
        }
        let at = |reward: &[f64]| {
            let table: Vec<f64> = features.chunks_exact(k).map(|row| dot(row, reward)).collect();
            let policy = mdp.soft_policy(&table, entropy);
            let mean = mean_features(mdp, &policy, features, k);
            let slope: Vec<f64> = (0..k).map(|i| mean[i] - expert[i] + ridge * reward[i]).collect();
            (policy, mean, slope)
        };
        // Barzilai–Borwein steps down the convex dual, cut back where the gradient grows.
        let mut reward = vec![0.0; k];
        let (mut policy, mut mean, mut slope) = at(&reward);
        let mut step = 1.0 / ridge;
        for _ in 0..STEPS {
            let norm = dot(&slope, &slope).sqrt();
            if norm <= TOLERANCE {
                let small_gain = small_gain(mdp, &policy, features, ridge, entropy)?;
                return Ok(Self { reward, policy, features: mean, small_gain, rate: ridge.min(entropy) });
            }
            let moved: Vec<f64> = reward.iter().zip(&slope).map(|(x, g)| x - step * g).collect();
            let (new_policy, new_mean, new_slope) = at(&moved);
            // On a convex function the gradient along the step only grows; past its zero the step is halved.
            if dot(&new_slope, &slope) < -0.5 * norm * norm {
                step *= 0.5;
                continue;
            }
            let change: Vec<f64> = new_slope.iter().zip(&slope).map(|(new, old)| old - new).collect();
            step *= dot(&slope, &slope) / dot(&change, &slope).max(1e-300);
            step = step.min(1.0 / ridge);
            (reward, policy, mean, slope) = (moved, new_policy, new_mean, new_slope);
        }
        Err(ControlError::NotConverged { what: "the search for the game's equilibrium" })
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// ψ̄_π `[K]`.
fn mean_features(mdp: &TabularMdp, policy: &[f64], features: &[f64], k: usize) -> Vec<f64> {
    let d = mdp.occupancy(policy);
    let mut mean = vec![0.0; k];
    for (pair, row) in features.chunks_exact(k).enumerate() {
        let weight = d[pair / mdp.actions] * policy[pair];
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += weight * x);
    }
    mean
}

/// The curvatures and influences at a policy, in the natural metric.
fn small_gain(
    mdp: &TabularMdp,
    policy: &[f64],
    features: &[f64],
    ridge: f64,
    entropy: f64,
) -> Result<SmallGain, ControlError> {
    let k = features.len() / policy.len();
    let (d, advantages) = (mdp.occupancy(policy), mdp.advantages(policy, features));
    let covariance = Mat::from_fn(k, k, |i, j| {
        let each = advantages.chunks_exact(k).enumerate();
        each.map(|(pair, row)| d[pair / mdp.actions] * policy[pair] * row[i] * row[j]).sum()
    });
    let influence = extreme_eigenvalues(covariance.as_ref())?.1.max(0.0).sqrt();
    SmallGain::new(vec![ridge, entropy], vec![0.0, influence, influence, 0.0])
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Streams;
    use rand::RngExt;

    use super::*;

    const S: usize = 3;
    const A: usize = 2;
    const K: usize = 2;

    /// A random MDP, features, and an expert's mean features.
    fn problem() -> (TabularMdp, Vec<f64>, Vec<f64>) {
        let mut rng = Streams::new(12).rng("mdp");
        let mut transitions: Vec<f64> = (0..S * A * S).map(|_| rng.random::<f64>()).collect();
        for row in transitions.chunks_exact_mut(S) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= sum);
        }
        let features: Vec<f64> = (0..S * A * K).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect();
        let mdp = TabularMdp::new(transitions, vec![0.5, 0.3, 0.2], 0.8).unwrap();
        let expert = mean_features(&mdp, &[0.9, 0.1, 0.2, 0.8, 0.7, 0.3], &features, K);
        (mdp, features, expert)
    }

    fn softmax(logits: &[f64]) -> Vec<f64> {
        let mut policy: Vec<f64> = logits.iter().map(|x| x.exp()).collect();
        for row in policy.chunks_exact_mut(A) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= sum);
        }
        policy
    }

    /// f₂ by summing discounted steps.
    fn policy_loss(mdp: &TabularMdp, reward: &[f64], features: &[f64], tau: f64, policy: &[f64]) -> f64 {
        let (mut d, mut total, mut discount) = (mdp.start.clone(), 0.0, 1.0 - mdp.gamma);
        for _ in 0..200 {
            let mut next = vec![0.0; S];
            for s in 0..S {
                for a in 0..A {
                    let p = policy[s * A + a];
                    let r = dot(&features[(s * A + a) * K..][..K], reward);
                    total += discount * d[s] * p * (r - tau * p.ln());
                    for (t, next) in next.iter_mut().enumerate() {
                        *next += d[s] * p * mdp.next(s, a)[t];
                    }
                }
            }
            d = next;
            discount *= mdp.gamma;
        }
        -total
    }

    #[test]
    fn curvature_and_influence_are_those_of_differences() {
        let (mdp, features, expert) = problem();
        let (ridge, tau) = (0.3, 0.5);
        let game = ImitationGame::new(&mdp, &features, &expert, ridge, tau).unwrap();
        // Neither player gains by a change of its own.
        for (i, wanted) in expert.iter().enumerate() {
            assert!((game.features[i] - wanted + ridge * game.reward[i]).abs() < 1e-10);
        }
        let logits: Vec<f64> = game.policy.iter().map(|p| p.ln()).collect();
        let n = S * A;
        let shifted = |k: usize, by: f64, l: usize, other: f64| {
            let mut logits = logits.clone();
            logits[k] += by;
            logits[l] += other;
            softmax(&logits)
        };
        let loss = |policy: &[f64]| policy_loss(&mdp, &game.reward, &features, tau, policy);
        let h = 1e-4;
        let d = mdp.occupancy(&game.policy);
        for k in 0..n {
            let slope = (loss(&shifted(k, h, k, 0.0)) - loss(&shifted(k, -h, k, 0.0))) / (2.0 * h);
            assert!(slope.abs() < 1e-8, "{slope}");
            for l in 0..n {
                let pieces = [(h, h), (h, -h), (-h, h), (-h, -h)].map(|(a, b)| loss(&shifted(k, a, l, b)));
                let found = (pieces[0] - pieces[1] - pieces[2] + pieces[3]) / (4.0 * h * h);
                let (p, q) = (game.policy[k], game.policy[l]);
                let same = f64::from(u8::from(k / A == l / A));
                let fisher = d[k / A] * same * (f64::from(u8::from(k == l)) * p - p * q);
                assert!((found - tau * fisher).abs() < 1e-6, "{k} {l}: {found} {}", tau * fisher);
            }
        }
        // ‖G F^−½‖² = λ_max(G F⁺ Gᵀ) with G = ∂ψ̄/∂θ by differences and F⁺ from F + 11ᵀ for each state.
        let g = Mat::from_fn(K, n, |i, k| {
            let at = |by: f64| mean_features(&mdp, &shifted(k, by, k, 0.0), &features, K)[i];
            (at(1e-5) - at(-1e-5)) / 2e-5
        });
        let fisher = Mat::from_fn(n, n, |k, l| {
            let (p, q, same) = (game.policy[k], game.policy[l], k / A == l / A);
            if same { d[k / A] * (if k == l { p } else { 0.0 } - p * q) + 1.0 } else { 0.0 }
        });
        let product = &g * solve(fisher.as_ref(), g.transpose());
        let expected = extreme_eigenvalues(product.as_ref()).unwrap().1.sqrt();
        assert!((game.small_gain.influence(0, 1) - expected).abs() < 1e-6, "{expected}");
    }

    #[test]
    fn play_from_nearby_contracts_as_fast_as_certified() {
        let (mdp, features, expert) = problem();
        let game = ImitationGame::new(&mdp, &features, &expert, 1.0, 1.0).unwrap();
        let (_, margin) = game.small_gain.best_weights().unwrap();
        assert!(margin > 0.0 && margin <= game.rate, "{margin}");
        // The flow of natural gradients, by small steps; distance in the metric at the equilibrium.
        let (mut reward, mut logits) = (game.reward.clone(), game.policy.iter().map(|p| p.ln()).collect::<Vec<_>>());
        reward.iter_mut().for_each(|x| *x += 1e-3);
        logits[0] += 2e-3;
        logits[5] -= 1e-3;
        let d = mdp.occupancy(&game.policy);
        let distance = |reward: &[f64], logits: &[f64]| {
            let mut sum: f64 = reward.iter().zip(&game.reward).map(|(a, b)| (a - b).powi(2)).sum();
            for (s, weight) in d.iter().enumerate() {
                let row = s * A..(s + 1) * A;
                let off: Vec<f64> = row.clone().map(|k| logits[k] - game.policy[k].ln()).collect();
                let mean = dot(&game.policy[row.clone()], &off);
                sum += weight * row.zip(&off).map(|(k, x)| game.policy[k] * (x - mean).powi(2)).sum::<f64>();
            }
            sum.sqrt()
        };
        let (eta, steps) = (1e-3, 2000);
        let before = distance(&reward, &logits);
        for _ in 0..steps {
            let policy = softmax(&logits);
            let mean = mean_features(&mdp, &policy, &features, K);
            let table: Vec<f64> = features.chunks_exact(K).map(|row| dot(row, &reward)).collect();
            // The natural gradient of −f₂ is the soft advantage, τ log π inside.
            let soft: Vec<f64> = table.iter().zip(&policy).map(|(r, p)| r - p.ln()).collect();
            let advantage = mdp.advantages(&policy, &soft);
            reward.iter_mut().enumerate().for_each(|(i, x)| *x -= eta * (mean[i] - expert[i] + *x));
            logits.iter_mut().zip(&advantage).for_each(|(x, a)| *x += eta * a);
        }
        let rate = (before / distance(&reward, &logits)).ln() / (eta * steps as f64);
        assert!(rate >= margin && rate > 0.95 * game.rate, "{rate} {margin} {}", game.rate);
    }

    #[test]
    fn what_is_no_mdp_is_refused() {
        let bad = |transitions: Vec<f64>, start: Vec<f64>, gamma: f64| {
            TabularMdp::new(transitions, start, gamma).unwrap_err()
        };
        assert!(bad(vec![1.0, 0.5, 0.0, 1.0], vec![0.5, 0.5], 0.9).to_string().contains("sum to 1"));
        assert!(bad(vec![1.0; 3], vec![0.5, 0.5], 0.9).to_string().contains("3 numbers for 2 states"));
        assert!(bad(vec![1.0], vec![1.0], 1.0).to_string().contains("below 1"));
        let (mdp, features, expert) = problem();
        assert!(ImitationGame::new(&mdp, &features, &expert, 0.0, 1.0).is_err());
        assert!(ImitationGame::new(&mdp, &features[1..], &expert, 1.0, 1.0).is_err());
    }
}
