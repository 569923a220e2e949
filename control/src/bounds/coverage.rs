//! δ = sup_{x ∈ X} min_i ‖x − x_i‖: the largest distance from a point of the region to the nearest
//! sample.

use liprl_numerics::neighbours::Tree;

use super::{
    constant::Constant,
    supremum::{Supremum, supremum_within},
};
use crate::error::ControlError;

/// δ between two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coverage {
    /// Lower bound (observed): some point of the box is this far from every sample.
    pub lower: f64,
    /// Upper bound (proven), for use in other bounds.
    pub upper: f64,
}

impl Coverage {
    /// The upper end, proven.
    pub fn constant(&self) -> Constant {
        Constant::certified(self.upper)
    }
}

/// δ of `samples [N, n]` over the box `low` … `high`, by branch and bound on the distance to the
/// nearest sample, whose Lipschitz constant is 1. It stops once both ends are within `tolerance` of
/// each other (relative), or after `cells` cells; `upper` is valid either way.
///
/// # Errors
/// [`ControlError::BadInput`] without a sample, for an empty or unbounded box, or samples that are
/// not rows of its dimension.
pub fn coverage(
    samples: &[f64],
    low: &[f64],
    high: &[f64],
    tolerance: f64,
    cells: usize,
) -> Result<Coverage, ControlError> {
    coverage_within(samples, |_, _| false, low, high, tolerance, cells)
}

/// δ over the part of the box in a region, which is given by the balls that it `misses`; see
/// [`supremum_within`].
///
/// # Errors
/// As [`coverage`].
pub fn coverage_within(
    samples: &[f64],
    misses: impl Fn(&[f64], f64) -> bool,
    low: &[f64],
    high: &[f64],
    tolerance: f64,
    cells: usize,
) -> Result<Coverage, ControlError> {
    let n = low.len();
    if n == 0 || samples.is_empty() || !samples.len().is_multiple_of(n) || samples.iter().any(|x| !x.is_finite()) {
        let problem = format!("{} numbers are not one or more finite rows of {n}", samples.len());
        return Err(ControlError::bad("samples", problem));
    }
    let tree = Tree::new(samples, n);
    let distance = |x: &[f64]| tree.nearest(x).map_or(f64::INFINITY, |found| found.1);
    let Supremum { lower, upper } = supremum_within(distance, 1.0, misses, low, high, tolerance, cells)?;
    Ok(Coverage { lower, upper })
}

/// A δ that holds with probability `confidence` for `samples` independent draws. Their density on a
/// cube of `side` in `dim` dimensions is at least `density` times the uniform one.
///
/// With m cells a side, P(some cell is empty) ≤ mⁿ (1 − density/mⁿ)^N; if every cell has a sample,
/// δ ≤ side √n/m. m is the largest number with a right side of at most 1 − confidence.
///
/// # Errors
/// [`ControlError::BadInput`] without a sample, for a side, confidence or density out of range.
pub fn finite_sample_coverage(
    side: f64,
    dim: u32,
    samples: u64,
    density: f64,
    confidence: f64,
) -> Result<f64, ControlError> {
    Constant::certified(side).above_zero("the cube's side")?;
    if dim == 0 {
        return Err(ControlError::bad("dimensions", "there must be at least one"));
    }
    if samples == 0 {
        return Err(ControlError::bad("samples", "there must be at least one to cover a cube with"));
    }
    if !(density > 0.0 && density <= 1.0) {
        return Err(ControlError::bad("density", format!("must be above 0 and at most 1, found {density}")));
    }
    if !(confidence > 0.0 && confidence < 1.0) {
        return Err(ControlError::bad("confidence", format!("must be between 0 and 1, found {confidence}")));
    }
    let works = |m: f64| {
        let cells = m.powi(dim as i32);
        // In logarithms, as (1 − c/mⁿ)^N underflows.
        cells == 1.0 || cells.ln() + samples as f64 * (-density / cells).ln_1p() <= (1.0 - confidence).ln()
    };
    let mut m = 1.0;
    while works(m + 1.0) && m < 1e9 {
        m += 1.0;
    }
    Ok(side * f64::from(dim).sqrt() / m)
}

