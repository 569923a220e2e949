//! The study behind `certify --method smoothing`: what noise on the observations proves of a
//! policy, beside what attacks achieve.

use std::time::Duration;

use anyhow::bail;
use liprl_control::PolicySlope;
use liprl_control::certify::{Norm, SdpOptions, lipsdp, product};
use liprl_control::smoothing::{ReturnBand, Smoothed, shift, slope};
use liprl_numerics::Streams;

use crate::load::LoadedPolicy;
use crate::perturb::{PerturbationKind, PerturbedPolicy, pgd};
use crate::rollout::{run_episode, seeds};

/// Attacked episodes for each budget, at most.
const ATTACKED: u32 = 20;
/// Draws of noise whose mean gradient an attack climbs.
const CLIMBED: usize = 16;

/// Settings of the study.
#[derive(Clone, Debug)]
pub(crate) struct SmoothingOptions {
    /// σ, in the observation's units.
    pub(crate) sigma: f64,
    /// Draws for each action that is bounded.
    pub(crate) samples: usize,
    /// Lengths of an observation's error, ascending.
    pub(crate) sizes: Vec<f64>,
    /// Lengths of an attack on a whole episode, ascending.
    pub(crate) budgets: Vec<f64>,
    /// Visited states at which actions are bounded.
    pub(crate) states: usize,
    /// Episodes without an attack.
    pub(crate) episodes: u32,
    /// No episode returns less; `None` if that is not known.
    pub(crate) least: Option<f64>,
    /// Probability that all of it holds.
    pub(crate) confidence: f64,
    pub(crate) seed: u64,
    /// Time for the policy's Lipschitz constant.
    pub(crate) time_limit: Duration,
}

/// One length of an observation's error. Actions are in [-1, 1], distances Euclidean.
pub(crate) struct ActionRow {
    pub(crate) size: f64,
    /// Proven of the smoothed policy, everywhere.
    pub(crate) everywhere: f64,
    /// Proven at the visited states: the largest, of the smoothed policy and of means of draws.
    pub(crate) smoothed: f64,
    pub(crate) estimated: f64,
    /// Largest change of such means that an attack achieved there.
    pub(crate) met: f64,
}

/// One length of an attack on an episode.
pub(crate) struct ReturnRow {
    pub(crate) budget: f64,
    /// Proven: half of the episodes, and nine in ten, return at least this.
    pub(crate) median: Option<f64>,
    pub(crate) tenth: Option<f64>,
    /// Proven: the expected return is at least this, if a least return is known.
    pub(crate) expected: Option<f64>,
    /// The attacked episodes' returns, ascending.
    pub(crate) attacked: Vec<f64>,
}

/// The results.
pub(crate) struct SmoothingStudy {
    pub(crate) options: SmoothingOptions,
    /// Proven constant of the policy without noise, to actions in [-1, 1]; `None` for a table.
    pub(crate) lipschitz: Option<f64>,
    /// Proven constant of one coordinate of the smoothed policy.
    pub(crate) slope: f64,
    pub(crate) actions: Vec<ActionRow>,
    pub(crate) band: ReturnBand,
    pub(crate) returns: Vec<ReturnRow>,
}

impl SmoothingStudy {
    /// Runs the episodes and the attacks.
    pub(crate) fn new(loaded: &mut LoadedPolicy, options: SmoothingOptions) -> anyhow::Result<Self> {
        let policy = &loaded.policy;
        let lipschitz = match policy.network() {
            Some(_) => {
                let network = policy.to_certify(vec![1.0; policy.act_dim()])?;
                let limit = SdpOptions { time_limit: Some(options.time_limit), ..SdpOptions::default() };
                Some(lipsdp(&network, &limit)?.upper.min(product(&network, Norm::L2)?))
            }
            None => None,
        };
        let (returns, visited, longest) = episodes(loaded, &options)?;
        // Actions and returns have half of the failures each.
        let failure = (1.0 - options.confidence) / 2.0;
        let band = ReturnBand::new(returns, options.sigma, failure);
        let actions = actions(loaded, &options, lipschitz, &visited, failure)?;
        let returns = options.budgets.iter().map(|&budget| {
            Ok(ReturnRow {
                budget,
                median: band.reached(0.5, budget),
                tenth: band.reached(0.9, budget),
                expected: options.least.map(|least| band.expected(least, budget)),
                attacked: attacked(loaded, &options, budget, longest)?,
            })
        });
        let returns = returns.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { slope: slope(options.sigma, lipschitz), lipschitz, actions, returns, band, options })
    }

    /// Compares what attacks achieved with what is proven.
    ///
    /// # Errors
    /// If an attack broke a bound.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if let Some(row) = self.actions.iter().find(|row| row.met > row.estimated) {
            bail!("an error of {} moved an action by {}, and at most {} is proven", row.size, row.met, row.estimated);
        }
        let least = self.options.least.unwrap_or(f64::NEG_INFINITY);
        if let Some(value) = self.returns.iter().flat_map(|row| &row.attacked).find(|value| **value < least) {
            bail!(
                "an episode returned {value}, less than the --least-return of {least}: the expected returns are void"
            );
        }
        for row in &self.returns {
            let n = row.attacked.len() as f64;
            // The attacked episodes are a sample too.
            let width = ((1.0 / (1.0 - self.options.confidence)).ln() / (2.0 * n)).sqrt();
            for (share, bound) in [(0.5, row.median), (0.9, row.tenth)] {
                let Some(bound) = bound else { continue };
                let reached = row.attacked.iter().filter(|value| **value >= bound).count() as f64 / n;
                if reached < share - width {
                    bail!(
                        "under a budget of {} only {reached} of the episodes reached {bound}, and {share} is proven",
                        row.budget
                    );
                }
            }
        }
        Ok(())
    }
}

