//! LipSDP's problem of a network and its slopes: layers of norm 1, without neurons and directions
//! that have no effect, and with neurons of similar scales.
//!
//! A neuron's row of W_k times s and its column of W_{k+1} divided by s give the same products W D
//! W, since D is diagonal. Badly scaled neurons would start far from their best multipliers.

use faer::Mat;
use liprl_numerics::linalg::spectral_norm;

use super::{
    algebra::triangular,
    elimination::{Layer, Problem},
    error::CertifyError,
};

/// Least half width of a sector, relative to its middle. For a slope that is certain the best
/// multiplier is infinite, and for one that is nearly certain nearly so.
const WIDTH: f64 = 1e-4;

/// Least factor that is worth rescaling a neuron, relative to its layer.
const UNEVEN: f64 = 8.0;

/// Rounds of rescaling, layer after layer.
const ROUNDS: usize = 4;

/// The reduced problem.
pub(super) enum Reduced {
    /// The hidden layers have no effect: the constant itself.
    Constant(f64),
    /// Layers of norm 1, and the product of their original norms.
    Problem(Problem, f64),
}

/// Drops neurons that are always off and directions of the input that the first layer ignores;
/// divides every weight by its norm. `norms` are the norms of all weights, which spare their
/// decompositions if no neuron is off.
pub(super) fn normalised(
    hidden: &[Mat<f64>],
    sectors: Vec<Vec<(f64, f64)>>,
    widest: (f64, f64),
    last: Mat<f64>,
    norms: Option<&[f64]>,
) -> Result<Reduced, CertifyError> {
    let mut even = [hidden, &[last]].concat();
    let norms = norms.filter(|_| !equilibrate(&mut even));
    let Some((last, hidden)) = even.split_last() else { return Ok(Reduced::Constant(0.0)) };
    let mut layers: Vec<Layer> = Vec::new();
    let (mut scale, mut columns): (f64, Option<Vec<usize>>) = (1.0, None);
    let pick = |weight: &Mat<f64>, rows: &[usize], columns: &Option<Vec<usize>>| match columns {
        Some(columns) => Mat::from_fn(rows.len(), columns.len(), |i, j| weight[(rows[i], columns[j])]),
        None => Mat::from_fn(rows.len(), weight.ncols(), |i, j| weight[(rows[i], j)]),
    };
    let known = |k: usize| norms.and_then(|norms| norms.get(k).copied());
    for (k, (weight, sector)) in hidden.iter().zip(sectors).enumerate() {
        let rows: Vec<usize> = (0..sector.len()).filter(|&i| sector[i] != (0.0, 0.0)).collect();
        let mut weight = pick(weight, &rows, &columns);
        if layers.is_empty() {
            weight = triangular(weight.transpose()).transpose().to_owned();
        }
        let norm = known(k).map_or_else(|| spectral_norm(weight.as_ref()), Ok)?;
        if norm == 0.0 {
            return Ok(Reduced::Constant(0.0));
        }
        scale *= norm;
        layers
            .push(Layer { weight: weight / norm, sector: rows.iter().map(|&i| widened(sector[i], widest)).collect() });
        columns = Some(rows);
    }
    let rows: Vec<usize> = (0..last.nrows()).collect();
    let last = pick(last, &rows, &columns);
    let norm = known(hidden.len()).map_or_else(|| spectral_norm(last.as_ref()), Ok)?;
    if norm == 0.0 || layers.is_empty() {
        return Ok(Reduced::Constant(norm * scale));
    }
    let last = last / norm;
    Ok(Reduced::Problem(Problem { layers, last_gram: last.transpose() * &last }, scale * norm))
}

/// Rescales the neurons between `weights` by powers of 2, which are exact, so that the rows before
/// and the columns behind the neurons of a layer have lengths in about the same ratio. False if
/// they had.
fn equilibrate(weights: &mut [Mat<f64>]) -> bool {
    let mut changed = false;
    for _ in 0..ROUNDS {
        for k in 1..weights.len() {
            let (before, behind) = (&weights[k - 1], &weights[k]);
            let ratio = |i: usize| (behind.col(i).norm_l2() / before.row(i).norm_l2()).sqrt();
            let ratios: Vec<f64> = (0..before.nrows()).map(ratio).collect();
            let even = |ratio: &&f64| ratio.is_finite() && **ratio > 0.0;
            let mut sorted: Vec<f64> = ratios.iter().filter(even).copied().collect();
            sorted.sort_by(f64::total_cmp);
            let Some(&middle) = sorted.get(sorted.len() / 2) else { continue };
            for (i, ratio) in ratios.iter().enumerate() {
                let power = (ratio / middle).log2().round();
                if !even(&ratio) || power.abs() < UNEVEN.log2() || power.abs() > 500.0 {
                    continue;
                }
                let factor = power.exp2();
                changed = true;
                (0..weights[k - 1].ncols()).for_each(|j| weights[k - 1][(i, j)] *= factor);
                (0..weights[k].nrows()).for_each(|j| weights[k][(j, i)] /= factor);
            }
        }
    }
    changed
}

/// A unit's multiplier under which its Schur complement is positive definite where the layers behind
/// stretch squared lengths by at most `gain`, and the share κ that it is made of: gain (1 + 1/κ) / 2,
/// κ the half width of the sector over its middle (proof: `docs/derivations/certificates.md`).
pub(super) fn feasible_multiplier((alpha, beta): (f64, f64), gain: f64) -> (f64, f64) {
    let (middle, radius) = (0.5 * (alpha + beta), 0.5 * (beta - alpha));
    let share = (radius / middle.abs()).clamp(0.1 * WIDTH, 0.1 / WIDTH);
    (0.5 * gain * (1.0 + share.recip()) * (1.0 + 1e-7), share)
}

/// A wider sector, which claims less than the one given. It stays within the activation's own
/// sector `widest` if that is wide enough, so that a box never has more slopes than the whole
/// space.
pub(super) fn widened((alpha, beta): (f64, f64), widest: (f64, f64)) -> (f64, f64) {
    let middle = 0.5 * (alpha + beta);
    let radius = WIDTH * middle.abs();
    let (low, high) = (alpha.min(middle - radius), beta.max(middle + radius));
    if high > widest.1 {
        (low - (high - widest.1), widest.1.max(beta))
    } else if low < widest.0 {
        (widest.0.min(alpha), high + (widest.0 - low))
    } else {
        (low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widened_sectors_contain_what_they_were_and_stay_within_the_activation_s() {
        for (sector, widest) in [
            ((1.0, 1.0), (0.0, 1.0)),
            ((0.1, 0.1), (0.1, 1.0)),
            ((0.5, 0.5), (0.0, 1.0)),
            ((0.2, 0.9), (0.0, 1.0)),
            ((0.999_99, 1.0), (0.0, 1.0)),
        ] {
            let (low, high) = widened(sector, widest);
            assert!(
                low <= sector.0 && high >= sector.1 && low >= widest.0 && high <= widest.1,
                "{sector:?}: {low} {high}"
            );
            assert!(high - low >= 1.9 * WIDTH * sector.0.min(sector.1), "{sector:?}: {low} {high}");
        }
        let (low, high) = widened((1.0, 1.0), (1.0, 1.0));
        assert!(low < 1.0 && high >= 1.0);
    }
}
