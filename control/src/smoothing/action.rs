//! One step: how far an observation's error moves the smoothed action.
//!
//! For f with values in an interval of length r, f̃ = E f(x + η), and ‖δ‖ = d:
//!
//! - everywhere, |f̃(x + δ) − f̃(x)| ≤ min(1, r / (σ √(2π))) d; if f is L-Lipschitz,
//!   ≤ L erf(r / (2√2 L σ)) d, which is less than either. This is the Lipschitz part of Delattre et
//!   al. 2023 (arXiv 2309.16883), with the constant of r in the middle of the noise;
//! - at x, with p = (f̃(x) − low)/r: Φ⁻¹(p) changes by at most d/σ (Salman et al. 2019, arXiv
//!   1906.04584), so that an action near its bounds hardly moves: the margin part;
//! - the mean of m draws is off f̃ by at most Bernstein's half-width. Its variance is at most σ²L²
//!   (Poincaré's inequality for Gaussians), so a smaller L needs fewer draws: the variance part.
//!
//! Probabilities of failure are split over all that is stated at once, which the code of
//! 2309.16883 leaves out.

use statrs::function::erf::erf;

use super::{cdf, quantile};

/// r of actions in [-1, 1].
const RANGE: f64 = 2.0;

/// The Lipschitz constant of one coordinate of ã, from a constant `lipschitz` of π if one is known.
pub fn slope(sigma: f64, lipschitz: Option<f64>) -> f64 {
    let bounded = RANGE / (sigma * (2.0 * std::f64::consts::PI).sqrt());
    match lipschitz {
        Some(l) if l <= 0.0 => 0.0,
        Some(l) if l.is_finite() => (l * erf(RANGE / (2.0 * std::f64::consts::SQRT_2 * l * sigma))).min(bounded),
        _ => bounded,
    }
}

/// Half-width of an interval around the mean of `n` ≥ 2 draws with this sample variance (divided by
/// n − 1), from values in an interval of length `range`. It fails with probability `failure` at most
/// (Maurer & Pontil 2009, theorem 4, on both sides).
pub fn empirical_bernstein(variance: f64, n: usize, range: f64, failure: f64) -> f64 {
    let (n, log) = (n as f64, (4.0 / failure).ln());
    (2.0 * variance * log / n).sqrt() + 7.0 * range * log / (3.0 * (n - 1.0))
}

/// Half-width around the mean of `n` draws whose variance is at most `variance`, before any of them
/// is seen (Bernstein's inequality, on both sides).
pub fn bernstein(variance: f64, n: usize, range: f64, failure: f64) -> f64 {
    let (n, log) = (n as f64, (2.0 / failure).ln());
    (2.0 * variance * log / n).sqrt() + range * log / (3.0 * n)
}

/// The mean of some draws of one coordinate of an action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean.
    pub mean: f64,
    /// Sample variance, divided by m − 1.
    pub variance: f64,
}

/// A bound on the change of an action in [-1, 1]ᴬ by an error of an observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActionShift {
    /// Of ã, Euclidean.
    pub smoothed: f64,
    /// Of the mean of m draws at either observation.
    pub estimated: f64,
}

