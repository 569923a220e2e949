//! Local bounds refined by branch and bound: the box is halved where it has few dimensions or the activation is smooth, else a neuron that may be on
//! either side of its kink is put on one and on the other, and the box halved once only a tanh at the end is left to be unsure of. The bound is the largest
//! over the leaves, valid whenever one stops.
//!
//! In the ℓ∞ norm every output is a problem of its own; they share one queue, so the largest gets the time.

use std::{
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use liprl_numerics::Activation;

use super::{
    Bound, CertifyError, Ended, MARGIN, Network, Norm, Region,
    algebra::operator_norm,
    local::{Row, Slopes, Split, row, slopes_on, spectral_bound},
    product::product,
};

/// Boxes of up to this many dimensions are halved themselves.
const FEW_INPUTS: usize = 6;

/// What to spend on it.
#[derive(Clone, Copy, Debug)]
pub struct LocalOptions {
    /// Stop after this long; none: when `tolerance` is reached.
    pub time_limit: Option<Duration>,
    /// The gap to the largest norm met, relative to it, that is good enough.
    pub tolerance: f64,
    /// Leaves at most.
    pub leaves: usize,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self { time_limit: None, tolerance: 1e-6, leaves: 200_000 }
    }
}

/// A bound on the network's constant over `region`, at most [`product`]'s.
///
/// # Errors
/// [`CertifyError::BadRegion`] for a box of another dimension, [`CertifyError::NotConverged`] where a decomposition fails.
pub fn local_bound(
    network: &Network,
    region: &Region,
    norm: Norm,
    options: &LocalOptions,
) -> Result<Bound, CertifyError> {
    // Beyond where the inputs are clamped there is nothing to look for.
    let region = &if region.dim() == network.inputs() { region.clamped(network.clamps()) } else { region.clone() };
    let search = Search { network, norm, halving: halves_boxes(network) };
    let deadline = options.time_limit.map(|limit| Instant::now() + limit);
    let everywhere = product(network, norm)?;
    let rows: Vec<Option<usize>> = match norm {
        Norm::Linf => (0..network.outputs()).map(Some).collect(),
        Norm::L2 => vec![None],
    };
    let (mut open, mut closed, mut lower, mut leaves) = (BinaryHeap::new(), 0f64, 0f64, 0usize);
    for output in rows {
        let root = Leaf { bound: everywhere, output, region: region.clone(), splits: Vec::new(), branch: None };
        if let Some(leaf) = search.evaluate(root)? {
            lower = lower.max(search.met(&leaf)?);
            open.push(leaf);
        }
    }
    let mut ended = Ended::Finished;
    while let Some(leaf) = open.pop() {
        if leaf.bound <= lower.max(closed) * (1.0 + options.tolerance) {
            closed = closed.max(leaf.bound);
            break;
        }
        let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if leaves >= options.leaves || late {
            closed = closed.max(leaf.bound);
            ended = if leaves >= options.leaves { Ended::LeafLimit } else { Ended::TimeLimit };
            break;
        }
        let Some(branch) = leaf.branch else {
            closed = closed.max(leaf.bound);
            continue;
        };
        for child in leaf.children(branch) {
            if let Some(child) = search.evaluate(child)? {
                lower = lower.max(search.met(&child)?);
                leaves += 1;
                open.push(child);
            }
        }
    }
    // Where the queue ran empty, `closed` has the largest; where it did not, the leaf last taken was the largest of those left.
    Ok(Bound { upper: (closed * MARGIN).min(everywhere), ended })
}

/// Whether boxes are halved rather than neurons split.
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

/// Where to cut a leaf.
#[derive(Clone, Copy)]
enum Branch {
    /// Across this coordinate.
    Halve(usize),
    /// On both sides of the kink of this neuron of this layer.
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

struct Search<'a> {
    network: &'a Network,
    norm: Norm,
    halving: bool,
}

