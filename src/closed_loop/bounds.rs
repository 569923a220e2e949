//! The constants and the bounds that follow from them. On a linear system the region is the tube
//! around the expert's loops, grown until it holds the bound on itself; on a nonlinear one it is
//! the basin, which must not be left.

use liprl_control::bounds::{
    Constant, Costs, Stability, coverage_within, disturbed_error, learning_error, linear_regret, supremum_within,
};
use liprl_control::{contraction, spectral_norm};
use liprl_numerics::neighbours::{Tree, distance};

use super::policy::LoopPolicy;
use super::region::LoopRegion;
use super::system::{LoopOptions, Starts, System};

/// Cells of the region in the search for e and δ.
const CELLS: usize = 100_000;
const TOLERANCE: f64 = 0.03;
/// Attempts to grow the region.
const GROWTHS: u32 = 10;

/// B1 from the demonstrated states.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataBound {
    /// ê.
    pub(super) residual: f64,
    /// δ.
    pub(super) coverage: Constant,
    /// ê + (α + ℓ*)δ.
    pub(super) error: Constant,
    /// Demonstrated states in the region's box.
    pub(super) count: usize,
}

/// The bounds for one size of measurement errors.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) starts: Starts,
    pub(super) low: Vec<f64>,
    pub(super) high: Vec<f64>,
    /// α over the region and its measurements.
    pub(super) alpha: Constant,
    pub(super) data: Option<DataBound>,
    /// e over the region, by covering it.
    pub(super) error: Constant,
    /// The largest error observed there.
    pub(super) error_observed: f64,
    /// The smaller of both bounds on e, plus αε.
    pub(super) disturbed: Constant,
    pub(super) stability: Stability,
    pub(super) tube: Constant,
    pub(super) around_learned: Constant,
    pub(super) regret: Constant,
    /// κ L_u/(1 − ρ) of a linear loop, to compare G with.
    pub(super) by_rate: Option<f64>,
}

/// The numbers by which A5 failed in the last region that was tried, so that nothing is proven.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(super) struct Unproven {
    /// e there.
    pub(super) error: f64,
    /// e + αε.
    pub(super) disturbed: f64,
    /// On a linear system, the region's radius around the expert's loops.
    pub(super) radius: Option<f64>,
    /// The tube that the error makes, which is wider than the region.
    pub(super) tube: f64,
    /// The largest error that keeps loops in the basin.
    pub(super) allowed: Option<f64>,
}

/// Finds the bounds at this ε for the most starts for which there are any, or the reason why there
/// are none.
pub(super) fn find(
    system: &System,
    policy: &mut LoopPolicy,
    everywhere: Constant,
    epsilon: f64,
    options: LoopOptions,
) -> anyhow::Result<Result<Bounds, Unproven>> {
    let mut found = None;
    for starts in system.starts() {
        let bounds = find_for(system, policy, everywhere, epsilon, options, starts)?;
        if bounds.is_ok() {
            return Ok(bounds);
        }
        found = Some(bounds);
    }
    found.ok_or_else(|| anyhow::anyhow!("no starts to bound the loop for"))
}

/// Those for these starts.
fn find_for(
    system: &System,
    policy: &mut LoopPolicy,
    everywhere: Constant,
    epsilon: f64,
    options: LoopOptions,
    starts: Starts,
) -> anyhow::Result<Result<Bounds, Unproven>> {
    let (stability, by_rate) = stability(system, options.horizon)?;
    let (states, hull) = (system.states(), system.hull(starts));
    let largest_start = system.largest_start(starts);
    let tree = Tree::new(&states, system.model.state_dim());
    let (mut grown, share) = (0.0, options.time_limit / GROWTHS);
    let mut growths = 0;
    loop {
        let region = match &system.basin {
            Some(basin) => LoopRegion::basin(basin),
            None if starts == Starts::Box => LoopRegion::level(&system.lqr, largest_start, (&hull.0, &hull.1), grown)?,
            None => LoopRegion::tube(&tree, (&hull.0, &hull.1), grown),
        };
        let (low, high) = (&region.low[..], &region.high[..]);
        let direct = system.model.observation_dim() == system.model.state_dim();
        let wider = |ends: &[f64], sign: f64| ends.iter().map(|x| x + sign * epsilon).collect::<Vec<f64>>();
        let value = match direct {
            true => policy.constant_over(&wider(low, -1.0), &wider(high, 1.0), everywhere.value, share)?,
            false => everywhere.value,
        };
        let alpha = Constant::from(value, &[everywhere]);
        let (error, error_observed) = error(system, policy, alpha, &region)?;
        let data = data_bound(system, policy, alpha, &region)?;
        let least = match &data {
            Some(data) if data.error.value < error.value => data.error,
            _ => error,
        };
        let disturbed = disturbed_error(least, alpha, epsilon)?;
        let tube = stability.tube(disturbed)?;
        let fits = match &system.basin {
            Some(basin) => basin.holds(0.5 * basin.radius, disturbed.value),
            None => tube.value <= grown,
        };
        if fits {
            let regret = regret(system, &stability, (disturbed, tube), (low, high), options.horizon, starts)?;
            let around_learned = stability.tube_around_learned(least, disturbed)?;
            return Ok(Ok(Bounds {
                starts,
                low: low.to_vec(),
                high: high.to_vec(),
                alpha,
                data,
                error,
                error_observed,
                disturbed,
                stability,
                tube,
                around_learned,
                regret,
                by_rate,
            }));
        }
        let allowed = system.basin.as_ref().map(|basin| basin.allows(0.5 * basin.radius));
        if allowed.is_some() || growths == GROWTHS || !tube.value.is_finite() {
            let (error, disturbed, tube) = (least.value, disturbed.value, tube.value);
            let radius = allowed.is_none().then_some(grown);
            return Ok(Err(Unproven { error, disturbed, radius, tube, allowed }));
        }
        (grown, growths) = (1.1 * tube.value, growths + 1);
    }
}

