//! The bounds of a report: which methods, over which boxes, in which order.

use std::cell::Cell;
use std::time::{Duration, Instant};

use liprl_control::certify::{Bound, CertifyError, Ended, LowerOptions, Network, Norm, Region, lower_bound};
use liprl_numerics::Streams;

use super::boxes::BoxChoice;
use super::method::{BoundMethod, upper_bound};

/// A method of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MethodKind {
    /// See [`BoundMethod::Product`].
    Product,
    /// See [`BoundMethod::Lipsdp`] and [`BoundMethod::LipsdpOn`].
    Lipsdp,
    /// See [`constant_by_construction`](super::constant_by_construction).
    Construction,
    /// See [`BoundMethod::Local`].
    Local,
}

impl MethodKind {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Product, Self::Lipsdp, Self::Construction, Self::Local];

    /// The name in tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Lipsdp => "lipsdp",
            Self::Construction => "construction",
            Self::Local => "local",
        }
    }

    /// LipSDP and constructions bound the Euclidean constant alone.
    fn applies_to(self, norm: Norm) -> bool {
        norm == Norm::L2 || !matches!(self, Self::Lipsdp | Self::Construction)
    }
}

/// The choices of a report.
#[derive(Clone, Debug)]
pub(crate) struct BoundOptions {
    /// Norms, in their order.
    pub norms: Vec<Norm>,
    /// Methods for upper bounds.
    pub methods: Vec<MethodKind>,
    /// Boxes of the local bounds.
    pub boxes: Vec<BoxChoice>,
    /// Boxes of one [`BoxChoice::Around`].
    pub boxes_around: usize,
    /// The constant by construction, if the network has one.
    pub construction: Option<f64>,
    /// Seed of the search for lower bounds.
    pub seed: u64,
    /// The time for all bounds. Each search has an equal share of what is left.
    pub time_limit: Duration,
}

/// One row of a report: a bound by one method, over all inputs or over some boxes.
#[derive(Clone, Debug)]
pub(crate) struct BoundRow {
    pub norm: Norm,
    pub region: String,
    pub method: MethodKind,
    /// The largest Jacobian norm observed.
    pub lower: f64,
    pub bound: Bound,
    /// Time for the upper bound.
    pub seconds: f64,
    /// The boxes, each with its own bounds.
    pub boxes: Vec<BoxBound>,
}

/// The bounds over one box.
#[derive(Clone, Debug)]
pub(crate) struct BoxBound {
    pub region: Region,
    pub lower: f64,
    pub bound: Bound,
}

impl BoundRow {
    /// Upper over lower bound; `None` if the lower bound is 0.
    pub(crate) fn ratio(&self) -> Option<f64> {
        (self.lower > 0.0).then(|| self.bound.upper / self.lower)
    }
}

/// Finds all bounds; `inputs` are visited inputs, `[R, network.inputs()]`.
///
/// # Errors
/// If a decomposition fails, if a bound exceeds the range of f64, or if the constant by construction
/// is wrong.
pub(crate) fn bound_rows(network: &Network, inputs: &[f64], options: &BoundOptions) -> anyhow::Result<Vec<BoundRow>> {
    let search = RowSearch::begin(network, inputs, options)?;
    let mut rows = Vec::new();
    for &norm in &options.norms {
        let mut everywhere = search.everywhere(norm)?;
        let smallest = everywhere.iter().map(|row| row.bound.upper).fold(f64::INFINITY, f64::min);
        let mut local = Vec::new();
        for choice in &options.boxes {
            local.extend(search.over(choice, norm, smallest)?);
        }
        // A Jacobian norm observed in a box is a lower bound everywhere too.
        let observed = local.iter().map(|row: &BoundRow| row.lower).fold(0.0, f64::max);
        everywhere.iter_mut().for_each(|row| row.lower = row.lower.max(observed));
        rows.extend(everywhere);
        rows.extend(local);
    }
    if let Some(row) = rows.iter().find(|row| !row.bound.upper.is_finite()) {
        anyhow::bail!("{}: its {} bound exceeds the range of f64", network.name(), row.method.name());
    }
    let refuted = rows.iter().find(|row| row.method == MethodKind::Construction && row.lower > row.bound.upper);
    if let Some(BoundRow { lower, bound, .. }) = refuted {
        anyhow::bail!(
            "{}: the file states the constant {} by construction, but a slope of {lower} was observed; take the file from its run again",
            network.name(),
            bound.upper
        );
    }
    Ok(rows)
}

struct RowSearch<'a> {
    network: &'a Network,
    inputs: &'a [f64],
    options: &'a BoundOptions,
    deadline: Instant,
    /// Number of searches, for upper and for lower bounds, that are still to be made.
    left: Cell<usize>,
}