impl Search<'_> {
    /// The leaf with its own bound, no larger than its parent's, and where to cut it; nothing where it is empty.
    fn evaluate(&self, leaf: Leaf) -> Result<Option<Leaf>, CertifyError> {
        let Some(slopes) = slopes_on(self.network, &leaf.region, &leaf.splits)? else { return Ok(None) };
        let rows: Vec<Row> = match leaf.output {
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

    fn branch(&self, region: &Region, slopes: &Slopes, rows: &[Row]) -> Option<Branch> {
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
        // No kink is left: what the head's slopes are is a matter of where in the box.
        best.or_else(|| self.across(region))
    }

    /// In halves along the coordinate that moves the first layer the most.
    fn across(&self, region: &Region) -> Option<Branch> {
        let first = &self.network.weights()[0];
        let reach = |i: usize| (region.high()[i] - region.low()[i]) * first.col(i).norm_l2();
        let widest = (0..region.dim()).max_by(|&a, &b| reach(a).total_cmp(&reach(b)))?;
        let (low, high) = (region.low()[widest], region.high()[widest]);
        let middle = 0.5 * (low + high);
        // A box too small to halve in f64 is left as it is.
        let divisible = low < middle && middle < high;
        divisible.then_some(Branch::Halve(widest))
    }

    /// The norm in the middle of the leaf's box, which is one of those bounded.
    fn met(&self, leaf: &Leaf) -> Result<f64, CertifyError> {
        let Some(jacobian) = self.network.jacobian(&leaf.region.centre()) else { return Ok(0.0) };
        match leaf.output {
            Some(output) => Ok(jacobian.row(output).iter().map(|x| x.abs()).sum()),
            None => operator_norm(jacobian.as_ref(), self.norm),
        }
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{Init, Mlp};

    use super::{
        super::{Head, Input, network::testing::*},
        *,
    };

    fn bound(network: &Network, region: &Region, norm: Norm) -> Bound {
        local_bound(network, region, norm, &LocalOptions::default()).unwrap()
    }

    #[test]
    fn the_hand_example_is_exact_after_splitting() {
        let two = by_hand(&[(&[1.0, -1.0, 1.0, 1.0], &[0.0, 0.0]), (&[1.0, 1.0], &[0.0])], 2, Activation::Relu);
        let region = Region::around(&[1.0, 0.0], &[0.6, 0.6]).unwrap();
        let found = bound(&two, &region, Norm::Linf);
        assert!(found.finished() && (found.upper - 2.0).abs() < 1e-5, "{found:?}");
        let search = Search { network: &two, norm: Norm::Linf, halving: false };
        let root = Leaf { bound: 9.0, output: Some(0), region, splits: Vec::new(), branch: None };
        let root = search.evaluate(root).unwrap().unwrap();
        assert!((root.bound - 3.0).abs() < 1e-12);
        let branch = root.branch.unwrap();
        for child in root.children(branch) {
            assert!((search.evaluate(child).unwrap().unwrap().bound - 2.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_tanh_at_the_end_is_searched_where_no_kink_is_left() {
        // With s the mean of the inputs, within ± ½, and h = relu(s + 1) = s + 1, the outputs are tanh(s − ½) and tanh(s + ½). No s has both at their
        // steepest: ‖J‖₂ = √(sech⁴(s − ½) + sech⁴(s + ½))/√8, less than √2/√8 = ½.
        let mlp = Mlp::new(8, &[1], 2, Activation::Relu, false, Init::Uniform);
        let params: Vec<f32> = [vec![0.125f32; 8], vec![1.0, 1.0, 1.0], vec![-1.5, -0.5]].concat();
        let network = Network::new("tanh", &mlp, &params, &[Input::RAW; 8], Head::Tanh(vec![1.0; 2])).unwrap();
        let region = Region::around(&[0.0; 8], &[0.5; 8]).unwrap();
        let slope = |z: f64| 1.0 - z.tanh().powi(2);
        let means = (0..=10_000).map(|step| f64::from(step) / 10_000.0 - 0.5);
        let exact = means.map(|s| slope(s - 0.5).hypot(slope(s + 0.5))).fold(0.0, f64::max) / 8f64.sqrt();
        let options = LocalOptions { leaves: 2000, ..LocalOptions::default() };
        let found = local_bound(&network, &region, Norm::L2, &options).unwrap();
        assert!(found.upper >= exact, "{found:?} {exact}");
        assert!(!found.finished() || found.upper < exact * (1.0 + 1e-5), "{found:?} {exact}");
        // Every coordinate halved once, which takes 255 cuts, s is known to ½: worst is s within ± ¼, √2 sech²(¼)/√8 = 0.4700.
        assert!(found.upper < 0.4701, "{found:?}");
    }

    #[test]
    fn a_limit_of_leaves_leaves_a_valid_bound() {
        let mut rng = rng("limits");
        let network = gaussian(&[9, 12, 12, 2], Activation::Relu, false, &mut rng);
        let region = Region::around(&[0.0; 9], &[1.0; 9]).unwrap();
        let mut last = f64::INFINITY;
        for leaves in [0, 10, 100, 400] {
            let options = LocalOptions { leaves, ..LocalOptions::default() };
            let found = local_bound(&network, &region, Norm::Linf, &options).unwrap();
            // No time limit was given that could have come first.
            assert!(leaves > 10 || found.ended == Ended::LeafLimit, "{leaves}: {found:?}");
            assert!(found.upper <= last * (1.0 + 1e-12), "more leaves, no larger bound: {} {last}", found.upper);
            last = found.upper;
        }
        let late = LocalOptions { time_limit: Some(Duration::ZERO), ..LocalOptions::default() };
        assert_eq!(local_bound(&network, &region, Norm::Linf, &late).unwrap().ended, Ended::TimeLimit);
        assert!(
            last < 0.95
                * local_bound(&network, &region, Norm::Linf, &LocalOptions { leaves: 0, ..LocalOptions::default() })
                    .unwrap()
                    .upper
        );
    }

    #[test]
    fn a_box_of_another_dimension_is_refused() {
        let network = by_hand(&[(&[1.0], &[0.0])], 1, Activation::Relu);
        let region = Region::around(&[0.0; 2], &[1.0; 2]).unwrap();
        assert!(local_bound(&network, &region, Norm::L2, &LocalOptions::default()).is_err());
    }
}
