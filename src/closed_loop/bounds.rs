//! The constants and the bounds that they make. On a linear system the region is the tube around the expert's loops, grown until it holds the bound on
//! itself; on a nonlinear one the basin, which must not be left.

use liprl_control::{
    bounds::{
        Constant, Costs, Stability, coverage_within, disturbed_error, learning_error, linear_regret, supremum_within,
    },
    contraction, spectral_norm,
};
use liprl_numerics::neighbours::{Tree, distance};

use super::{Asked, acting::Acting, region::Region, setting::Setting};

/// Cells of the region that e and δ are looked for in.
const CELLS: usize = 100_000;
const TOLERANCE: f64 = 0.03;
/// How often the region is grown before it is given up.
const GROWTHS: u32 = 10;

/// B1 from the demonstrated states.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learnt {
    /// ê.
    pub(super) residual: f64,
    /// δ.
    pub(super) coverage: Constant,
    /// ê + (α + ℓ*)δ.
    pub(super) error: Constant,
    /// Those of the demonstrated states that lie in the region's box.
    pub(super) count: usize,
}

/// What holds for one size of measurement errors.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) low: Vec<f64>,
    pub(super) high: Vec<f64>,
    /// α over the region and the measurements of it.
    pub(super) alpha: Constant,
    pub(super) learnt: Option<Learnt>,
    /// e over the region, by covering it; and the largest error met there.
    pub(super) error: Constant,
    pub(super) error_met: f64,
    /// The smaller of both, plus αε.
    pub(super) disturbed: Constant,
    pub(super) stability: Stability,
    pub(super) tube: Constant,
    pub(super) around_learned: Constant,
    pub(super) regret: Constant,
    /// κ L_u/(1 − ρ) of a linear loop, to compare G with.
    pub(super) by_rate: Option<f64>,
}

/// Why nothing is proven: A5 failed in the last region that was tried.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(super) struct Short {
    /// e there, and e + αε.
    pub(super) error: f64,
    pub(super) disturbed: f64,
    /// Of a linear system: the region's radius around the expert's loops, and the tube that the error makes, which is wider.
    pub(super) radius: Option<f64>,
    pub(super) tube: f64,
    /// Of a basin: the largest error that keeps loops in it.
    pub(super) allowed: Option<f64>,
}

/// The bounds at this ε, or why there are none.
pub(super) fn find(
    setting: &Setting,
    acting: &mut Acting,
    everywhere: Constant,
    epsilon: f64,
    asked: Asked,
) -> anyhow::Result<Result<Bounds, Short>> {
    let (stability, by_rate) = stability(setting, asked.horizon)?;
    let (states, hull) = (setting.states(), setting.hull());
    let tree = Tree::new(&states, setting.model.state_dim());
    let (mut grown, share) = (0.0, asked.time_limit / GROWTHS);
    let mut growths = 0;
    loop {
        let region = match &setting.basin {
            Some(basin) => Region::basin(basin),
            None => Region::tube(&tree, (&hull.0, &hull.1), grown),
        };
        let (low, high) = (&region.low[..], &region.high[..]);
        let direct = setting.model.observation_dim() == setting.model.state_dim();
        let wider = |ends: &[f64], sign: f64| ends.iter().map(|x| x + sign * epsilon).collect::<Vec<f64>>();
        let slope = match direct {
            true => acting.over(&wider(low, -1.0), &wider(high, 1.0), everywhere.value, share)?,
            false => everywhere.value,
        };
        let alpha = Constant::from(slope, &[everywhere]);
        let (error, error_met) = error(setting, acting, alpha, &region)?;
        let learnt = learnt(setting, acting, alpha, &region)?;
        let least = match &learnt {
            Some(learnt) if learnt.error.value < error.value => learnt.error,
            _ => error,
        };
        let disturbed = disturbed_error(least, alpha, epsilon)?;
        let tube = stability.tube(disturbed)?;
        let fits = match &setting.basin {
            Some(basin) => basin.holds(0.5 * basin.radius, disturbed.value),
            None => tube.value <= grown,
        };
        if fits {
            let regret = regret(setting, &stability, disturbed, tube, (low, high), asked.horizon)?;
            let around_learned = stability.tube_around_learned(least, disturbed)?;
            return Ok(Ok(Bounds {
                low: low.to_vec(),
                high: high.to_vec(),
                alpha,
                learnt,
                error,
                error_met,
                disturbed,
                stability,
                tube,
                around_learned,
                regret,
                by_rate,
            }));
        }
        let allowed = setting.basin.as_ref().map(|basin| basin.allows(0.5 * basin.radius));
        if allowed.is_some() || growths == GROWTHS || !tube.value.is_finite() {
            let (error, disturbed, tube) = (least.value, disturbed.value, tube.value);
            let radius = allowed.is_none().then_some(grown);
            return Ok(Err(Short { error, disturbed, radius, tube, allowed }));
        }
        (grown, growths) = (1.1 * tube.value, growths + 1);
    }
}

