//! Bounds on the Jacobian over a box by enumeration, where few neurons are unsure of their slopes.
//!
//! ‖W_{K+1} D_K W_K … D_1 W_1‖ is convex in each slope, the others held. So its largest value is at
//! a pattern of slopes, each at one end of its range. If some x of the box has that pattern, the
//! bound is exact: [`Pattern::place`] looks for one.

use faer::{Mat, MatRef};
use liprl_numerics::linalg::spectral_norm;

use super::{
    algebra::{UNIT_ROUNDOFF, largest_row_sum, scale_rows},
    bound::Norm,
    error::CertifyError,
    local::{SlopeRanges, Split},
    network::Network,
    region::Region,
};

/// Most unsure neurons whose patterns are enumerated.
const FEW: usize = 9;

/// Projections in the search for a point with a pattern.
const PROJECTIONS: usize = 40;

/// The largest norm over all patterns.
pub(super) struct Pattern {
    /// Upper bound on the norm.
    pub(super) norm: f64,
    /// The slopes of all neurons, layer by layer; `None` if no pattern exceeds the floor.
    slopes: Option<Vec<Vec<f64>>>,
}

/// The largest norm of `output`'s row, or of the whole Jacobian, over all patterns of slopes, or
/// `floor` if that is more; with what rounding can hide. `None` if too many neurons are unsure.
pub(super) fn largest(
    network: &Network,
    slopes: &SlopeRanges<'_>,
    output: Option<usize>,
    norm: Norm,
    floor: f64,
) -> Result<Option<Pattern>, CertifyError> {
    let unsure = |ranges: &Vec<(f64, f64)>| (0..ranges.len()).filter(|&i| ranges[i].0 < ranges[i].1).collect();
    let unsure: Vec<Vec<usize>> = slopes.hidden.iter().map(unsure).collect();
    let count = unsure.iter().map(Vec::len).sum::<usize>();
    if count > FEW {
        return Ok(None);
    }
    let (last, hidden) = network.weights().split_last().ok_or(CertifyError::NotConverged { what: "a network" })?;
    // A diagonal of slopes that are not negative makes the norm larger the larger they are.
    let steepest: Vec<f64> = slopes.head.iter().map(|(least, most)| least.abs().max(most.abs())).collect();
    let scaled = scale_rows(last.as_ref(), &steepest);
    let last = match output {
        Some(output) => Mat::from_fn(1, scaled.ncols(), |_, j| scaled[(output, j)]),
        None => scaled,
    };
    let weights: Vec<MatRef<'_, f64>> = hidden.iter().map(Mat::as_ref).chain([last.as_ref()]).collect();
    // What rounding can have changed: relative to the product of all absolute values.
    let mut sizes = absolute(weights[0]);
    let mut terms = weights[0].ncols();
    for (weight, ranges) in weights[1..].iter().zip(&slopes.hidden) {
        let most: Vec<f64> = ranges.iter().map(|(least, most)| least.abs().max(most.abs())).collect();
        sizes = absolute(*weight) * scale_rows(sizes.as_ref(), &most);
        terms += weight.ncols() + 8;
    }
    let size = match norm {
        Norm::L2 => sizes.norm_l2(),
        Norm::Linf => (0..sizes.nrows()).map(|i| sizes.row(i).iter().sum::<f64>()).fold(0.0, f64::max),
    };
    let rounding = 2.0 * UNIT_ROUNDOFF * (terms + 2 * count) as f64 * size;
    let low: Vec<Vec<f64>> = slopes.hidden.iter().map(|ranges| ranges.iter().map(|range| range.0).collect()).collect();
    let mut walk = Walk { weights, slopes, unsure, norm, pattern: low, most: floor, best: None };
    let first = walk.weights[0].to_owned();
    walk.layer(0, first)?;
    Ok(Some(Pattern { norm: walk.most + rounding, slopes: walk.best }))
}

fn absolute(a: MatRef<'_, f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)].abs())
}

/// A walk over all patterns, layer by layer.
struct Walk<'a> {
    weights: Vec<MatRef<'a, f64>>,
    slopes: &'a SlopeRanges<'a>,
    unsure: Vec<Vec<usize>>,
    norm: Norm,
    pattern: Vec<Vec<f64>>,
    most: f64,
    best: Option<Vec<Vec<f64>>>,
}

