//! Bounds on the Jacobian over a box (Shi et al. 2022, arXiv 2210.07394): what slopes each neuron can have there, and what those make of the
//! product W_{K+1} D_K W_K … D_1 W_1, ℓ∞ row by row, ℓ2 from the interval that each entry lies in.
//!
//! Forward: linear bounds on every layer's inputs over the box give each neuron an interval of slopes. Backward: row j is a chain of its own,
//! a_K = row j of W_{K+1}, y_k = d_k ⊙ a_k, a_{k−1} = W_kᵀ y_k, where y_k lies between the chords of d·a. The ℓ1 norm of a_0 lies below the chords of |a_0|.

use faer::Mat;
use liprl_numerics::{Activation, linalg::spectral_norm};

use super::{
    CertifyError, Network, Region,
    algebra::UNIT_ROUNDOFF,
    lines::{Chain, Interval, Map},
    slopes::{Line, Lines, lines, product_lines, sector, slopes_between, values_between},
};

/// A neuron on one side of its kink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) layer: usize,
    pub(super) neuron: usize,
    pub(super) positive: bool,
}

/// The slopes there are in a region: least and most of every neuron, and of every output with its scale.
#[derive(Clone, Debug)]
pub(super) struct Slopes {
    pub(super) hidden: Vec<Vec<(f64, f64)>>,
    pub(super) head: Vec<(f64, f64)>,
}

