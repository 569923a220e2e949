//! LipSDP, one multiplier per neuron (Fazlyab et al. 2019, arXiv 1906.04893), in the Euclidean
//! norm: everywhere, and over a box with each neuron's range of slopes there.
//!
//! `elimination` has the bound of given multipliers, `joint` that of max_min and of densely connected
//! networks; here they are chosen. The start is always feasible and gives at most the product of
//! norms, for densely connected networks some larger bound. From there L-BFGS lowers the smoothed bound
//! over their logarithms, while the smoothing is removed in stages. A factorisation of the whole
//! matrix inequality then proves the best multipliers found. Stopping early costs tightness, never
//! validity. There are no multipliers for pairs of neurons: the constraint behind them does not
//! hold in general (Pauli et al. 2021, arXiv 2005.02929).

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use super::{
    algebra::scale_rows,
    bound::{MARGIN, Norm},
    elimination::{Inequality, Problem},
    error::CertifyError,
    joint::Joint,
    lbfgs::{Iterate, Limits, Outcome, Trial, minimise},
    local::{SlopeRanges, slopes_on},
    network::Network,
    product::product_within,
    reduce::{Reduced, feasible_multiplier, normalised},
    region::Region,
    slopes::sector,
};
use faer::Mat;

/// Smoothing parameter of the first stage, relative to the bound; each stage has `SHARPER` times
/// the parameter of the one before.
const FIRST_STAGE: f64 = 20.0;
const SHARPER: f64 = 4.0;
const STAGES: u32 = 7;

/// Iterations of one stage, and its least relative progress.
const LIMITS: Limits = Limits { iterations: 100, tolerance: 1e-9 };

/// Inflations of ρ tried until the factorisation succeeds, each `SHARPER` times the one before.
const FIRST_INFLATION: f64 = 1e-9;
const INFLATIONS: u32 = 20;

/// If that takes more than `CHEAP`, multipliers these shares of the way back to the start are tried
/// too.
const CHEAP: f64 = 1e-5;
const BACK: [f64; 4] = [0.01, 0.1, 0.5, 1.0];

/// Equal multipliers, as powers of `SHARPER`, that are tried as the start for layers that see more
/// than the layer before: constructions prove their constant with such.
const EQUAL: [f64; 9] = [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0];

/// Relative decrease of ρ that counts as progress; two stages in a row without progress end the
/// search.
const IDLE: f64 = 1e-9;

/// Limits of the search for multipliers.
#[derive(Clone, Copy, Debug)]
pub struct SdpOptions {
    /// Time after which the search stops; `None` for no limit.
    pub time_limit: Option<Duration>,
    /// Most multipliers tried.
    pub evaluations: usize,
}

impl Default for SdpOptions {
    fn default() -> Self {
        Self { time_limit: None, evaluations: usize::MAX }
    }
}

/// A LipSDP bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SdpBound {
    /// The Lipschitz constant is at most this.
    pub upper: f64,
    /// False if a limit ended the search.
    pub finished: bool,
    /// Multipliers tried.
    pub evaluations: usize,
}

/// An upper bound on the network's ℓ2 constant everywhere, at most [`product`]'s. It is that one if
/// the time ends before anything better is proven.
///
/// # Errors
/// [`CertifyError::NotConverged`] if a decomposition fails or none of the multipliers found can be
/// proven.
pub fn lipsdp(network: &Network, options: &SdpOptions) -> Result<SdpBound, CertifyError> {
    let hidden = &network.weights()[..network.weights().len() - 1];
    let search = Search::begin(options);
    let product = product_within(network, Norm::L2, options.time_limit)?.upper;
    let bound = match network.is_joint() {
        true => search.solve_joint(network, &network.sectors(), &network.last_weight())?,
        false => {
            let (norms, _) = network.spectral_norms_within(options.time_limit)?;
            search.solve(hidden, network.sectors(), sector(network.unit()), network.last_weight(), Some(&norms))?
        }
    };
    Ok(SdpBound::at_most(product, bound))
}

/// An upper bound on the network's ℓ2 constant over a box, at most [`product`]'s, as [`lipsdp`]'s.
///
/// # Errors
/// As [`lipsdp`]; [`CertifyError::BadRegion`] for a box of another dimension.
pub fn lipsdp_on(network: &Network, region: &Region, options: &SdpOptions) -> Result<SdpBound, CertifyError> {
    let search = Search::begin(options);
    let product = product_within(network, Norm::L2, options.time_limit)?.upper;
    if search.late() {
        return Ok(SdpBound::at_most(product, None));
    }
    let Some(slopes) = slopes_on(network, region, &[])? else {
        return Ok(SdpBound { upper: 0.0, finished: true, evaluations: 0 });
    };
    // `lipsdp` also bounds the constant over the box, at the cost of another solution; the product
    // costs little.
    Ok(SdpBound::at_most(product, search.with_slopes(network, &slopes)?))
}

/// LipSDP's bound with these slopes, if anything is proven within the limits.
pub(super) fn lipsdp_with(
    network: &Network,
    slopes: &SlopeRanges<'_>,
    options: &SdpOptions,
) -> Result<Option<f64>, CertifyError> {
    Ok(Search::begin(options).with_slopes(network, slopes)?.map(|found| found.upper))
}