fn stability(system: &System, horizon: u32) -> anyhow::Result<(Stability, Option<f64>)> {
    let lqr = &system.lqr;
    if let Some(basin) = &system.basin {
        return Ok((basin.stability()?, None));
    }
    let closed = lqr.optimal.closed_loop.as_ref();
    let exact = Stability::linear(closed, lqr.b.as_ref(), horizon as usize)?;
    let input = spectral_norm(lqr.b.as_ref()).map_err(liprl_control::ControlError::from)?;
    // A loop that does not contract in this norm has no such rate.
    let by_rate = contraction(closed, lqr.optimal.cost.as_ref()).ok().map(|found| found.sum() * input);
    Ok((exact, by_rate))
}

/// e over the region, by covering it, and the largest error observed.
fn error(
    system: &System,
    policy: &mut LoopPolicy,
    alpha: Constant,
    region: &LoopRegion<'_>,
) -> anyhow::Result<(Constant, f64)> {
    let mut failed = None;
    let mut action_error = ActionError::new(system);
    let f = |x: &[f64]| {
        action_error.at(system, policy, x).unwrap_or_else(|error| {
            failed = Some(error);
            f64::INFINITY
        })
    };
    let (constant, misses) = (alpha.value + system.expert_constant, |x: &[f64], radius| region.misses(x, radius));
    let found = supremum_within(f, constant, misses, &region.low, &region.high, TOLERANCE, CELLS)?;
    if let Some(error) = failed {
        return Err(error);
    }
    Ok((Constant::from(found.upper + policy.rounding(), &[alpha]), found.lower))
}

fn data_bound(
    system: &System,
    policy: &mut LoopPolicy,
    alpha: Constant,
    region: &LoopRegion<'_>,
) -> anyhow::Result<Option<DataBound>> {
    let (low, high) = (&region.low[..], &region.high[..]);
    let (Ok(samples), n) = (&system.samples, low.len()) else { return Ok(None) };
    let inside = |x: &&[f64]| x.iter().zip(low).zip(high).all(|((x, low), high)| low <= x && x <= high);
    let inside: Vec<f64> = samples.chunks_exact(n).filter(inside).flatten().copied().collect();
    if inside.is_empty() {
        return Ok(None);
    }
    let (mut residual, mut action_error) = (policy.rounding(), ActionError::new(system));
    for x in inside.chunks_exact(n) {
        residual = residual.max(action_error.at(system, policy, x)? + policy.rounding());
    }
    let misses = |x: &[f64], radius| region.misses(x, radius);
    let coverage = coverage_within(&inside, misses, low, high, TOLERANCE, CELLS)?.constant();
    let certified = Constant::certified;
    let error = learning_error(certified(residual), alpha, certified(system.expert_constant), coverage)?;
    Ok(Some(DataBound { residual, coverage, error, count: inside.len() / n }))
}

/// ‖π(x) − π*(x)‖ at states.
pub(super) struct ActionError {
    obs: Vec<f64>,
    u: Vec<f64>,
    expert: Vec<f64>,
}

impl ActionError {
    pub(super) fn new(system: &System) -> Self {
        let m = system.model.input_dim();
        Self { obs: vec![0.0; system.model.observation_dim()], u: vec![0.0; m], expert: vec![0.0; m] }
    }

    pub(super) fn at(&mut self, system: &System, policy: &mut LoopPolicy, x: &[f64]) -> anyhow::Result<f64> {
        system.model.observe(x, &mut self.obs);
        policy.act(&self.obs, &mut self.u)?;
        system.expert_input(x, &mut self.expert);
        Ok(distance(&self.u, &self.expert))
    }
}

/// B3, with the cost's Lipschitz constants on the region. On a linear system, whose only starts are
/// those of the expert's loops, the smaller of that with the constants on their tubes and of the
/// regret identity.
fn regret(
    system: &System,
    stability: &Stability,
    (disturbed, tube): (Constant, Constant),
    (low, high): (&[f64], &[f64]),
    horizon: u32,
    starts: Starts,
) -> anyhow::Result<Constant> {
    let mut states = low.iter().zip(high).map(|(low, high)| low.abs().max(high.abs()).powi(2)).sum::<f64>().sqrt();
    let mut inputs = system.expert_constant * states;
    if system.basin.is_none() {
        let (state, input) = system.largest_norms(starts);
        states = states.min(state + tube.value);
        inputs = inputs.min(input + system.expert_constant * tube.value);
    }
    let inputs = inputs + disturbed.value;
    let parts = [disturbed, tube];
    let costs = Costs::quadratic(&system.lqr, Constant::from(states, &parts), Constant::from(inputs, &parts))?;
    let by_constants = stability.regret(disturbed, costs, 1.0, u64::from(horizon))?;
    if system.basin.is_some() {
        return Ok(by_constants);
    }
    let by_identity = linear_regret(&system.lqr, disturbed, system.largest_final_cost(starts), u64::from(horizon))?;
    Ok(if by_identity.value < by_constants.value { by_identity } else { by_constants })
}