/// Slopes over `region` where the `splits` hold; `None` where they contradict each other.
pub(super) fn slopes_on(network: &Network, region: &Region, splits: &[Split]) -> Result<Option<Slopes>, CertifyError> {
    if region.dim() != network.inputs() {
        let problem = format!("has {} coordinates, {} takes {}", region.dim(), network.name(), network.inputs());
        return Err(CertifyError::BadRegion { problem });
    }
    let (activation, region) = (network.activation(), region.clamped(network.clamps()));
    let mut chain = Chain::new(Interval { low: region.low().to_vec(), high: region.high().to_vec() });
    let mut hidden = Vec::new();
    let last = network.weights().len() - 1;
    for (k, (weight, bias)) in network.weights().iter().zip(network.biases()).enumerate() {
        let map = Map { matrix: weight.as_ref(), bias: Some(bias) };
        let mut z = chain.bounds(map);
        if k == last {
            let head = match network.squash() {
                None => vec![(1.0, 1.0); z.low.len()],
                Some(scale) => {
                    let slopes = z.ends().map(|(low, high)| slopes_between(Activation::Tanh, low, high));
                    slopes.zip(scale).map(|(slopes, &scale)| times(slopes, scale)).collect()
                }
            };
            return Ok(Some(Slopes { hidden, head }));
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
pub(super) struct Row {
    /// The ℓ1 norm is at most this.
    pub(super) norm: f64,
    /// Each entry lies in here.
    pub(super) entries: Interval,
    /// How much of the norm hangs on each neuron's slope, layer by layer.
    pub(super) weight: Vec<Vec<f64>>,
}

/// Row `j` of the Jacobian where the slopes are these.
pub(super) fn row(network: &Network, slopes: &Slopes, j: usize) -> Row {
    let weights = network.weights();
    let hidden = slopes.hidden.len();
    let head = slopes.head[j];
    let end: Vec<f64> = weights[hidden].row(j).iter().copied().collect();
    let mut largest: Vec<Vec<f64>> = vec![end.iter().map(|a| a.abs()).collect()];
    let maps: Vec<Map<'_>> =
        weights[..hidden].iter().rev().map(|weight| Map { matrix: weight.transpose(), bias: None }).collect();
    let Some(first) = slopes.hidden.last() else {
        let entries = end.iter().map(|&a| times(head, a)).collect();
        let steepest = head.0.abs().max(head.1.abs());
        return Row { norm: steepest * end.iter().map(|a| a.abs()).sum::<f64>(), entries, weight: Vec::new() };
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
        |_: (f64, f64)| Lines { lower: Line { slope: 1.0, offset: 0.0 }, upper: Line { slope: 1.0, offset: 0.0 } };
    chain.push(maps[hidden - 1], &a, a.ends().map(identity).collect(), a.clone());
    let mut trail = Vec::new();
    let rows = Mat::from_fn(1, chords.len(), |_, i| chords[i].slope);
    let norm = chain.upper(rows, vec![offset], Some(&mut trail))[0].min(by_intervals);
    // Last of the trail are the coefficients of y_K, before them those of y_{K−1} and so on; first those of a_0.
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
    Row { norm: steepest * norm.max(0.0), entries: entries.collect(), weight: weight.collect() }
}

/// The ends of d · a for d between the two ends.
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

/// A bound on ‖J‖₂ of all J whose entries lie in these rows, C ± R: ‖C‖ + ‖R‖, or the norm of the largest sizes.
pub(super) fn spectral_bound(rows: &[Interval]) -> Result<f64, CertifyError> {
    let columns = rows.first().map_or(0, |row| row.low.len());
    let matrix = |f: fn(f64, f64) -> f64| Mat::from_fn(rows.len(), columns, |i, j| f(rows[i].low[j], rows[i].high[j]));
    let norm = |matrix: Mat<f64>| spectral_norm(matrix.as_ref());
    let centre = norm(matrix(|low, high| 0.5 * (low + high)))?;
    let radius = norm(matrix(|low, high| 0.5 * (high - low)))?;
    Ok((centre + radius).min(norm(matrix(|low, high| low.abs().max(high.abs())))?))
}

/// The bound on the whole Jacobian, without any splitting.
#[cfg(test)]
pub(super) fn unsplit(network: &Network, region: &Region, norm: super::Norm) -> f64 {
    let Some(slopes) = slopes_on(network, region, &[]).unwrap() else { return 0.0 };
    let rows: Vec<Row> = (0..network.outputs()).map(|j| row(network, &slopes, j)).collect();
    match norm {
        super::Norm::Linf => rows.iter().map(|row| row.norm).fold(0.0, f64::max),
        super::Norm::L2 => spectral_bound(&rows.into_iter().map(|row| row.entries).collect::<Vec<_>>()).unwrap(),
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::{
        super::{Norm, algebra::operator_norm, network::testing::*},
        *,
    };

    #[test]
    fn the_hand_example_without_a_split_is_three() {
        let two = by_hand(&[(&[1.0, -1.0, 1.0, 1.0], &[0.0, 0.0]), (&[1.0, 1.0], &[0.0])], 2, Activation::Relu);
        let region = Region::around(&[1.0, 0.0], &[0.6, 0.6]).unwrap();
        assert!((super::super::product(&two, Norm::Linf).unwrap() - 4.0).abs() < 1e-7);
        assert!((unsplit(&two, &region, Norm::Linf) - 3.0).abs() < 1e-12);
        for positive in [true, false] {
            let slopes = slopes_on(&two, &region, &[Split { layer: 0, neuron: 0, positive }]).unwrap().unwrap();
            assert!((row(&two, &slopes, 0).norm - 2.0).abs() < 1e-12);
        }
    }

    #[test]
    fn stable_neurons_leave_the_exact_jacobian() {
        let two = by_hand(&[(&[1.0, -1.0, 1.0, 1.0], &[0.0, 0.0]), (&[1.0, 1.0], &[0.0])], 2, Activation::Relu);
        let region = Region::around(&[1.0, 0.0], &[0.3, 0.3]).unwrap();
        assert!((unsplit(&two, &region, Norm::Linf) - 2.0).abs() < 1e-12);
        assert!((unsplit(&two, &region, Norm::L2) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn no_sampled_jacobian_leaves_its_bounds() {
        let mut rng = rng("jacobians over boxes");
        for activation in ACTIVATIONS {
            for (squashed, radius) in [(false, 0.02), (true, 0.2), (false, 1.0), (true, 3.0)] {
                let network = gaussian(&[3, 10, 8, 6, 2], activation, squashed, &mut rng);
                let centre: Vec<f64> = (0..3).map(|_| rng.random_range(-1.0..1.0)).collect();
                let region = Region::around(&centre, &[radius; 3]).unwrap();
                let slopes = slopes_on(&network, &region, &[]).unwrap().unwrap();
                let rows: Vec<Row> = (0..2).map(|j| row(&network, &slopes, j)).collect();
                for _ in 0..500 {
                    let x: Vec<f64> =
                        region.low().iter().zip(region.high()).map(|(l, h)| rng.random_range(*l..=*h)).collect();
                    let Some(jacobian) = network.jacobian(&x) else { continue };
                    for (j, row) in rows.iter().enumerate() {
                        for (i, (low, high)) in row.entries.ends().enumerate() {
                            let entry = jacobian[(j, i)];
                            assert!(
                                low - 1e-12 <= entry && entry <= high + 1e-12,
                                "{activation:?}: {entry} {low} {high}"
                            );
                        }
                    }
                    for norm in [Norm::L2, Norm::Linf] {
                        let (found, bound) =
                            (operator_norm(jacobian.as_ref(), norm).unwrap(), unsplit(&network, &region, norm));
                        assert!(found <= bound * (1.0 + 1e-12), "{activation:?} {norm:?}: {found} {bound}");
                    }
                }
                // A small box has little to be unsure of.
                let sharp = operator_norm(network.jacobian(&centre).unwrap().as_ref(), Norm::Linf).unwrap();
                assert!(radius > 0.1 || unsplit(&network, &region, Norm::Linf) < 3.0 * sharp, "{activation:?}");
            }
        }
    }
}
