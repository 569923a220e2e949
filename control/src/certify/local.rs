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
    let mut hidden = Vec::new();
    let last = network.weights().len() - 1;
    for (k, (weight, bias)) in network.weights().iter().zip(network.biases()).enumerate() {
        let map = Affine { matrix: weight.as_ref(), bias: Some(bias) };
        let mut z = chain.bounds(map);
        if k == last {
            let head = match network.squash() {
                None => vec![(1.0, 1.0); z.low.len()],
                Some(scale) => {
                    let slopes = z.ends().map(|(low, high)| slopes_between(Activation::Tanh, low, high));
                    slopes.zip(scale).map(|(slopes, &scale)| times(slopes, scale)).collect()
                }
            };
            return Ok(Some(SlopeRanges { hidden, head }));
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
    let mut largest: Vec<Vec<f64>> = vec![end.iter().map(|a| a.abs()).collect()];
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
        largest.push(a.ends().map(|(low, high)| low.abs().max(high.abs())).collect());
        chain.push(*map, &a, around, outputs);
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
    let weight = trail.iter().zip(largest.iter().rev()).zip(&slopes.hidden);
    let weight = weight.map(|((coefficient, largest), slopes)| {
        let each = coefficient.iter().zip(largest).zip(slopes);
        each.map(|((c, a), (least, most))| c * a * (most - least)).collect()
    });
    let steepest = head.0.abs().max(head.1.abs());
    let entries = a.ends().map(|(low, high)| {
        let (p, q) = (times(head, low), times(head, high));
        (p.0.min(q.0), p.1.max(q.1))
    });
    JacobianRow { norm: steepest * norm.max(0.0), entries: entries.collect(), weight: weight.collect() }
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
    let columns = rows.first().map_or(0, |row| row.low.len());
    let matrix = |f: fn(f64, f64) -> f64| Mat::from_fn(rows.len(), columns, |i, j| f(rows[i].low[j], rows[i].high[j]));
    let norm = |matrix: Mat<f64>| spectral_norm(matrix.as_ref());
    let centre = norm(matrix(|low, high| 0.5 * (low + high)))?;
    let radius = norm(matrix(|low, high| 0.5 * (high - low)))?;
    Ok((centre + radius).min(norm(matrix(|low, high| low.abs().max(high.abs())))?))
}

#[cfg(test)]
mod tests;
