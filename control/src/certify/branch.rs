//! Local bounds refined by branch and bound. A leaf is a part of the box on which some neurons are
//! held to one side of their kinks. Those sides are constraints on the inputs, which tighten all
//! bounds and may show that the leaf is empty. A leaf is cut by halving its box or by deciding one
//! more kink, whichever leaves the smaller bounds. Where few neurons are unsure of their slopes,
//! the largest norm over their patterns bounds the leaf (`patterns`). In ℓ2 LipSDP does where it was
//! closer than the Jacobian's bounds in the leaf before. The bound is the largest over the leaves,
//! and valid at every moment.
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
    lipsdp::{SdpOptions, lipsdp_with},
    local::{JacobianRow, SlopeRanges, Split, norm_at, row, slopes_on, spectral_bound},
    network::Network,
    patterns::{Pattern, largest},
    product::product_within,
    region::Region,
};

/// Multipliers that LipSDP tries in a leaf.
const EVALUATIONS: usize = 40;

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
    let deadline = options.time_limit.map(|limit| Instant::now() + limit);
    let late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    let everywhere = product_within(network, norm, options.time_limit)?.upper;
    if late() {
        return Ok(Bound { upper: everywhere, lower: 0.0, ended: Ended::TimeLimit });
    }
    let rows: Vec<Option<usize>> = match norm {
        Norm::Linf => (0..network.outputs()).map(Some).collect(),
        Norm::L2 => vec![None],
    };
    let mut refiner = Refiner { network, norm, lower: 0.0, deadline };
    let (mut open, mut closed, mut leaves) = (BinaryHeap::new(), 0f64, 0usize);
    for output in rows {
        let root =
            Leaf { bound: everywhere, output, region: region.clone(), splits: Vec::new(), sdp: None, cuts: Vec::new() };
        open.extend(refiner.evaluate(root)?);
    }
    let mut limit = None;
    while let Some(leaf) = open.pop() {
        let (bound, small) = (leaf.bound, refiner.lower.max(closed) * (1.0 + options.tolerance));
        if leaves >= options.leaves {
            limit = Some(Ended::LeafLimit);
        } else if late() {
            limit = Some(Ended::TimeLimit);
        }
        if bound <= small || limit.is_some() {
            closed = closed.max(bound);
            break;
        }
        match refiner.cut(leaf)? {
            Some(children) => {
                leaves += children.len();
                open.extend(children);
            }
            None => closed = closed.max(bound),
        }
    }
    // If the queue ran empty, `closed` has the largest bound; if not, the leaf taken last had the
    // largest of those left.
    let met = closed <= refiner.lower * (1.0 + options.tolerance);
    let ended = if met { Ended::Finished } else { limit.unwrap_or(Ended::Indivisible) };
    Ok(Bound { upper: (closed.max(refiner.lower) * MARGIN).min(everywhere), lower: refiner.lower, ended })
}

/// Part of a box, with a bound on one output's row or on all of the Jacobian.
struct Leaf {
    bound: f64,
    output: Option<usize>,
    region: Region,
    splits: Vec<Split>,
    /// True if LipSDP was closer than the Jacobian's bounds for the leaf that this one was cut
    /// from; `None` for a whole box.
    sdp: Option<bool>,
    /// The cuts to choose from; none if the leaf is exact, or nothing can be cut.
    cuts: Vec<Cut>,
}

/// Cut of a leaf in two.
#[derive(Clone, Copy)]
enum Cut {
    /// The box is halved along this coordinate.
    Halve(usize),
    /// Both sides of the kink of this neuron of this layer.
    Kink(usize, usize),
}