impl<'a> RowSearch<'a> {
    fn begin(network: &'a Network, inputs: &'a [f64], options: &'a BoundOptions) -> Result<Self, CertifyError> {
        let deadline = Instant::now() + options.time_limit;
        let search = Self { network, inputs, options, deadline, left: Cell::new(0) };
        let mut left = 0;
        for &norm in &options.norms {
            let everywhere = search.wanted([MethodKind::Product, MethodKind::Lipsdp], norm).len();
            left += everywhere + usize::from(everywhere > 0);
            let over = search.wanted([MethodKind::Local, MethodKind::Lipsdp], norm).len();
            for choice in options.boxes.iter().filter(|_| over > 0) {
                let regions = choice.regions(inputs, network.inputs(), options.boxes_around)?.len();
                left += (over + 1) * regions;
            }
        }
        search.left.set(left);
        Ok(search)
    }

    /// The wanted ones among `methods` that apply to the norm.
    fn wanted<const N: usize>(&self, methods: [MethodKind; N], norm: Norm) -> Vec<MethodKind> {
        let wanted = |method: &MethodKind| self.options.methods.contains(method) && method.applies_to(norm);
        methods.into_iter().filter(wanted).collect()
    }

    fn everywhere(&self, norm: Norm) -> Result<Vec<BoundRow>, CertifyError> {
        let methods = self.wanted([MethodKind::Product, MethodKind::Lipsdp], norm);
        if methods.is_empty() {
            return Ok(Vec::new());
        }
        let lower = self.lower(norm, None)?;
        let row = |method: MethodKind| {
            let search = if method == MethodKind::Product { BoundMethod::Product } else { BoundMethod::Lipsdp };
            let (bound, seconds) = self.timed(norm, search)?;
            Ok(BoundRow { norm, region: "everywhere".into(), method, lower, bound, seconds, boxes: Vec::new() })
        };
        let mut rows = methods.into_iter().map(row).collect::<Result<Vec<BoundRow>, CertifyError>>()?;
        let constructed = !self.wanted([MethodKind::Construction], norm).is_empty();
        rows.extend(self.options.construction.filter(|_| constructed).map(|upper| {
            let bound = Bound { upper, lower: 0.0, ended: Ended::Finished };
            let (region, method) = ("everywhere".into(), MethodKind::Construction);
            BoundRow { norm, region, method, lower, bound, seconds: 0.0, boxes: Vec::new() }
        }));
        Ok(rows)
    }

    /// Rows over the boxes of one choice. `everywhere` is a bound that holds on all of them.
    fn over(&self, choice: &BoxChoice, norm: Norm, everywhere: f64) -> Result<Vec<BoundRow>, CertifyError> {
        let methods = self.wanted([MethodKind::Local, MethodKind::Lipsdp], norm);
        if methods.is_empty() {
            return Ok(Vec::new());
        }
        let regions = choice.regions(self.inputs, self.network.inputs(), self.options.boxes_around)?;
        let mut lowers =
            regions.iter().map(|region| self.lower(norm, Some(region))).collect::<Result<Vec<f64>, _>>()?;
        let name = match choice {
            BoxChoice::Data | BoxChoice::Given(_) => choice.to_string(),
            BoxChoice::Around { .. } => format!("{choice} ×{}", regions.len()),
        };
        let mut rows = Vec::new();
        for method in methods {
            let (mut boxes, mut seconds) = (Vec::new(), 0.0);
            for (region, lower) in regions.iter().zip(&mut lowers) {
                let search = match method {
                    MethodKind::Local => BoundMethod::local(region),
                    _ => BoundMethod::LipsdpOn(region),
                };
                let (found, took) = self.timed(norm, search)?;
                seconds += took;
                let bound = Bound { upper: found.upper.min(everywhere), ..found };
                // What the search met counts as well.
                *lower = lower.max(bound.lower);
                boxes.push(BoxBound { region: region.clone(), lower: *lower, bound });
            }
            let upper = boxes.iter().map(|one| one.bound.upper).fold(0.0, f64::max);
            let ended = boxes.iter().map(|one| one.bound.ended).max().unwrap_or(Ended::Finished);
            let lower = boxes.iter().map(|one| one.lower).fold(0.0, f64::max);
            let bound = Bound { upper, lower, ended };
            rows.push(BoundRow { norm, region: name.clone(), method, lower, bound, seconds, boxes });
        }
        Ok(rows)
    }

    /// A bound and its seconds.
    fn timed(&self, norm: Norm, method: BoundMethod<'_>) -> Result<(Bound, f64), CertifyError> {
        let start = Instant::now();
        let bound = upper_bound(self.network, norm, method, self.share())?;
        Ok((bound, start.elapsed().as_secs_f64()))
    }

    /// The next search's share of the time that is left.
    fn share(&self) -> Duration {
        let left = self.left.get().max(1);
        self.left.set(left - 1);
        self.deadline.saturating_duration_since(Instant::now()).div_f64(left as f64)
    }

    fn lower(&self, norm: Norm, region: Option<&Region>) -> Result<f64, CertifyError> {
        let within = |region: &Region| -> Vec<f64> {
            let rows = self.inputs.chunks_exact(self.network.inputs());
            rows.filter(|input| region.contains(input)).flatten().copied().collect()
        };
        let points = region.map_or_else(|| self.inputs.to_vec(), within);
        let mut rng = Streams::new(self.options.seed).rng("certify");
        let options = LowerOptions { region, points: &points, time_limit: Some(self.share()) };
        Ok(lower_bound(self.network, norm, &options, &mut rng)?.lower)
    }
}