/// Returns of the episodes that act on one noisy observation a step, some of the states they
/// visited, and the longest episode's steps.
fn episodes(loaded: &mut LoadedPolicy, options: &SmoothingOptions) -> anyhow::Result<(Vec<f64>, Vec<Vec<f32>>, u32)> {
    let mut policy = Smoothed::new(loaded.policy.clone(), options.sigma, 1);
    let (mut returns, mut visited, mut longest) = (Vec::new(), Vec::new(), 1);
    // States enough are there after a few episodes.
    let watched = u64::from(options.episodes.min(20));
    for (index, seed) in (0u64..).zip(seeds(options.seed, options.episodes)) {
        let episode = run_episode(&mut loaded.task, &mut policy, seed, |task, _| {
            if index < watched {
                visited.push(task.raw_obs().iter().map(|x| *x as f32).collect::<Vec<f32>>());
            }
        })?;
        returns.push(episode.total);
        longest = longest.max(episode.length);
    }
    let every = visited.len().div_ceil(options.states).max(1);
    Ok((returns, visited.into_iter().step_by(every).collect(), longest))
}

/// The bounds on actions at the visited states.
fn actions(
    loaded: &LoadedPolicy,
    options: &SmoothingOptions,
    lipschitz: Option<f64>,
    visited: &[Vec<f32>],
    failure: f64,
) -> anyhow::Result<Vec<ActionRow>> {
    let policy = &loaded.policy;
    let (sigma, draws) = (options.sigma, options.samples);
    let mut smoothed = Smoothed::new(policy.clone(), sigma, draws);
    smoothed.begin(options.seed);
    let mut attack = PolicySlope::new(policy).map(|slope| slope.with_noise(sigma, CLIMBED));
    let mut scratch = pgd::Scratch::new(policy.obs_dim(), policy.act_dim());
    let mut rng = Streams::new(options.seed).rng("smoothing/attack");
    let each = failure / (visited.len() * options.sizes.len()).max(1) as f64;
    let coordinate = slope(sigma, lipschitz) * (policy.act_dim() as f64).sqrt();
    let mut rows = Vec::new();
    for &size in &options.sizes {
        let everywhere = size * coordinate.min(lipschitz.unwrap_or(f64::INFINITY));
        let mut row = ActionRow { size, everywhere, smoothed: 0.0, estimated: 0.0, met: 0.0 };
        for obs in visited {
            let here = smoothed.estimates(obs)?;
            let bound = shift(&here, (sigma, draws), lipschitz, size, each);
            row.smoothed = row.smoothed.max(bound.smoothed);
            row.estimated = row.estimated.max(bound.estimated);
            let Some(attack) = &mut attack else { continue };
            let wide: Vec<f64> = obs.iter().map(|x| f64::from(*x)).collect();
            let mut delta = vec![0.0; wide.len()];
            pgd::worst(attack, &wide, size, &mut rng, &mut delta, &mut scratch);
            let moved: Vec<f32> = wide.iter().zip(&delta).map(|(x, d)| (x + d) as f32).collect();
            let there = smoothed.estimates(&moved)?;
            let change = here.iter().zip(&there).map(|(a, b)| (a.mean - b.mean).powi(2)).sum::<f64>().sqrt();
            row.met = row.met.max(change);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Returns of episodes under an attack that spends its budget evenly over the steps, each by
/// projected gradient ascent on the action.
fn attacked(
    loaded: &mut LoadedPolicy,
    options: &SmoothingOptions,
    budget: f64,
    longest: u32,
) -> anyhow::Result<Vec<f64>> {
    let smoothed = Smoothed::new(loaded.policy.clone(), options.sigma, 1);
    let kind = if PolicySlope::new(&loaded.policy).is_some() { PerturbationKind::Pgd } else { PerturbationKind::Bias };
    let each = budget / f64::from(longest).sqrt();
    let mut policy = PerturbedPolicy::new(&smoothed, loaded.task.env(), None, kind, each)?;
    let mut returns = Vec::new();
    // Other seeds than the band's, so that the two samples are independent.
    let first = options.seed.wrapping_add(u64::from(options.episodes));
    for seed in seeds(first, options.episodes.min(ATTACKED)) {
        // Beyond the band's longest episode the budget is spent.
        returns.push(run_episode(&mut loaded.task, &mut policy, seed, |_, _| ())?.total);
    }
    returns.sort_by(f64::total_cmp);
    Ok(returns)
}