impl SdpBound {
    /// The smaller of the product of norms and what was found, if anything was proven in time.
    fn at_most(product: f64, found: Option<Self>) -> Self {
        match found {
            Some(found) => Self { upper: found.upper.min(product), ..found },
            None => Self { upper: product, finished: false, evaluations: 0 },
        }
    }
}

/// The limits of a search that has begun.
struct Search {
    deadline: Option<Instant>,
    evaluations: usize,
}

impl Search {
    fn begin(options: &SdpOptions) -> Self {
        let deadline = options.time_limit.map(|limit| Instant::now() + limit);
        Self { deadline, evaluations: options.evaluations }
    }

    fn late(&self) -> bool {
        self.is_late_by(Duration::ZERO)
    }

    /// True if less time is left than this.
    fn is_late_by(&self, needed: Duration) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() + needed >= deadline)
    }

    /// The bound with these slopes.
    fn with_slopes(&self, network: &Network, slopes: &SlopeRanges<'_>) -> Result<Option<SdpBound>, CertifyError> {
        let steepest: Vec<f64> = slopes.head.iter().map(|(least, most)| least.abs().max(most.abs())).collect();
        let last = network.weights().last().map(|last| scale_rows(last.as_ref(), &steepest));
        let weights = &network.weights()[..slopes.hidden.len()];
        let last = last.unwrap_or_else(|| Mat::zeros(0, 0));
        if network.is_joint() {
            return self.solve_joint(network, &slopes.hidden, &last);
        }
        self.solve(weights, slopes.hidden.clone(), sector(network.unit()), last, None)
    }

    /// The bound for a network whose layers see more than the layer before.
    fn solve_joint(
        &self,
        network: &Network,
        slopes: &[Vec<(f64, f64)>],
        last: &Mat<f64>,
    ) -> Result<Option<SdpBound>, CertifyError> {
        if self.late() {
            return Ok(None);
        }
        let hidden = &network.weights()[..network.weights().len() - 1];
        let mut problem = Joint::new(hidden, network.carried(), slopes, sector(network.unit()), last);
        if problem.is_linear() {
            let upper = problem.norm()? * MARGIN;
            return Ok(Some(SdpBound { upper, finished: true, evaluations: 0 }));
        }
        let mut starts = vec![problem.greedy()?];
        match network.is_max_min() {
            true => starts.push(Some(problem.by_layer(&product_multipliers(network, self.deadline)?))),
            false => starts.extend(EQUAL.map(|power| Some(vec![power * SHARPER.ln(); problem.len()]))),
        }
        let mut start: Option<(f64, Vec<f64>)> = None;
        let mut evaluations = 0;
        let mut consider = |x: Vec<f64>| -> Result<(), CertifyError> {
            evaluations += 1;
            if let Some(value) = problem.value(&x, 1.0)?
                && start.as_ref().is_none_or(|(rho, _)| value.rho < *rho)
            {
                start = Some((value.rho, x));
            }
            Ok(())
        };
        for x in starts.into_iter().flatten() {
            if !self.late() {
                consider(x)?;
            }
        }
        let Some((rho, mut x)) = start.filter(|(rho, _)| rho.is_finite()) else { return Ok(None) };
        // To a bound near 1 on the start.
        let power = (0.5 * rho.max(f64::MIN_POSITIVE).log2()).round();
        problem.divide(power.exp2());
        x.iter_mut().for_each(|x| *x -= 2.0 * power * std::f64::consts::LN_2);
        let found = self.lowest(&problem, x, power.exp2())?;
        Ok(found.map(|found| SdpBound { evaluations: found.evaluations + evaluations, ..found }))
    }

    /// The bound of the best multipliers that are proven; `None` if the time ends before any are.
    fn solve(
        &self,
        hidden: &[Mat<f64>],
        sectors: Vec<Vec<(f64, f64)>>,
        widest: (f64, f64),
        last: Mat<f64>,
        norms: Option<&[f64]>,
    ) -> Result<Option<SdpBound>, CertifyError> {
        if self.late() {
            return Ok(None);
        }
        let (problem, scale) = match normalised(hidden, sectors, widest, last, norms)? {
            Reduced::Constant(norm) => {
                return Ok(Some(SdpBound { upper: norm * MARGIN, finished: true, evaluations: 0 }));
            }
            Reduced::Problem(problem, scale) => (problem, scale),
        };
        let start = feasible(&problem);
        self.lowest(&problem, start, scale)
    }

    /// `scale` times the bound of the best multipliers found from `start` on that are proven; `None`
    /// if the time ends before any are.
    fn lowest(&self, problem: &impl Inequality, start: Vec<f64>, scale: f64) -> Result<Option<SdpBound>, CertifyError> {
        let evaluations = Cell::new(0);
        let mut best: Option<(f64, Vec<f64>)> = None;
        let evaluate = |x: &[f64], nu: f64, best: &mut Option<(f64, Vec<f64>)>| {
            evaluations.set(evaluations.get() + 1);
            let value = problem.value(x, nu)?;
            if let Some(value) = &value
                && best.as_ref().is_none_or(|(rho, _)| value.rho < *rho)
            {
                *best = Some((value.rho, x.to_vec()));
            }
            Ok::<_, CertifyError>(value)
        };
        if self.late() {
            return Ok(None);
        }
        let began = Instant::now();
        evaluate(&start, 1.0, &mut best)?;
        // A proof takes about as long as an evaluation, and an evaluation is not interrupted.
        let reserve = 2 * began.elapsed();
        if self.is_late_by(reserve) {
            return Ok(None);
        }
        let mut finished = true;
        let mut idle = 0;
        for stage in 0..STAGES {
            let Some((rho, x)) = best.clone().filter(|(rho, _)| *rho > 0.0) else { break };
            let nu = FIRST_STAGE * SHARPER.powi(stage as i32) / rho;
            let Some(value) = evaluate(&x, nu, &mut best)? else { break };
            let from = Iterate { x, value: value.smooth, gradient: value.gradient };
            let (_, end) = minimise(from, LIMITS, |x| {
                if evaluations.get() >= self.evaluations || self.is_late_by(reserve) {
                    return Ok(Trial::Stop);
                }
                let value = evaluate(x, nu, &mut best)?;
                Ok::<_, CertifyError>(value.map_or(Trial::Outside, |value| Trial::Inside(value.smooth, value.gradient)))
            })?;
            if end == Outcome::Stopped {
                finished = false;
                break;
            }
            let lowered = best.as_ref().is_some_and(|(lower, _)| *lower < rho * (1.0 - IDLE));
            idle = if lowered { 0 } else { idle + 1 };
            if idle == 2 {
                break;
            }
        }
        let (rho, x) = best.ok_or(CertifyError::NotConverged { what: "LipSDP's start" })?;
        let mut proven = self.proven(problem, &x, rho);
        if proven.is_none_or(|proven| proven > rho * (1.0 + CHEAP)) {
            for share in BACK {
                if self.late() {
                    finished = false;
                    break;
                }
                let x: Vec<f64> = x.iter().zip(&start).map(|(x, start)| x + share * (start - x)).collect();
                if let Some(value) = problem.value(&x, 1.0)? {
                    let other = self.proven(problem, &x, value.rho);
                    proven = proven.into_iter().chain(other).reduce(f64::min);
                }
            }
        }
        match proven {
            Some(proven) => {
                let upper = scale * proven.sqrt() * MARGIN;
                Ok(Some(SdpBound { upper, finished, evaluations: evaluations.get() }))
            }
            None if self.late() => Ok(None),
            None => Err(CertifyError::NotConverged { what: "LipSDP (no multipliers found could be proven)" }),
        }
    }

    /// The smallest inflated ρ that a factorisation proves, of those tried in time: at least one.
    fn proven(&self, problem: &impl Inequality, x: &[f64], rho: f64) -> Option<f64> {
        // For a constant that is nearly 0, relative to the product of norms, only the order of
        // magnitude is found.
        let rho = rho.max(1e-20);
        let inflated = |i: u32| rho * (1.0 + FIRST_INFLATION * SHARPER.powi(i as i32));
        let in_time = (0..INFLATIONS).take_while(|&i| i == 0 || !self.late());
        in_time.map(inflated).find(|&rho| problem.proves(x, rho))
    }
}

