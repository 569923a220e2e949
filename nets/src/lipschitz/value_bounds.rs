//! From the sizes of reward, dynamics and policy to the gradient of the action value.
//!
//! Setting: s' = f(s, a) and a' = μ(s') deterministic, Q(s, a) = Σₖ γᵏ r(sₖ, aₖ). Over the states
//! and actions considered
//!
//! - δ bounds ‖∇r‖, the gradient of the reward with respect to (s, a);
//! - A bounds ‖J_f‖, the Jacobian of the dynamics with respect to (s, a);
//! - B bounds ‖J_μ‖, the Jacobian of the policy.
//!
//! Spectral norms give the smaller bounds; Frobenius norms are valid too, being larger.
//!
//! Two quantities, and only one is a bound. `sound_bound` is: ‖∇Q‖ ≤ δ/(1 − γA√(1 + B²)), and
//! nothing smaller made of δ, γ, A, B alone is. `paper_estimate` is Δ_∞ = δ/√(1 − γ²C), C = A²
//! max(1, B²), of arXiv 2006.16785: it loses the cross terms between time steps and between state
//! and action, and the true gradient may exceed it by any factor. It is here to be compared with,
//! under its name. Proofs and counterexamples: `docs/derivations/liayn.md`.

/// γ²C = γ² A² max(1, B²): the number that the paper's estimate needs below 1, and `gamma2c` of the
/// official code where A and B are that code's (`gamma2c_of_means`).
pub fn gamma2c(gamma: f64, a: f64, b: f64) -> f64 {
    let policy = if b.abs() <= 1.0 { 1.0 } else { b * b }; // unlike f64::max, a NaN passes through
    gamma * gamma * a * a * policy
}

/// γ²C of the mean sizes, as the official code logs it: a function of means, not a mean, so it says
/// nothing of any one state. NaN of none.
pub fn gamma2c_of_means(gamma: f64, a: &[f64], b: &[f64]) -> f64 {
    gamma2c(gamma, mean(a), mean(b))
}

/// γ²C of many states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gamma2C {
    /// Mean.
    pub mean: f64,
    /// Largest: the one that bounds on these states need.
    pub max: f64,
}

/// γ²C row by row: `a[i]` the size of J_f at (sᵢ, aᵢ), `b[i]` the size of J_μ at the state that
/// follows, as many. NaN of none.
pub fn gamma2c_per_row(gamma: f64, a: &[f64], b: &[f64]) -> Gamma2C {
    let each: Vec<f64> = a.iter().zip(b).map(|(&a, &b)| gamma2c(gamma, a, b)).collect();
    let larger = |x: f64, y: f64| if x > y || x.is_nan() { x } else { y };
    Gamma2C { mean: mean(&each), max: each.iter().copied().reduce(larger).unwrap_or(f64::NAN) }
}

/// The paper's Δ_∞ = δ/√(1 − γ²C). Nothing where γ²C ≥ 1: it is undefined there, not large.
///
/// **Not a bound.** With s' = s, a = 0, r = δs (A = 1, B = 0) and γ = 0.99, ‖∇Q‖ = δ/(1 − γ) = 100
/// δ, while Δ_∞ = 7.09 δ.
pub fn paper_estimate(delta: f64, gamma2c: f64) -> Option<f64> {
    (gamma2c < 1.0).then(|| delta / (1.0 - gamma2c).sqrt())
}

/// The paper's estimate over `steps` rewards: δ √(Σ_{k < steps} (γ²C)ᵏ), which is δ √steps where
/// γ²C = 1. Not a bound either.
pub fn paper_estimate_over(delta: f64, gamma2c: f64, steps: usize) -> f64 {
    delta * geometric(gamma2c, steps).sqrt()
}

/// ρ = γA√(1 + B²): what one step back in time multiplies a gradient's bound by.
pub fn sound_factor(gamma: f64, a: f64, b: f64) -> f64 {
    gamma * a * b.hypot(1.0)
}

/// A bound on ‖∇Q‖ = ‖∂Q/∂(s, a)‖₂ over an infinite horizon: δ/(1 − ρ). Nothing where ρ ≥ 1: then
/// no bound can be made of these numbers.
pub fn sound_bound(delta: f64, factor: f64) -> Option<f64> {
    (factor < 1.0).then(|| delta / (1.0 - factor))
}

