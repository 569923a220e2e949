//! Local bounds refined by branch and bound. The box is halved if it has few dimensions or the
//! activation is smooth. Otherwise a neuron that may be on either side of its kink is split into
//! the two sides; once only a tanh at the end is uncertain, the box is halved. The bound is the
//! largest over the leaves, and valid at every moment.
//!
//! In the ℓ∞ norm every output is a problem of its own. They share one queue, so the largest bound
//! is refined first.

use std::{
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use liprl_numerics::Activation;

use super::{
    algebra::operator_norm,
    bound::{Bound, Ended, MARGIN, Norm},
    error::CertifyError,
    local::{JacobianRow, SlopeRanges, Split, row, slopes_on, spectral_bound},
    network::Network,
    product::product,
    region::Region,
};

/// Most dimensions of a box that is halved rather than its neurons split.
const FEW_INPUTS: usize = 6;

/// Limits of the search.
#[derive(Clone, Copy, Debug)]
pub struct LocalOptions {
    /// Time after which the search stops; `None` for no limit.
    pub time_limit: Option<Duration>,
    /// Gap to the largest norm observed, relative to it, at which the search stops.
    pub tolerance: f64,
    /// Most leaves.
    pub leaves: usize,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self { time_limit: None, tolerance: 1e-6, leaves: 200_000 }
    }
}

/// An upper bound on the network's Lipschitz constant over `region`, at most [`product`]'s. It is
/// that one if the time ends before the search begins.
///
/// # Errors
/// [`CertifyError::BadRegion`] for a box of another dimension, [`CertifyError::NotConverged`] if a
/// decomposition fails.
pub fn local_bound(
    network: &Network,
    region: &Region,
    norm: Norm,
    options: &LocalOptions,
) -> Result<Bound, CertifyError> {
    // Beyond the clamps of the inputs the network is constant.
    let region = &if region.dim() == network.inputs() { region.clamped(network.clamps()) } else { region.clone() };
    let refiner = Refiner { network, norm, halving: halves_boxes(network) };
    let deadline = options.time_limit.map(|limit| Instant::now() + limit);
    let late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    let everywhere = product(network, norm)?;
    if late() {
        return Ok(Bound { upper: everywhere, ended: Ended::TimeLimit });
    }
    let rows: Vec<Option<usize>> = match norm {
        Norm::Linf => (0..network.outputs()).map(Some).collect(),
        Norm::L2 => vec![None],
    };
    let (mut open, mut closed, mut lower, mut leaves) = (BinaryHeap::new(), 0f64, 0f64, 0usize);
    for output in rows {
        let root = Leaf { bound: everywhere, output, region: region.clone(), splits: Vec::new(), branch: None };
        if let Some(leaf) = refiner.evaluate(root)? {
            lower = lower.max(refiner.observed(&leaf)?);
            open.push(leaf);
        }
    }
    let mut ended = Ended::Finished;
    while let Some(leaf) = open.pop() {
        if leaf.bound <= lower.max(closed) * (1.0 + options.tolerance) {
            closed = closed.max(leaf.bound);
            break;
        }
        if leaves >= options.leaves || late() {
            closed = closed.max(leaf.bound);
            ended = if leaves >= options.leaves { Ended::LeafLimit } else { Ended::TimeLimit };
            break;
        }
        let Some(branch) = leaf.branch else {
            closed = closed.max(leaf.bound);
            continue;
        };
        for child in leaf.children(branch) {
            if let Some(child) = refiner.evaluate(child)? {
                lower = lower.max(refiner.observed(&child)?);
                leaves += 1;
                open.push(child);
            }
        }
    }
    // If the queue ran empty, `closed` has the largest bound; if not, the leaf taken last had the
    // largest of those left.
    Ok(Bound { upper: (closed * MARGIN).min(everywhere), ended })
}

/// True if boxes are halved rather than neurons split.
fn halves_boxes(network: &Network) -> bool {
    let smooth = !matches!(network.activation(), Activation::Relu | Activation::LeakyRelu(_));
    smooth || network.inputs() <= FEW_INPUTS
}

/// Part of a box, with a bound on one output's row or on all of the Jacobian.
struct Leaf {
    bound: f64,
    output: Option<usize>,
    region: Region,
    splits: Vec<Split>,
    branch: Option<Branch>,
}