/// The bound at the observation that `estimates` come from, one for each coordinate, of m = `draws`
/// draws with the deviation `sigma`, for errors of length `distance`. `lipschitz` is a constant of π
/// if one is known. All of it holds together but for a probability of `failure`.
pub fn shift(
    estimates: &[Estimate],
    (sigma, draws): (f64, usize),
    lipschitz: Option<f64>,
    distance: f64,
    failure: f64,
) -> ActionShift {
    // Two intervals for each coordinate: here, and where the attack leads.
    let each = failure / (2 * estimates.len().max(1)) as f64;
    let steepest = slope(sigma, lipschitz) * distance;
    // The attacked draws are not seen: their variance is that of Poincaré's inequality, or of a coin.
    let unseen = lipschitz.map_or(1.0, |l| (sigma * l).powi(2).min(1.0));
    let there = bernstein(unseen, draws, RANGE, each);
    let (mut smoothed, mut estimated) = (0.0f64, 0.0f64);
    for Estimate { mean, variance } in estimates {
        let here = empirical_bernstein(*variance, draws, RANGE, each).min(RANGE);
        let centre = [mean - here, mean + here].map(|end| ((end + 1.0) / RANGE).clamp(0.0, 1.0));
        let moved = (RANGE * largest_move(centre, distance / sigma)).min(steepest);
        smoothed += moved.powi(2);
        estimated += (moved + here + there).min(RANGE).powi(2);
    }
    let whole = lipschitz.map_or(f64::INFINITY, |l| l * distance);
    ActionShift { smoothed: smoothed.sqrt().min(whole), estimated: estimated.sqrt() }
}

