//! Bounds on the Jacobian over a box (Shi et al. 2022, arXiv 2210.07394): the range of each
//! neuron's slopes there, and from these bounds on the product W_{K+1} D_K W_K … D_1 W_1, ℓ∞ row by
//! row, ℓ2 from the interval of each entry.
//!
//! Forward: linear bounds on every layer's inputs over the box give each neuron an interval of
//! slopes. Backward: row j is a chain of its own, a_K = row j of W_{K+1}, y_k = d_k ⊙ a_k, a_{k−1}
//! = W_kᵀ y_k, where y_k lies between the chords of d·a. The ℓ1 norm of a_0 lies below the chords
//! of |a_0|.

use faer::Mat;
use liprl_numerics::{Activation, linalg::spectral_norm};

use super::{
    algebra::UNIT_ROUNDOFF,
    bound::{Norm, SAFE},
    error::CertifyError,
    lines::{Affine, Chain, Interval},
    network::Network,
    region::Region,
    slopes::{Line, LinePair, lines, product_lines, sector, slopes_between, values_between},
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
#[derive(Clone, Debug)]
pub(super) struct SlopeRanges {
    pub(super) hidden: Vec<Vec<(f64, f64)>>,
    pub(super) head: Vec<(f64, f64)>,
    /// Ranges of the activations' inputs, and last of the last layer's outputs.
    pub(super) inputs: Vec<Interval>,
    /// A box around the part of the region on which the splits hold.
    pub(super) region: Region,
}

/// Slopes over the part of `region` on which the `splits` hold; `None` if that is empty.
pub(super) fn slopes_on(
    network: &Network,
    region: &Region,
    splits: &[Split],
) -> Result<Option<SlopeRanges>, CertifyError> {
    if region.dim() != network.inputs() {
        let problem = format!("has {} coordinates, {} takes {}", region.dim(), network.name(), network.inputs());
        return Err(CertifyError::BadRegion { problem });
    }
    let (activation, region) = (network.activation(), region.clamped(network.clamps()));
    let mut chain = Chain::new(Interval { low: region.low().to_vec(), high: region.high().to_vec() });
    let (mut hidden, mut inputs) = (Vec::new(), Vec::new());
    let last = network.weights().len() - 1;
    for (k, (weight, bias)) in network.weights().iter().zip(network.biases()).enumerate() {
        let map = Affine { matrix: weight.as_ref(), bias: Some(bias) };
        for split in splits.iter().filter(|split| split.layer == k) {
            if !chain.constrain(map, split.neuron, split.positive) {
                return Ok(None);
            }
        }
        let mut z = chain.bounds(map);
        if k == last {
            let head = match network.squash() {
                None => vec![(1.0, 1.0); z.low.len()],
                Some(scale) => {
                    let slopes = z.ends().map(|(low, high)| slopes_between(Activation::Tanh, low, high));
                    slopes.zip(scale).map(|(slopes, &scale)| times(slopes, scale)).collect()
                }
            };
            inputs.push(z);
            let region = Region::new(chain.base().low.clone(), chain.base().high.clone())?;
            return Ok(Some(SlopeRanges { hidden, head, inputs, region }));
        }
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
        let mut slopes: Vec<(f64, f64)> = z.ends().map(|(low, high)| slopes_between(activation, low, high)).collect();
        // On either side of the kink the slope is that side's, at the kink too: see the derivation.
        for split in splits.iter().filter(|split| split.layer == k) {
            let (least, most) = sector(activation);
            let side = if split.positive { most } else { least };
            slopes[split.neuron] = (side, side);
        }
        let around = z.ends().map(|(low, high)| lines(activation, low, high)).collect();
        let outputs = z.ends().map(|(low, high)| values_between(activation, low, high)).collect();
        chain.push(map, &z, around, outputs);
        hidden.push(slopes);
        inputs.push(z);
    }
    Ok(None)
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

/// Row `j` of the Jacobian with these slopes.
pub(super) fn row(network: &Network, slopes: &SlopeRanges, j: usize) -> JacobianRow {
    let weights = network.weights();
    let hidden = slopes.hidden.len();
    let head = slopes.head[j];
    let end: Vec<f64> = weights[hidden].row(j).iter().copied().collect();
    let mut behind: Vec<Interval> = vec![end.iter().map(|&a| (a, a)).collect()];
    let maps: Vec<Affine<'_>> =
        weights[..hidden].iter().rev().map(|weight| Affine { matrix: weight.transpose(), bias: None }).collect();
    let Some(first) = slopes.hidden.last() else {
        let entries = end.iter().map(|&a| times(head, a)).collect();
        let steepest = head.0.abs().max(head.1.abs());
        return JacobianRow { norm: steepest * end.iter().map(|a| a.abs()).sum::<f64>(), entries, weight: Vec::new() };
    };
    let mut chain = Chain::new(first.iter().zip(&end).map(|(&slope, &a)| times(slope, a)).collect());
    for (map, slopes) in maps.iter().zip(slopes.hidden.iter().rev().skip(1)) {
        let a = chain.bounds(*map);
        let around = a.ends().zip(slopes).map(|((low, high), &slope)| product_lines(slope, low, high)).collect();
        let outputs = a.ends().zip(slopes).map(|((low, high), &slope)| {
            let (p, q) = (times(slope, low), times(slope, high));
            (p.0.min(q.0), p.1.max(q.1))
        });
        let outputs = outputs.collect();
        chain.push(*map, &a, around, outputs);
        behind.push(a);
    }
    let a = chain.bounds(maps[hidden - 1]);
    let by_intervals: f64 = a.ends().map(|(low, high)| low.abs().max(high.abs())).sum();
    let chords: Vec<Line> = a.ends().map(|(low, high)| absolute(low, high)).collect();
    let offset = chords.iter().map(|chord| chord.offset).sum();
    let identity =
        |_: (f64, f64)| LinePair { lower: Line { slope: 1.0, offset: 0.0 }, upper: Line { slope: 1.0, offset: 0.0 } };
    chain.push(maps[hidden - 1], &a, a.ends().map(identity).collect(), a.clone());
    let mut trail = Vec::new();
    let rows = Mat::from_fn(1, chords.len(), |_, i| chords[i].slope);
    let norm = chain.upper(rows, vec![offset], Some(&mut trail))[0].min(by_intervals);
    // Last of the trail are the coefficients of y_K, before them those of y_{K−1} and so on; first
    // those of a_0.
    trail.remove(0);
    behind.reverse();
    let weight = trail.iter().zip(&behind).zip(&slopes.hidden);
    let weight = weight.map(|((coefficient, behind), slopes)| {
        let each = coefficient.iter().zip(behind.sizes()).zip(slopes);
        each.map(|((c, a), (least, most))| c * a * (most - least)).collect()
    });
    let weight = weight.collect();
    let steepest = head.0.abs().max(head.1.abs());
    let entries = a.ends().map(|(low, high)| {
        let (p, q) = (times(head, low), times(head, high));
        (p.0.min(q.0), p.1.max(q.1))
    });
    JacobianRow { norm: steepest * norm.max(0.0), entries: entries.collect(), weight }
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

/// The range of d · a for d from `least` to `most`.
fn times((least, most): (f64, f64), a: f64) -> (f64, f64) {
    ((least * a).min(most * a), (least * a).max(most * a))
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