/// A multiplier for each hidden layer of a max_min network that gives the product of norms: the
/// squared norms of the layers behind it (proof: `docs/derivations/certificates.md`).
fn product_multipliers(network: &Network, deadline: Option<Instant>) -> Result<Vec<f64>, CertifyError> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let (norms, _) = network.spectral_norms_within(left)?;
    let mut t = Vec::with_capacity(norms.len());
    let mut gain = 1.0;
    for norm in norms.iter().skip(1).rev() {
        gain *= norm * norm * (1.0 + 1e-7);
        t.insert(0, gain.max(f64::MIN_POSITIVE));
    }
    Ok(t)
}

/// Multipliers with positive definite Schur complements, as logarithms; for one sector throughout
/// they give the product of norms (proof: `docs/derivations/certificates.md`).
fn feasible(problem: &Problem) -> Vec<f64> {
    let mut log_t = Vec::new();
    // The layers behind layer k stretch squared lengths by at most `gain`; weights have norm 1.
    let mut gain = 1.0;
    for layer in problem.layers.iter().rev() {
        let mut steepest = 0f64;
        let own: Vec<f64> = layer
            .sector
            .iter()
            .map(|&(alpha, beta)| {
                let (middle, radius) = (0.5 * (alpha + beta), 0.5 * (beta - alpha));
                let (t, share) = feasible_multiplier((alpha, beta), gain);
                steepest = steepest.max((1.0 + share) * middle * middle + 2.0 * t / gain * radius * radius);
                t.ln()
            })
            .collect();
        log_t.splice(0..0, own);
        gain *= steepest;
    }
    log_t
}

#[cfg(test)]
mod tests;