/// Split of a leaf.
#[derive(Clone, Copy)]
enum Branch {
    /// The box is halved along this coordinate.
    Halve(usize),
    /// Both sides of the kink of this neuron of this layer.
    Kink(usize, usize),
}

impl Leaf {
    fn children(self, branch: Branch) -> [Self; 2] {
        let Self { bound, output, region, splits, .. } = self;
        match branch {
            Branch::Halve(i) => {
                region.halves(i).map(|region| Self { bound, output, region, splits: splits.clone(), branch: None })
            }
            Branch::Kink(layer, neuron) => [true, false].map(|positive| {
                let splits = splits.iter().copied().chain([Split { layer, neuron, positive }]).collect();
                Self { bound, output, region: region.clone(), splits, branch: None }
            }),
        }
    }
}

impl PartialEq for Leaf {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Leaf {}

impl PartialOrd for Leaf {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Leaf {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bound.total_cmp(&other.bound)
    }
}

/// The problem, and the kind of its splits.
struct Refiner<'a> {
    network: &'a Network,
    norm: Norm,
    halving: bool,
}

impl Refiner<'_> {
    /// The leaf with its own bound, at most its parent's, and its split; `None` if it is empty.
    fn evaluate(&self, leaf: Leaf) -> Result<Option<Leaf>, CertifyError> {
        let Some(slopes) = slopes_on(self.network, &leaf.region, &leaf.splits)? else { return Ok(None) };
        let rows: Vec<JacobianRow> = match leaf.output {
            Some(output) => vec![row(self.network, &slopes, output)],
            None => (0..self.network.outputs()).map(|output| row(self.network, &slopes, output)).collect(),
        };
        let branch = self.branch(&leaf.region, &slopes, &rows);
        let bound = match leaf.output {
            Some(_) => rows[0].norm,
            None => spectral_bound(&rows.into_iter().map(|row| row.entries).collect::<Vec<_>>())?,
        };
        Ok(Some(Leaf { bound: bound.min(leaf.bound), branch, ..leaf }))
    }

    fn branch(&self, region: &Region, slopes: &SlopeRanges, rows: &[JacobianRow]) -> Option<Branch> {
        let certain = slopes.hidden.iter().flatten().chain(&slopes.head).all(|(least, most)| least == most);
        if certain {
            return None;
        }
        if self.halving {
            return self.across(region);
        }
        let (mut best, mut most) = (None, 0.0);
        for (layer, ranges) in slopes.hidden.iter().enumerate() {
            for (neuron, (low, high)) in ranges.iter().enumerate().filter(|(_, range)| range.0 < range.1) {
                let weight = rows.iter().map(|row| row.weight[layer][neuron]).fold((high - low) * 1e-30, f64::max);
                if weight > most {
                    (best, most) = (Some(Branch::Kink(layer, neuron)), weight);
                }
            }
        }
        // Every kink is decided: only the output map's slopes still vary within the box.
        best.or_else(|| self.across(region))
    }

    /// Halves along the coordinate that moves the first layer the most.
    fn across(&self, region: &Region) -> Option<Branch> {
        let first = &self.network.weights()[0];
        let reach = |i: usize| (region.high()[i] - region.low()[i]) * first.col(i).norm_l2();
        let widest = (0..region.dim()).max_by(|&a, &b| reach(a).total_cmp(&reach(b)))?;
        let (low, high) = (region.low()[widest], region.high()[widest]);
        let middle = 0.5 * (low + high);
        // A box too small to halve in f64 stays as it is.
        let divisible = low < middle && middle < high;
        divisible.then_some(Branch::Halve(widest))
    }

    /// The norm in the middle of the leaf's box: a lower bound.
    fn observed(&self, leaf: &Leaf) -> Result<f64, CertifyError> {
        let Some(jacobian) = self.network.jacobian(&leaf.region.centre()) else { return Ok(0.0) };
        match leaf.output {
            Some(output) => Ok(jacobian.row(output).iter().map(|x| x.abs()).sum()),
            None => operator_norm(jacobian.as_ref(), self.norm),
        }
    }
}

#[cfg(test)]
mod tests;