impl Leaf {
    fn children(&self, cut: Cut) -> [Self; 2] {
        let Self { bound, output, sdp, .. } = *self;
        match cut {
            Cut::Halve(i) => self.region.halves(i).map(|region| {
                let splits = self.splits.clone();
                Self { bound, output, region, splits, sdp, cuts: Vec::new() }
            }),
            Cut::Kink(layer, neuron) => [true, false].map(|positive| {
                let splits = self.splits.iter().copied().chain([Split { layer, neuron, positive }]).collect();
                Self { bound, output, region: self.region.clone(), splits, sdp, cuts: Vec::new() }
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

/// The problem, and the largest norm met so far.
struct Refiner<'a> {
    network: &'a Network,
    norm: Norm,
    lower: f64,
    deadline: Option<Instant>,
}

impl Refiner<'_> {
    /// The parts of a leaf that are not empty, by the cut with the smallest bounds; `None` without
    /// a cut.
    fn cut(&mut self, leaf: Leaf) -> Result<Option<Vec<Leaf>>, CertifyError> {
        let mut best: Option<(f64, f64, Vec<Leaf>)> = None;
        for &cut in &leaf.cuts {
            let mut parts = Vec::new();
            for child in leaf.children(cut) {
                parts.extend(self.evaluate(child)?);
            }
            // Below the largest norm met, a bound may be as it likes.
            let bounds = || parts.iter().map(|part| part.bound.max(self.lower));
            let (most, sum) = (bounds().fold(0.0, f64::max), bounds().sum());
            if best.as_ref().is_none_or(|(least, total, _)| (most, sum) < (*least, *total)) {
                best = Some((most, sum, parts));
            }
        }
        Ok(best.map(|(_, _, parts)| parts))
    }

    /// The leaf with its own bound, at most its parent's, and its cuts; `None` if it is empty.
    fn evaluate(&mut self, leaf: Leaf) -> Result<Option<Leaf>, CertifyError> {
        let network = self.network;
        let Some(slopes) = slopes_on(network, &leaf.region, &leaf.splits)? else { return Ok(None) };
        let outputs: Vec<usize> = leaf.output.map_or_else(|| (0..network.outputs()).collect(), |output| vec![output]);
        let rows: Vec<JacobianRow> = outputs.iter().map(|&output| row(network, &slopes, output)).collect();
        let found = match self.norm {
            Norm::L2 => spectral_bound(&rows.iter().map(|row| row.entries.clone()).collect::<Vec<_>>())?,
            Norm::Linf => rows.iter().map(|row| row.norm).fold(0.0, f64::max),
        };
        let mut bound = found.min(leaf.bound);
        self.meet(&slopes.region.centre(), leaf.output)?;
        let mut sdp = Some(false);
        if bound > self.lower {
            if let Some(pattern) = largest(network, &slopes, leaf.output, self.norm, self.lower)? {
                bound = bound.min(pattern.norm);
                self.meet_pattern(&pattern, &slopes, &leaf)?;
            } else if self.norm == Norm::L2 && leaf.sdp != Some(false) {
                // Over all patterns it would be no less than the largest norm.
                let by_sdp = self.by_sdp(&slopes, leaf.sdp.is_none())?;
                sdp = Some(by_sdp < found);
                bound = bound.min(by_sdp);
            }
        }
        let region = slopes.region.clone();
        let cuts = if bound > self.lower { self.cuts(&slopes, &rows) } else { Vec::new() };
        Ok(Some(Leaf { bound, cuts, region, sdp, ..leaf }))
    }

    /// LipSDP's bound; infinite if the time is too short for one.
    fn by_sdp(&self, slopes: &SlopeRanges<'_>, whole: bool) -> Result<f64, CertifyError> {
        // Over the whole box it may take half of the time that is left.
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let options = match whole {
            true => SdpOptions { time_limit: left.map(|left| left / 2), ..SdpOptions::default() },
            false => SdpOptions { time_limit: left, evaluations: EVALUATIONS },
        };
        Ok(lipsdp_with(self.network, slopes, &options)?.unwrap_or(f64::INFINITY))
    }

    /// Raises the largest norm met by the one at `x`.
    fn meet(&mut self, x: &[f64], output: Option<usize>) -> Result<(), CertifyError> {
        let Some(jacobian) = self.network.jacobian(x) else { return Ok(()) };
        let norm = match output {
            Some(output) => jacobian.row(output).iter().map(|x| x.abs()).sum(),
            None => operator_norm(jacobian.as_ref(), self.norm)?,
        };
        if norm > self.lower {
            self.lower = self.lower.max(norm_at(self.network, x, self.norm, output)?);
        }
        Ok(())
    }

    fn meet_pattern(&mut self, pattern: &Pattern, slopes: &SlopeRanges<'_>, leaf: &Leaf) -> Result<(), CertifyError> {
        match pattern.place(self.network, slopes, &leaf.splits, &slopes.region) {
            Some(x) => self.meet(&x, leaf.output),
            None => Ok(()),
        }
    }

    /// The kink on which the norm depends the most, and the input.
    fn cuts(&self, slopes: &SlopeRanges<'_>, rows: &[JacobianRow]) -> Vec<Cut> {
        let mut cuts = Vec::new();
        let piecewise = matches!(self.network.unit(), Activation::Relu | Activation::LeakyRelu(_));
        let mut most = 0.0;
        for (layer, ranges) in slopes.hidden.iter().enumerate().filter(|_| piecewise) {
            for (neuron, (low, high)) in ranges.iter().enumerate().filter(|(_, range)| range.0 < range.1) {
                let weight = rows.iter().map(|row| row.weight[layer][neuron]).fold((high - low) * 1e-30, f64::max);
                if weight > most {
                    (cuts, most) = (vec![Cut::Kink(layer, neuron)], weight);
                }
            }
        }
        cuts.extend(self.across(&slopes.region));
        cuts
    }

    /// Halves along the coordinate that moves the Jacobian the most, or else the first layer.
    fn across(&self, region: &Region) -> Option<Cut> {
        let first = &self.network.weights()[0];
        let reach = |i: usize| (region.high()[i] - region.low()[i]) * first.col(i).norm_l2();
        // A box too small to halve in f64 stays as it is.
        let middle = |i: usize| 0.5 * (region.low()[i] + region.high()[i]);
        let divisible = |i: &usize| region.low()[*i] < middle(*i) && middle(*i) < region.high()[*i];
        (0..region.dim()).filter(divisible).max_by(|&a, &b| reach(a).total_cmp(&reach(b))).map(Cut::Halve)
    }
}

#[cfg(test)]
mod tests;
