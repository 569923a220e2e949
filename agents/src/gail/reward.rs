//! From the discriminator's logit x to a reward (Ho & Ermon 2016; Fu et al. 2018; arXiv 2006.16785).
//!
//! | form | r(x) | dr/dx |
//! | --- | --- | --- |
//! | minimax | −log(1 − σ(x) + 1e-8) = min(softplus(x), 18.42) to rounding | σ(x), but for the cap |
//! | non-saturating | log σ(x) | σ(−x) |
//! | AIRL | x | 1 |
//!
//! So ‖∇r‖ = |dr/dx| ‖∇D‖ ≤ ‖∇D‖: a k-Lipschitz logit gives a reward that is k-Lipschitz too.

use super::config::RewardConfig;

/// Keeps the logarithm of 1 − σ(x) finite.
const FLOOR: f64 = 1e-8;

/// σ(x).
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// log(1 + eˣ).
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The reward at logit `x`; 0 for forms that have no logit.
pub fn reward(form: &RewardConfig, x: f64) -> f64 {
    match form {
        RewardConfig::Minimax => -(sigmoid(-x) + FLOOR).ln(),
        RewardConfig::NonSaturating => -softplus(-x),
        RewardConfig::Airl => x,
        RewardConfig::Red(_) | RewardConfig::Environment | RewardConfig::Constant { .. } => 0.0,
    }
}

/// dr/dx at logit `x`, never negative.
pub fn slope(form: &RewardConfig, x: f64) -> f64 {
    match form {
        RewardConfig::Minimax => sigmoid(x) * sigmoid(-x) / (sigmoid(-x) + FLOOR),
        RewardConfig::NonSaturating => sigmoid(-x),
        RewardConfig::Airl => 1.0,
        RewardConfig::Red(_) | RewardConfig::Environment | RewardConfig::Constant { .. } => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEARNED: [RewardConfig; 3] = [RewardConfig::Minimax, RewardConfig::NonSaturating, RewardConfig::Airl];

    #[test]
    fn minimax_is_softplus_up_to_its_cap() {
        for x in -30..=30 {
            let (x, cap) = (f64::from(x), -FLOOR.ln());
            let (value, exact) = (reward(&RewardConfig::Minimax, x), softplus(x));
            assert!(value <= cap && (cap - 18.420_680_743_952_367).abs() < 1e-12);
            // 1e-8 moves log(1 − σ) by at most 1e-8 (1 + eˣ).
            assert!((value - exact).abs() <= 1.001e-8 * (1.0 + x.exp()), "{x}: {value} and {exact}");
        }
        assert!(reward(&RewardConfig::Minimax, -800.0).abs() < 2e-8 && reward(&RewardConfig::Minimax, 800.0) < 18.43);
    }

    #[test]
    fn the_forms_add_up_and_keep_their_signs() {
        for x in [-40.0, -3.0, -0.1, 0.0, 0.1, 3.0, 15.0] {
            let [minimax, non_saturating, airl] = LEARNED.map(|form| reward(&form, x));
            assert!(minimax >= -1.1e-8 && non_saturating <= 0.0);
            assert!((minimax + non_saturating - airl).abs() <= 1e-8 * (1.0 + f64::exp(x)) + 1e-12);
        }
    }

    #[test]
    fn slopes_are_the_derivatives_and_at_most_one() {
        for form in LEARNED {
            for x in [-20.0, -3.0, -0.5, 0.0, 0.5, 3.0, 12.0, 20.0] {
                let difference = (reward(&form, x + 1e-5) - reward(&form, x - 1e-5)) / 2e-5;
                assert!((slope(&form, x) - difference).abs() < 1e-6, "{form:?} at {x}");
                assert!((0.0..=1.0).contains(&slope(&form, x)));
            }
        }
    }
}