/// Largest |Φ(Φ⁻¹(p) ± d) − p| over `low` ≤ p ≤ `high`. Upwards it is concave in p with its summit
/// at Φ⁻¹(p) = −d/2; downwards it is the same of 1 − p.
fn largest_move([low, high]: [f64; 2], d: f64) -> f64 {
    let up = |low: f64, high: f64| {
        let p = cdf(-d / 2.0).clamp(low, high);
        cdf(quantile(p) + d) - p
    };
    up(low, high).max(up(1.0 - high, 1.0 - low))
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Streams;
    use rand::RngExt;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// E f(x + σ η) by the trapezoidal rule.
    fn smooth(f: impl Fn(f64) -> f64, x: f64, sigma: f64) -> f64 {
        let (n, reach) = (40_001, 10.0);
        let step = 2.0 * reach / (n - 1) as f64;
        (0..n)
            .map(|i| {
                let z = -reach + step * i as f64;
                f(x + sigma * z) * (-z * z / 2.0).exp() * step
            })
            .sum::<f64>()
            / (2.0 * std::f64::consts::PI).sqrt()
    }

    #[test]
    fn a_clipped_ramp_has_the_slope_of_the_formula() {
        // The steepest function with these constants; its slope in the middle is the bound itself.
        for (l, sigma) in [(5.0, 0.5), (1.0, 0.1), (30.0, 0.2)] {
            let ramp = |x: f64| (l * x).clamp(-1.0, 1.0);
            let h = 1e-4;
            let measured = (smooth(ramp, h, sigma) - smooth(ramp, -h, sigma)) / (2.0 * h);
            assert!((measured / slope(sigma, Some(l)) - 1.0).abs() < 1e-5, "{l} {sigma}: {measured}");
            assert!(slope(sigma, Some(l)) <= l.min(slope(sigma, None)));
        }
        // 0.792597 for a ramp of slope 5, range 1 and σ = 0.5: twice as wide and as steep here.
        assert!((slope(0.5, Some(10.0)) / 2.0 - 0.792_597).abs() < 1e-6);
        assert_eq!(slope(0.5, Some(0.0)), 0.0);
    }

    #[test]
    fn a_step_moves_as_far_as_the_bound() {
        // sign(x − c) is the worst function: ã = 2Φ((x − c)/σ) − 1, moved by δ exactly as stated.
        let (sigma, draws) = (0.3, 1_000_000_000);
        for (c, d) in [(0.2, 0.1), (-0.5, 0.3), (0.0, 0.7)] {
            let smoothed = |x: f64| 2.0 * cdf((x - c) / sigma) - 1.0;
            let mean = smoothed(0.0);
            let estimate = Estimate { mean, variance: 1.0 - mean * mean };
            let bound = shift(&[estimate], (sigma, draws), None, d, 1e-3).smoothed;
            let moved = (smoothed(d) - mean).abs().max((smoothed(-d) - mean).abs());
            assert!(moved <= bound && bound < moved + 1e-3, "{c} {d}: {moved} {bound}");
        }
    }

    #[test]
    fn the_largest_move_is_that_of_a_scan() {
        for (low, high, d) in [(0.1, 0.2, 0.5), (0.4, 0.9, 1.0), (0.0, 1.0, 0.2), (0.7, 0.7, 2.0)] {
            let scanned = (0..=2000)
                .map(|i| low + (high - low) * f64::from(i) / 2000.0)
                .map(|p| (cdf(quantile(p) + d) - p).max(p - cdf(quantile(p) - d)))
                .fold(0.0, f64::max);
            let found = largest_move([low, high], d);
            assert!(found >= scanned - 1e-12 && found < scanned + 1e-6, "{low} {high} {d}: {found} {scanned}");
        }
    }

    #[test]
    fn half_widths_hold_as_often_as_they_say() {
        // Bernoulli draws, many times: neither interval may fail more often than its level.
        let mut rng = Streams::new(5).rng("bernstein");
        let (n, p, failure, times) = (60, 0.1, 0.1, 4000);
        let (mut empirical, mut known) = (0, 0);
        for _ in 0..times {
            let hits = (0..n).filter(|_| rng.random::<f64>() < p).count() as f64;
            let mean = hits / n as f64;
            let variance = mean * (1.0 - mean) * n as f64 / (n - 1) as f64;
            empirical += u32::from((mean - p).abs() > empirical_bernstein(variance, n, 1.0, failure));
            known += u32::from((mean - p).abs() > bernstein(p * (1.0 - p), n, 1.0, failure));
        }
        assert!(f64::from(empirical.max(known)) <= failure * f64::from(times), "{empirical} {known}");
        // By hand: √(2·0.25·ln(40)/100) + 7·ln(40)/(3·99); √(2·0.25·ln(20)/100) + ln(20)/300.
        assert!((empirical_bernstein(0.25, 100, 1.0, 0.1) - (0.135_810 + 0.086_944)).abs() < 1e-5);
        assert!((bernstein(0.25, 100, 1.0, 0.1) - (0.122_387 + 0.009_986)).abs() < 1e-5);
    }

    #[test]
    fn two_coordinates_under_an_attack_stay_within_the_bound() {
        // π(x) = (tanh 3x₁, tanh(x₁ − 2x₂)), with L = ‖[[3, 0], [1, −2]]‖ as bound of its slope.
        let policy = |x: [f64; 2]| [(3.0 * x[0]).tanh(), (x[0] - 2.0 * x[1]).tanh()];
        let (sigma, draws, distance) = (0.4, 4000, 0.2);
        let l = 3.257; // √((14 + √(14² − 4·36))/2)
        let mut rng = Streams::new(6).rng("shift");
        let mut estimate = |x: [f64; 2]| -> [Estimate; 2] {
            let all: Vec<[f64; 2]> = (0..draws)
                .map(|_| {
                    let noise: [f64; 2] = std::array::from_fn(|_| StandardNormal.sample(&mut rng));
                    policy([x[0] + sigma * noise[0], x[1] + sigma * noise[1]])
                })
                .collect();
            std::array::from_fn(|j| {
                let mean = all.iter().map(|a| a[j]).sum::<f64>() / draws as f64;
                let variance = all.iter().map(|a| (a[j] - mean).powi(2)).sum::<f64>() / (draws - 1) as f64;
                Estimate { mean, variance }
            })
        };
        let here = estimate([0.1, 0.3]);
        let with = shift(&here, (sigma, draws), Some(l), distance, 1e-3);
        let without = shift(&here, (sigma, draws), None, distance, 1e-3);
        assert!(with.smoothed < without.smoothed && with.estimated < without.estimated);
        for k in 0..16 {
            let angle = f64::from(k) * std::f64::consts::TAU / 16.0;
            let there = estimate([0.1 + distance * angle.cos(), 0.3 + distance * angle.sin()]);
            let moved = here.iter().zip(&there).map(|(a, b)| (a.mean - b.mean).powi(2)).sum::<f64>().sqrt();
            assert!(moved <= with.estimated, "{moved} {with:?}");
        }
    }
}