/// The bound over `steps` rewards, any ρ: δ Σ_{k < steps} ρᵏ.
pub fn sound_bound_over(delta: f64, factor: f64, steps: usize) -> f64 {
    delta * geometric(factor, steps)
}

/// Σ_{k < steps} ratioᵏ = (ratioⁿ − 1)/(ratio − 1), accurate near ratio = 1 too.
fn geometric(ratio: f64, steps: usize) -> f64 {
    let (above, steps) = (ratio - 1.0, steps as f64);
    if above == 0.0 || steps == 0.0 { steps } else { (steps * above.ln_1p()).exp_m1() / above }
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{StreamRng, Streams};
    use rand::RngExt;
    use rand_distr::{Distribution, StandardNormal};
    use tch::{Kind, Tensor};

    use super::*;
    use crate::lipschitz::spectral_norms;

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a - b).abs() <= tolerance * a.abs().max(b.abs())
    }

    /// s' = J_f (s, a), a = K s, r = c·(s, a): every gradient is constant, so A, B and δ are exact
    /// and ∇Q has a closed form.
    struct Linear {
        gamma: f64,
        /// `[n, n + m]`.
        dynamics: Tensor,
        /// `[m, n]`.
        policy: Tensor,
        /// c `[n + m]`.
        reward: Tensor,
    }

    impl Linear {
        fn by_hand(gamma: f64, dynamics: [f64; 2], policy: f64, reward: [f64; 2]) -> Self {
            Self {
                gamma,
                dynamics: Tensor::from_slice(&dynamics).view([1, 2]),
                policy: Tensor::from_slice(&[policy]).view([1, 1]),
                reward: Tensor::from_slice(&reward),
            }
        }

        /// Up to four states and actions, ρ anywhere in (0.2, 0.999), ‖K‖ in (0, 2), a unit reward
        /// gradient.
        fn random(rng: &mut StreamRng) -> Self {
            let (n, m) = (rng.random_range(1..=4), rng.random_range(1..=4));
            let mut normal = |rows: i64, columns: i64| {
                let numbers: Vec<f64> = (0..rows * columns).map(|_| StandardNormal.sample(rng)).collect();
                Tensor::from_slice(&numbers).view([rows, columns])
            };
            let (dynamics, policy, reward) = (normal(n, n + m), normal(m, n), normal(1, n + m).view([n + m]));
            let gamma = if rng.random_bool(0.5) { 0.99 } else { 0.9 };
            let (rho, b) = (rng.random_range(0.2..0.999), rng.random_range(0.0..2.0));
            let a = rho / sound_factor(gamma, 1.0, b);
            Self {
                gamma,
                dynamics: &dynamics * (a / spectral(&dynamics)),
                policy: &policy * (b / spectral(&policy)),
                reward: &reward / reward.norm(),
            }
        }

        /// The next (s, a) as a function of this one: M = [J_f; K J_f].
        fn step(&self) -> Tensor {
            Tensor::cat(&[&self.dynamics, &self.policy.matmul(&self.dynamics)], 0)
        }

        /// ∇Q = Σₖ γᵏ (Mᵏ)ᵀ c = (I − γMᵀ)⁻¹ c.
        fn gradient(&self) -> Tensor {
            self.resolvent().mv(&self.reward)
        }

        fn resolvent(&self) -> Tensor {
            let step = self.step();
            (Tensor::eye(step.size()[0], (Kind::Double, tch::Device::Cpu)) - step.tr() * self.gamma).inverse()
        }

        /// The sum, term by term over `steps` rewards.
        fn gradient_over(&self, steps: usize) -> Tensor {
            let back = self.step().tr() * self.gamma;
            let mut term = self.reward.copy();
            let mut sum = term.zeros_like();
            for _ in 0..steps {
                sum = &sum + &term;
                term = back.mv(&term);
            }
            sum
        }

        fn delta(&self) -> f64 {
            norm(&self.reward)
        }

        fn factor(&self, size: fn(&Tensor) -> f64) -> f64 {
            sound_factor(self.gamma, size(&self.dynamics), size(&self.policy))
        }

        fn gamma2c(&self, size: fn(&Tensor) -> f64) -> f64 {
            gamma2c(self.gamma, size(&self.dynamics), size(&self.policy))
        }
    }

    fn spectral(matrix: &Tensor) -> f64 {
        spectral_norms(matrix).unwrap()[0]
    }

    /// Of a vector the Euclidean norm, of a matrix Frobenius'.
    fn norm(tensor: &Tensor) -> f64 {
        tensor.norm().double_value(&[])
    }

    #[test]
    fn a_constant_chain_exceeds_the_paper_s_estimate_and_meets_the_sound_bound() {
        // s' = s, a = 0, r = s.
        let chain = Linear::by_hand(0.99, [1.0, 0.0], 0.0, [1.0, 0.0]);
        let (estimate, bound) =
            (paper_estimate(1.0, chain.gamma2c(norm)).unwrap(), sound_bound(1.0, chain.factor(norm)).unwrap());
        assert!(close(norm(&chain.gradient()), 100.0, 1e-12) && close(bound, 100.0, 1e-12), "{bound}");
        // 1/√(1 − 0.9801).
        assert!((estimate - 7.0888).abs() < 1e-4, "{estimate}");
        // As γ → 1 the factor between them has no limit: √((1 + γ)/(1 − γ)).
        let chain = Linear::by_hand(1.0 - 1e-6, [1.0, 0.0], 0.0, [1.0, 0.0]);
        assert!(norm(&chain.gradient()) > 1400.0 * paper_estimate(1.0, chain.gamma2c(norm)).unwrap());
    }

    #[test]
    fn one_step_back_exceeds_the_paper_s_recursion() {
        // s' = 0.9 s, a = s, r = s + a: ∂r(s', a')/∂s = 0.9 (1 + 1), and C ‖∇r‖² = 0.81 · 2.
        let system = Linear::by_hand(1.0, [0.9, 0.0], 1.0, [1.0, 1.0]);
        let back = norm(&system.step().tr().mv(&system.reward)).powi(2);
        let allowed = system.gamma2c(spectral) * norm(&system.reward).powi(2);
        assert!(close(back, 3.24, 1e-12) && close(allowed, 1.62, 1e-12), "{back} {allowed}");
        // The sound factor squared is A²(1 + B²): 0.81 · 2 · 2.
        assert!(close(system.factor(spectral).powi(2) * norm(&system.reward).powi(2), 3.24, 1e-12));
    }

    #[test]
    fn the_paper_s_estimate_may_be_finite_where_the_value_is_not() {
        // s' = (s + a)/√2, a = s: A = B = 1, and s grows by √2 > 1/γ a step.
        let half = 0.5f64.sqrt();
        let system = Linear::by_hand(0.9, [half, half], 1.0, [1.0, 0.0]);
        assert!(paper_estimate(1.0, system.gamma2c(spectral)).unwrap() < 2.3);
        assert_eq!(sound_bound(1.0, system.factor(spectral)), None);
        assert!(norm(&system.gradient_over(300)) > 1e20);
        assert!(norm(&system.gradient_over(300)) <= sound_bound_over(1.0, system.factor(spectral), 300));
    }

    #[test]
    fn the_sound_bound_is_reached_for_all_sizes_of_dynamics_and_policy() {
        for (gamma, a, b) in [(0.99, 0.9, 0.3), (0.9, 0.5, 1.0), (0.5, 0.8, 2.0), (0.99, 1.0, 0.0)] {
            // s' = A (1, b)·(s, a)/√(1 + b²), a = b s, ∇r along (1, b).
            let root = f64::hypot(1.0, b);
            let system = Linear::by_hand(gamma, [a / root, a * b / root], b, [1.0 / root, b / root]);
            let bound = sound_bound(1.0, system.factor(spectral)).unwrap();
            assert!(close(norm(&system.gradient()), bound, 1e-12), "{gamma} {a} {b}: {bound}");
        }
    }

    #[test]
    fn random_linear_systems_stay_within_the_sound_bound_and_leave_the_paper_s_estimate() {
        let mut rng = Streams::new(5).rng("linear systems");
        let (mut exceeded, mut exceeded_over, mut furthest, systems) = (0, 0, 0f64, 2000);
        for _ in 0..systems {
            let system = Linear::random(&mut rng);
            let (delta, gradient) = (system.delta(), norm(&system.gradient()));
            let bound = sound_bound(delta, system.factor(spectral)).unwrap();
            assert!(gradient <= bound * (1.0 + 1e-12), "{gradient} {bound}");
            // Whatever direction the reward's gradient has.
            assert!(spectral(&system.resolvent()) <= bound / delta * (1.0 + 1e-12));
            // With Frobenius norms, where they give a bound, it is larger.
            assert!(sound_bound(delta, system.factor(norm)).is_none_or(|larger| larger >= bound * (1.0 - 1e-12)));
            for steps in [1, 2, 5, 20] {
                let gradient = norm(&system.gradient_over(steps));
                for size in [spectral, norm] {
                    assert!(gradient <= sound_bound_over(delta, system.factor(size), steps) * (1.0 + 1e-12));
                }
                exceeded_over +=
                    i32::from(gradient > paper_estimate_over(delta, system.gamma2c(spectral), steps) * (1.0 + 1e-12));
            }
            let estimate = paper_estimate(delta, system.gamma2c(spectral)).unwrap();
            exceeded += i32::from(gradient > estimate);
            furthest = furthest.max(gradient / estimate);
        }
        println!(
            "Δ_∞ exceeded in {exceeded} of {systems} systems, by a factor of up to {furthest:.2}; its finite form in {exceeded_over} of {}",
            4 * systems
        );
        assert!(exceeded > 0 && exceeded_over > 0 && furthest > 1.0);
    }

    #[test]
    fn the_closed_form_of_the_gradient_is_the_sum_of_its_terms() {
        let mut rng = Streams::new(6).rng("closed form");
        for _ in 0..50 {
            let system = Linear::random(&mut rng);
            // Until what is left out, ρᵏ/(1 − ρ), is below 1e-12.
            let steps = (1e-15f64.ln() / system.factor(spectral).ln()).ceil() as usize;
            let (closed, sum) = (system.gradient(), system.gradient_over(steps));
            assert!(norm(&(&closed - &sum)) < 1e-9 * norm(&closed));
        }
    }

    #[test]
    fn both_finite_forms_are_their_sums_and_lead_to_the_infinite_ones() {
        for ratio in [0.0, 0.5, 0.99, 1.0 - 1e-9, 1.0, 1.0 + 1e-9, 1.3] {
            for steps in [0, 1, 2, 7, 100] {
                let sum: f64 = (0..steps).map(|k| f64::powi(ratio, k)).sum();
                let steps = steps as usize;
                assert!((sound_bound_over(2.0, ratio, steps) - 2.0 * sum).abs() <= 1e-12 * sum, "{ratio} {steps}");
                assert!(
                    (paper_estimate_over(2.0, ratio, steps) - 2.0 * sum.sqrt()).abs() <= 1e-12 * sum,
                    "{ratio} {steps}"
                );
            }
        }
        assert!(close(sound_bound_over(3.0, 0.9, 10_000), sound_bound(3.0, 0.9).unwrap(), 1e-12));
        assert!(close(paper_estimate_over(3.0, 0.9, 10_000), paper_estimate(3.0, 0.9).unwrap(), 1e-12));
        for (bound, estimate) in [
            (sound_bound(1.0, 1.0), paper_estimate(1.0, 1.0)),
            (sound_bound(1.0, f64::NAN), paper_estimate(1.0, f64::NAN)),
        ] {
            assert_eq!((bound, estimate), (None, None));
        }
    }

    #[test]
    fn gamma2c_in_its_three_forms_by_hand() {
        assert!(close(gamma2c(0.5, 2.0, 0.3), 1.0, 1e-15));
        assert!(close(gamma2c(0.5, 2.0, 3.0), 9.0, 1e-15));
        // Rows 1·1·1, 9·1·4, 25·1·1 with γ = 1; means 3 and 1: 9.
        let (a, b) = ([1.0, 3.0, 5.0], [0.5, 2.0, 0.5]);
        assert!(close(gamma2c_of_means(1.0, &a, &b), 9.0, 1e-15));
        let rows = gamma2c_per_row(1.0, &a, &b);
        assert!(close(rows.mean, 62.0 / 3.0, 1e-15) && rows.max == 36.0);
        assert!(gamma2c_per_row(1.0, &a, &[0.5, f64::NAN, 0.5]).max.is_nan());
        let unknown = gamma2c_per_row(1.0, &[1.0, f64::NAN, 5.0], &b);
        assert!(unknown.mean.is_nan() && unknown.max.is_nan() && gamma2c_per_row(1.0, &[], &[]).max.is_nan());
    }
}
