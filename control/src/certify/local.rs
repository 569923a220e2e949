//! Bounds on the Jacobian over a box (Shi et al. 2022, arXiv 2210.07394): the range of each
//! neuron's slopes there, and from these bounds on the product W_{K+1} D_K W_K … D_1 W_1, ℓ∞ row by
//! row, ℓ2 from the interval of each entry.
//!
//! Forward: linear bounds on every layer's inputs over the box give each neuron an interval of
//! slopes. Backward: row j is a chain of its own, a_K = row j of W_{K+1}, y_k = d_k ⊙ a_k, a_{k−1}
//! = W_kᵀ y_k (`relax`). The ℓ1 norm of a_0 lies below the chords of |a_0|.

use faer::Mat;
use liprl_numerics::{Activation, linalg::spectral_norm};

use super::{
    algebra::UNIT_ROUNDOFF,
    backward::Backward,
    bound::{Norm, SAFE},
    error::CertifyError,
    interval::{Interval, product, rounding, times},
    lines::Line,
    network::Network,
    region::Region,
    relax::Relaxed,
    slopes::{sector, slopes_between},
    substitution::Rows,
};

/// A neuron restricted to one side of its kink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) layer: usize,
    pub(super) neuron: usize,
    pub(super) positive: bool,
}

/// Ranges of slopes over a region: least and largest of every neuron, and of every output with its
/// scale.
pub(super) struct SlopeRanges<'a> {
    pub(super) hidden: Vec<Vec<(f64, f64)>>,
    pub(super) head: Vec<(f64, f64)>,
    /// A box around the part of the region on which the splits hold.
    pub(super) region: Region,
    /// The layers, a tanh at the end among them.
    relaxed: Relaxed<'a>,
}

/// Slopes over the part of `region` on which the `splits` hold; `None` if that is empty.
pub(super) fn slopes_on<'a>(
    network: &'a Network,
    region: &Region,
    splits: &[Split],
) -> Result<Option<SlopeRanges<'a>>, CertifyError> {
    if region.dim() != network.inputs() {
        let problem = format!("has {} coordinates, {} takes {}", region.dim(), network.name(), network.inputs());
        return Err(CertifyError::BadRegion { problem });
    }
    let (activation, region) = (network.unit(), region.clamped(network.clamps()));
    let mut relaxed = Relaxed::new(region.ends().collect());
    let mut hidden = Vec::new();
    let (last, layers) = (network.weights().len() - 1, network.weights().iter().zip(network.biases()));
    for (k, (weight, bias)) in layers.take(last).enumerate() {
        let weight = weight.as_ref();
        for split in splits.iter().filter(|split| split.layer == k) {
            if !relaxed.constrain(weight, bias, split.neuron, split.positive) {
                return Ok(None);
            }
        }
        let mut z = relaxed.bounds(weight, bias);
        for split in splits.iter().filter(|split| split.layer == k) {
            let i = split.neuron;
            match split.positive {
                true => z.low[i] = z.low[i].max(0.0),
                false => z.high[i] = z.high[i].min(0.0),
            }
        }
        if z.is_empty() {
            return Ok(None);
        }
        let carried = network.carried()[k];
        let mut slopes: Vec<(f64, f64)> = z.ends().map(|(low, high)| slopes_between(activation, low, high)).collect();
        slopes[..carried].fill((1.0, 1.0));
        // On either side of the kink the slope is that side's, at the kink too: see the derivation.
        for split in splits.iter().filter(|split| split.layer == k) {
            let (least, most) = sector(activation);
            let side = if split.positive { most } else { least };
            slopes[split.neuron] = (side, side);
        }
        relaxed.push(weight, bias, (activation, carried), z, slopes.clone());
        hidden.push(slopes);
    }
    let head = match (network.squash(), network.weights().last(), network.biases().last()) {
        (Some(scale), Some(weight), Some(bias)) => {
            let z = relaxed.bounds(weight.as_ref(), bias);
            // The splits leave no input, which only the bounds on the outputs show.
            if z.is_empty() {
                return Ok(None);
            }
            let slopes = z.ends().map(|(low, high)| slopes_between(Activation::Tanh, low, high));
            let slopes: Vec<(f64, f64)> = slopes.collect();
            let head = slopes.iter().zip(scale).map(|(&slopes, &scale)| times(slopes, scale)).collect();
            relaxed.push(weight.as_ref(), bias, (Activation::Tanh, 0), z, slopes);
            head
        }
        _ => vec![(1.0, 1.0); network.outputs()],
    };
    let region = Region::new(relaxed.base.ends.low.clone(), relaxed.base.ends.high.clone())?;
    Ok(Some(SlopeRanges { hidden, head, region, relaxed }))
}

/// A row of the Jacobian over a region.
pub(super) struct JacobianRow {
    /// Upper bound on the ℓ1 norm.
    pub(super) norm: f64,
    /// Bounds on each entry.
    pub(super) entries: Interval,
    /// Share of the norm that depends on each neuron's slope, layer by layer.
    pub(super) weight: Vec<Vec<f64>>,
}