impl Walk<'_> {
    /// Visits the patterns from layer `k` on; `before` is the Jacobian of its activations' inputs.
    fn layer(&mut self, k: usize, before: Mat<f64>) -> Result<(), CertifyError> {
        if k == self.unsure.len() {
            return self.end(&before);
        }
        let after = self.weights[k + 1] * scale_rows(before.as_ref(), &self.pattern[k]);
        self.neuron(k, 0, &before, after)
    }

    /// Visits both ends of the range of unsure neuron `which` of layer `k` and of all that follow;
    /// `after` is the Jacobian of the next activations' inputs with the slopes chosen so far.
    fn neuron(&mut self, k: usize, which: usize, before: &Mat<f64>, after: Mat<f64>) -> Result<(), CertifyError> {
        let Some(&i) = self.unsure[k].get(which) else { return self.layer(k + 1, after) };
        let (least, most) = self.slopes.hidden[k][i];
        let weight = self.weights[k + 1];
        let steeper = Mat::from_fn(after.nrows(), after.ncols(), |row, column| {
            after[(row, column)] + weight[(row, i)] * (most - least) * before[(i, column)]
        });
        self.neuron(k, which + 1, before, after)?;
        self.pattern[k][i] = most;
        self.neuron(k, which + 1, before, steeper)?;
        self.pattern[k][i] = least;
        Ok(())
    }

    fn end(&mut self, jacobian: &Mat<f64>) -> Result<(), CertifyError> {
        let value = match self.norm {
            // No more than the Frobenius norm, which is had at once.
            Norm::L2 if jacobian.norm_l2() <= self.most => return Ok(()),
            Norm::L2 => spectral_norm(jacobian.as_ref())?,
            Norm::Linf => largest_row_sum(jacobian.as_ref()),
        };
        if value > self.most {
            (self.most, self.best) = (value, Some(self.pattern.clone()));
        }
        Ok(())
    }
}

impl Pattern {
    /// A point of `region` that probably has this pattern: the middle, projected on each half-space
    /// in turn in which an unsure or split neuron has the sign that the pattern asks for. `None`
    /// without a pattern.
    pub(super) fn place(
        &self,
        network: &Network,
        slopes: &SlopeRanges<'_>,
        splits: &[Split],
        region: &Region,
    ) -> Option<Vec<f64>> {
        let pattern = self.slopes.as_ref()?;
        let mut sides: Vec<(Vec<f64>, f64)> = Vec::new();
        let hidden = &network.weights()[..pattern.len()];
        let (mut slope, mut offset): (Option<Mat<f64>>, Vec<f64>) = (None, Vec::new());
        for (k, (weight, bias)) in hidden.iter().zip(network.biases()).enumerate() {
            let (z, constant) = match &slope {
                None => (weight.clone(), bias.clone()),
                Some(slope) => {
                    let carried = (0..weight.nrows()).map(|i| weight.row(i).iter().zip(&offset).map(|(w, o)| w * o));
                    (weight * slope, carried.zip(bias).map(|(terms, bias)| terms.sum::<f64>() + bias).collect())
                }
            };
            for i in 0..z.nrows() {
                let (least, most) = slopes.hidden[k][i];
                let split = splits.iter().find(|split| (split.layer, split.neuron) == (k, i));
                let positive = match split {
                    Some(split) => split.positive,
                    None if least < most => pattern[k][i] == most,
                    None => continue,
                };
                let sign = if positive { 1.0 } else { -1.0 };
                sides.push((z.row(i).iter().map(|a| sign * a).collect(), sign * constant[i]));
            }
            offset = constant.iter().zip(&pattern[k]).map(|(z, d)| z * d).collect();
            slope = Some(scale_rows(z.as_ref(), &pattern[k]));
        }
        let mut x = region.centre();
        for _ in 0..PROJECTIONS {
            let distance = |(a, b): &(Vec<f64>, f64)| {
                let length = a.iter().map(|a| a * a).sum::<f64>().sqrt();
                (a.iter().zip(&x).map(|(a, x)| a * x).sum::<f64>() + b) / length
            };
            let inside = 1e-9 * (1.0 + x.iter().fold(0f64, |most, x| most.max(x.abs())));
            let worst = sides.iter().map(|side| (distance(side), side)).filter(|(distance, _)| distance.is_finite());
            let Some((distance, (a, _))) = worst.min_by(|a, b| a.0.total_cmp(&b.0)) else { break };
            if distance >= inside {
                break;
            }
            let length = a.iter().map(|a| a * a).sum::<f64>().sqrt();
            let step = (1.5 * -distance).max(0.0) + 4.0 * inside;
            x.iter_mut().zip(a).for_each(|(x, a)| *x += step * a / length);
            region.clamp(&mut x);
        }
        Some(x)
    }
}