/// Clopper and Pearson's upper limit: the largest probability of a miss for which `misses` or fewer
/// in `trials` independent draws have at least the probability 1 − `confidence`. If a miss is a
/// fresh state farther than δ from every sample, B1 holds outside a set of that mass.
///
/// # Errors
/// [`ControlError::BadInput`] for more misses than trials, or a confidence out of range.
pub fn uncovered_mass(misses: u64, trials: u64, confidence: f64) -> Result<f64, ControlError> {
    if !(confidence > 0.0 && confidence < 1.0) {
        return Err(ControlError::bad("confidence", format!("must be between 0 and 1, found {confidence}")));
    }
    if misses > trials || trials == 0 {
        return Err(ControlError::bad("misses", format!("{misses} of {trials} draws")));
    }
    if misses == trials {
        return Ok(1.0);
    }
    // P(at most `misses`) falls in p; each term from the one before.
    let tail = |p: f64| {
        let mut log_term = trials as f64 * (-p).ln_1p();
        let mut sum = log_term.exp();
        for k in 0..misses {
            log_term += ((trials - k) as f64 / (k + 1) as f64).ln() + p.ln() - (-p).ln_1p();
            sum += log_term.exp();
        }
        sum
    };
    let (mut low, mut high) = (misses as f64 / trials as f64, 1.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if tail(middle) > 1.0 - confidence { low = middle } else { high = middle }
    }
    Ok(high)
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Streams;
    use rand::RngExt;

    use super::*;

    #[test]
    fn a_grid_covers_as_geometry_says() {
        // Spacing 0.5 in the plane: the farthest point is half a diagonal away.
        let samples: Vec<f64> =
            (0..5).flat_map(|i| (0..5).flat_map(move |j| [0.5 * f64::from(i), 0.5 * f64::from(j)])).collect();
        let expected = 0.125f64.sqrt();
        let found = coverage(&samples, &[0.0, 0.0], &[2.0, 2.0], 1e-3, 100_000).unwrap();
        assert!(found.lower <= expected + 1e-12 && expected <= found.upper, "{found:?}");
        assert!(found.upper - found.lower <= 1.1e-3 * found.upper, "{found:?}");
        // Cut off early, the upper end still holds.
        let early = coverage(&samples, &[0.0, 0.0], &[2.0, 2.0], 1e-3, 3).unwrap();
        assert!(early.lower <= expected && expected <= early.upper && early.upper > found.upper, "{early:?}");
        assert!(coverage(&[], &[0.0], &[1.0], 0.1, 10).is_err());
        assert!(coverage(&[1.0, 2.0, 3.0], &[0.0, 0.0], &[1.0, 1.0], 0.1, 10).is_err());
        assert!(coverage(&[1.0], &[0.0], &[f64::INFINITY], 0.1, 10).is_err());
    }

    /// Asserts that the promised share of samples covers as promised, and that m is the largest
    /// that the formula allows.
    #[test]
    fn random_samples_cover_as_often_as_promised() {
        let (side, count, confidence) = (2.0, 200, 0.9);
        let delta = finite_sample_coverage(side, 2, count, 1.0, confidence).unwrap();
        // 200 points: m = 5 gives 25 · 0.96²⁰⁰ = 0.0071, m = 6 gives 36 · (35/36)²⁰⁰ = 0.129.
        assert!((delta - side * 2f64.sqrt() / 5.0).abs() < 1e-12, "{delta}");
        let mut rng = Streams::new(3).rng("coverage");
        let covered = (0..200)
            .filter(|_| {
                let samples: Vec<f64> = (0..2 * count).map(|_| rng.random_range(0.0..side)).collect();
                coverage(&samples, &[0.0; 2], &[side; 2], 0.05, 20_000).unwrap().lower <= delta
            })
            .count();
        assert!(covered as f64 >= 0.9 * 200.0, "{covered}");
        let thin = finite_sample_coverage(side, 2, count, 0.5, confidence).unwrap();
        assert!(thin > delta);
        assert!(finite_sample_coverage(0.0, 2, count, 1.0, confidence).is_err());
        assert!(finite_sample_coverage(side, 2, count, 1.0, 1.0).is_err());
        // One sample is within the cube's diagonal of every point; without samples there is no
        // bound.
        assert_eq!(finite_sample_coverage(side, 1, 1, 1.0, confidence).unwrap(), side);
        let error = finite_sample_coverage(side, 2, 0, 1.0, confidence).unwrap_err().to_string();
        assert!(error.starts_with("samples: there must be at least one"), "{error}");
    }

    #[test]
    fn clopper_and_pearson_by_hand() {
        // No miss in 100: 1 − 0.05^(1/100); one of two at 95 %: (1 − p)² + 2p(1 − p) = 0.05, p =
        // √0.95.
        assert!((uncovered_mass(0, 100, 0.95).unwrap() - (1.0 - 0.05f64.powf(0.01))).abs() < 1e-12);
        assert!((uncovered_mass(1, 2, 0.95).unwrap() - 0.95f64.sqrt()).abs() < 1e-12);
        assert_eq!(uncovered_mass(7, 7, 0.95).unwrap(), 1.0);
        assert!(uncovered_mass(3, 2, 0.95).is_err());
    }
}