fn stability(setting: &Setting, horizon: u32) -> anyhow::Result<(Stability, Option<f64>)> {
    let lqr = &setting.lqr;
    if let Some(basin) = &setting.basin {
        return Ok((basin.stability()?, None));
    }
    let closed = lqr.optimal.closed_loop.as_ref();
    let exact = Stability::linear(closed, lqr.b.as_ref(), horizon as usize)?;
    let input = spectral_norm(lqr.b.as_ref()).map_err(liprl_control::ControlError::from)?;
    // Where it does not contract in this norm there is nothing to compare with.
    let by_rate = contraction(closed, lqr.optimal.cost.as_ref()).ok().map(|found| found.sum() * input);
    Ok((exact, by_rate))
}

/// e over the region, by covering it, and the largest error met.
fn error(
    setting: &Setting,
    acting: &mut Acting,
    alpha: Constant,
    region: &Region<'_>,
) -> anyhow::Result<(Constant, f64)> {
    let mut failed = None;
    let mut off = Off::new(setting);
    let f = |x: &[f64]| {
        off.at(setting, acting, x).unwrap_or_else(|error| {
            failed = Some(error);
            f64::INFINITY
        })
    };
    let (slope, misses) = (alpha.value + setting.expert, |x: &[f64], radius| region.misses(x, radius));
    let found = supremum_within(f, slope, misses, &region.low, &region.high, TOLERANCE, CELLS)?;
    if let Some(error) = failed {
        return Err(error);
    }
    Ok((Constant::from(found.upper + acting.rounding(), &[alpha]), found.lower))
}

fn learnt(
    setting: &Setting,
    acting: &mut Acting,
    alpha: Constant,
    region: &Region<'_>,
) -> anyhow::Result<Option<Learnt>> {
    let (low, high) = (&region.low[..], &region.high[..]);
    let (Ok(samples), n) = (&setting.samples, low.len()) else { return Ok(None) };
    let inside = |x: &&[f64]| x.iter().zip(low).zip(high).all(|((x, low), high)| low <= x && x <= high);
    let inside: Vec<f64> = samples.chunks_exact(n).filter(inside).flatten().copied().collect();
    if inside.is_empty() {
        return Ok(None);
    }
    let (mut residual, mut off) = (acting.rounding(), Off::new(setting));
    for x in inside.chunks_exact(n) {
        residual = residual.max(off.at(setting, acting, x)? + acting.rounding());
    }
    let misses = |x: &[f64], radius| region.misses(x, radius);
    let coverage = coverage_within(&inside, misses, low, high, TOLERANCE, CELLS)?.constant();
    let sure = Constant::certified;
    let error = learning_error(sure(residual), alpha, sure(setting.expert), coverage)?;
    Ok(Some(Learnt { residual, coverage, error, count: inside.len() / n }))
}

/// ‖π(x) − π*(x)‖ at states.
pub(super) struct Off {
    obs: Vec<f64>,
    u: Vec<f64>,
    best: Vec<f64>,
}

impl Off {
    pub(super) fn new(setting: &Setting) -> Self {
        let m = setting.model.input_dim();
        Self { obs: vec![0.0; setting.model.observation_dim()], u: vec![0.0; m], best: vec![0.0; m] }
    }

    pub(super) fn at(&mut self, setting: &Setting, acting: &mut Acting, x: &[f64]) -> anyhow::Result<f64> {
        setting.model.observe(x, &mut self.obs);
        acting.act(&self.obs, &mut self.u)?;
        setting.best(x, &mut self.best);
        Ok(distance(&self.u, &self.best))
    }
}

/// B3, with the cost's slopes on the region; on a linear system, where the expert's loops are all there are, the smaller of that with the slopes on their
/// tubes and of what the regret identity says.
fn regret(
    setting: &Setting,
    stability: &Stability,
    disturbed: Constant,
    tube: Constant,
    (low, high): (&[f64], &[f64]),
    horizon: u32,
) -> anyhow::Result<Constant> {
    let mut states = low.iter().zip(high).map(|(low, high)| low.abs().max(high.abs()).powi(2)).sum::<f64>().sqrt();
    let mut inputs = setting.expert * states;
    if setting.basin.is_none() {
        let (farthest, strongest) = setting.farthest();
        states = states.min(farthest + tube.value);
        inputs = inputs.min(strongest + setting.expert * tube.value);
    }
    let inputs = inputs + disturbed.value;
    let parts = [disturbed, tube];
    let costs = Costs::quadratic(&setting.lqr, Constant::from(states, &parts), Constant::from(inputs, &parts))?;
    let by_slopes = stability.regret(disturbed, costs, 1.0, u64::from(horizon))?;
    if setting.basin.is_some() {
        return Ok(by_slopes);
    }
    let by_identity = linear_regret(&setting.lqr, disturbed, setting.left(), u64::from(horizon))?;
    Ok(if by_identity.value < by_slopes.value { by_identity } else { by_slopes })
}