/// Row `j` of the Jacobian with these slopes. A tanh at the end is one more layer, or its slope a
/// factor of all; the better of the two counts.
pub(super) fn row(network: &Network, slopes: &SlopeRanges<'_>, j: usize) -> JacobianRow {
    let hidden = slopes.hidden.len();
    let end: Vec<f64> = network.weights()[hidden].row(j).iter().copied().collect();
    let head = slopes.head[j];
    let steepest = head.0.abs().max(head.1.abs());
    let mut found = match hidden.checked_sub(1) {
        Some(last) => row_from(slopes, Backward::new(last, &end)),
        None => JacobianRow {
            norm: end.iter().map(|a| a.abs()).sum::<f64>(),
            entries: end.iter().map(|&a| (a, a)).collect(),
            weight: Vec::new(),
        },
    };
    found.norm *= steepest;
    found.entries = found.entries.ends().map(|a| product(head, a)).collect();
    if let Some(scale) = network.squash()
        && head.0 < head.1
    {
        let mut end = vec![0.0; scale.len()];
        end[j] = scale[j];
        let whole = row_from(slopes, Backward::new(hidden, &end));
        found.norm = found.norm.min(whole.norm);
        found.entries = found.entries.intersection(&whole.entries);
    }
    found
}

/// A row by its last a.
fn row_from(SlopeRanges { hidden, relaxed, .. }: &SlopeRanges<'_>, mut backward: Backward) -> JacobianRow {
    for s in (1..=backward.last()).rev() {
        let (a, sizes) = backward.entries(relaxed, s);
        backward.push(a, sizes);
    }
    let (a, sizes) = backward.entries(relaxed, 0);
    let by_intervals: f64 = a.sizes().iter().sum();
    let chords: Vec<Line> = a.ends().map(|(low, high)| absolute(low, high)).collect();
    let offset: f64 = chords.iter().map(|chord| chord.offset).sum();
    let c = Mat::from_fn(1, chords.len(), |_, i| chords[i].slope);
    let unit = rounding(chords.len());
    let slack = unit * (offset + chords.iter().zip(&sizes).map(|(chord, size)| chord.slope.abs() * size).sum::<f64>());
    let rows = Rows::Products(0, c * relaxed.stages[0].weight.transpose(), vec![slack]);
    let (bounds, coefficients) = relaxed.upper(&rows, Some(&backward));
    let weight = hidden.iter().enumerate().map(|(s, slopes)| {
        let products = &coefficients.products[s];
        let each = backward.behind(s).sizes().into_iter().zip(slopes).enumerate();
        each.map(|(i, (a, (least, most)))| products[(0, i)].abs() * a * (most - least)).collect()
    });
    JacobianRow { norm: (bounds[0] + offset).min(by_intervals).max(0.0), entries: a, weight: weight.collect() }
}

/// A norm that the Jacobian certainly has at `x` or right beside it, of one output's row or of all:
/// the least over the Jacobians that f64's rounding and the kinks close to `x` leave possible.
pub(super) fn norm_at(network: &Network, x: &[f64], norm: Norm, output: Option<usize>) -> Result<f64, CertifyError> {
    let point = Region::new(x.to_vec(), x.to_vec())?;
    let Some(slopes) = slopes_on(network, &point, &[])? else { return Ok(0.0) };
    let outputs = output.map_or(0..network.outputs(), |output| output..output + 1);
    let rows = outputs.map(|j| row(network, &slopes, j).entries);
    // Inputs at or beyond a clamp have no effect, at least on one side.
    let inside: Vec<bool> = x.iter().zip(network.clamps()).map(|(x, range)| range.0 < *x && *x < range.1).collect();
    let keep = |row: Interval| -> Interval {
        row.ends().zip(&inside).map(|(ends, inside)| if *inside { ends } else { (0.0, 0.0) }).collect()
    };
    let rows: Vec<Interval> = rows.map(keep).collect();
    let least = match norm {
        Norm::Linf => {
            let sum = |row: &Interval| row.ends().map(|(low, high)| low.max(-high).max(0.0)).sum();
            rows.iter().map(sum).fold(0.0, f64::max)
        }
        Norm::L2 => {
            let (centre, radius) = middles(&rows);
            spectral_norm(centre.as_ref())? - radius.norm_l2()
        }
    };
    Ok((least * SAFE).max(0.0))
}

/// The middles C and half widths R of intervals, row by row.
fn middles(rows: &[Interval]) -> (Mat<f64>, Mat<f64>) {
    let columns = rows.first().map_or(0, |row| row.low.len());
    let matrix = |f: fn(f64, f64) -> f64| Mat::from_fn(rows.len(), columns, |i, j| f(rows[i].low[j], rows[i].high[j]));
    (matrix(|low, high| 0.5 * (low + high)), matrix(|low, high| 0.5 * (high - low)))
}

/// A line above |a| for a in [`low`, `high`].
fn absolute(low: f64, high: f64) -> Line {
    if low >= 0.0 {
        return Line { slope: 1.0, offset: 0.0 };
    }
    if high <= 0.0 {
        return Line { slope: -1.0, offset: 0.0 };
    }
    let slope = (high + low) / (high - low);
    Line { slope, offset: (1.0 - slope) * high * (1.0 + 8.0 * UNIT_ROUNDOFF) }
}

/// An upper bound on ‖J‖₂ over all J with entries within these rows, C ± R: ‖C‖ + ‖R‖, or the norm
/// of the largest absolute values if less.
pub(super) fn spectral_bound(rows: &[Interval]) -> Result<f64, CertifyError> {
    let (centre, radius) = middles(rows);
    let largest = Mat::from_fn(centre.nrows(), centre.ncols(), |i, j| centre[(i, j)].abs() + radius[(i, j)]);
    let norm = |matrix: &Mat<f64>| spectral_norm(matrix.as_ref());
    Ok((norm(&centre)? + norm(&radius)?).min(norm(&largest)?))
}

#[cfg(test)]
mod tests;
