//! Metrics of evaluations: errors, constants, multipliers.

use liprl_control::bounds::{Pair, coverage, steepest_pair};
use liprl_nets::lipschitz::{Summary, summarise};
use liprl_numerics::{RunningNormaliser, StreamRng, neighbours::distance};
use rand::RngExt;

use super::{
    config::{ConstraintConfig, FeedbackConfig},
    pairs::LabelledPairs,
    policy::FeedbackPolicy,
    solved::SolvedPolicy,
};
use crate::{AgentError, Visited};

/// Most rows at which errors and Jacobians are measured.
const MEASURED: usize = 2000;

/// Fresh points between neighbours at which Jacobians are measured.
const FRESH: usize = 512;

/// Most numbers in an observation for which the coverage of the box around the rows is measured.
const COVERED: usize = 4;
/// Most cells of that box to search.
const CELLS: usize = 50_000;

/// Some rows, and the least error of any α-Lipschitz policy there.
pub(super) struct Oracle {
    pub(super) rows: Vec<usize>,
    pub(super) mse: f64,
}

/// Errors of the policy at some rows.
pub(super) struct ActionErrors {
    /// (1/n) Σ ‖π(x) − u‖², the environment's units.
    pub(super) mse: f64,
    /// The largest ‖π(x) − u‖.
    pub(super) largest: f64,
    /// Second moments of π(x) − a in `[-1, 1]`, `[A, A]`.
    pub(super) moments: Vec<f64>,
}

/// The parts of the agent that an evaluation uses.
pub(super) struct Evaluation<'a> {
    pub(super) config: &'a FeedbackConfig,
    pub(super) data: &'a LabelledPairs,
    pub(super) normaliser: Option<&'a RunningNormaliser>,
    pub(super) policy: &'a mut FeedbackPolicy,
    /// Measuring draws from copies of this stream, so that it changes nothing.
    pub(super) rng: &'a StreamRng,
    /// Number of rows that have neighbours.
    pub(super) connected: usize,
    /// The pair of rows that forces the largest error.
    pub(super) worst: Option<Pair>,
    pub(super) oracle: Option<&'a Oracle>,
}

impl Evaluation<'_> {
    /// All metrics under `lipschitz/`.
    pub(super) fn metrics(&mut self, visited: &Visited) -> Result<Vec<(String, f64)>, AgentError> {
        let mut metrics = Vec::new();
        let mut put = |name: &str, value: f64| metrics.push((format!("lipschitz/{name}"), value));
        if let Some(alpha) = self.config.constraint.alpha() {
            put("alpha", alpha);
        }
        put("certified", self.policy.certified()?);
        if let Some(alpha) = self.config.constraint.alpha() {
            put("forced_error", self.worst.map_or(0.0, |worst| worst.forced_error(alpha)));
        }
        if self.data.len() > 0 {
            let ActionErrors { mse, largest, .. } = self.errors(&self.some_rows());
            put("demonstration_mse", mse);
            put("residual", largest);
            self.coverage_and_slope().into_iter().for_each(|(name, value)| put(name, value));
        }
        if let Some(Oracle { rows, mse }) = self.oracle {
            put("oracle/mse", *mse);
            put("oracle/policy_mse", self.errors(rows).mse);
        }
        match &*self.policy {
            FeedbackPolicy::Solved(solved) => {
                put("solved/mse", solved.fit.mse);
                put("solved/lower", solved.fit.lower);
                put("solved/constraints", solved.fit.constraints as f64);
            }
            FeedbackPolicy::Network(network) => {
                let primal_dual = matches!(self.config.constraint, ConstraintConfig::PrimalDual { .. });
                if let Some(multipliers) = network.multipliers.as_ref().filter(|_| primal_dual) {
                    let lambda: Vec<f64> = multipliers.lambda().iter().map(|&l| f64::from(l)).collect();
                    if let Some(Summary { mean, q05, q50, q95, max }) = Summary::of(&lambda) {
                        let active = lambda.iter().filter(|l| **l > 0.0).count() as f64 / lambda.len() as f64;
                        for (name, value) in
                            [("mean", mean), ("q05", q05), ("q50", q50), ("q95", q95), ("max", max), ("active", active)]
                        {
                            put(&format!("duals/{name}"), value);
                        }
                    }
                }
            }
        }
        self.gradient_norms(visited, &mut metrics)?;
        Ok(metrics)
    }

    /// The policy's errors at some rows.
    pub(super) fn errors(&mut self, rows: &[usize]) -> ActionErrors {
        let (o, a) = (self.data.obs_dim, self.data.act_dim);
        let (mut sum, mut largest, mut moments, mut action) = (0.0, 0.0f64, vec![0.0; a * a], vec![0.0; a]);
        for &row in rows {
            let obs = self.data.obs[row * o..][..o].to_vec();
            self.policy.act(self.normaliser, self.data, &obs, &mut action);
            let error: Vec<f64> =
                action.iter().zip(&self.data.action[row * a..]).map(|(x, y)| f64::from(x - y)).collect();
            let square = error.iter().zip(&self.data.half_width).map(|(error, h)| (error * h).powi(2)).sum::<f64>();
            sum += square;
            largest = largest.max(square.sqrt());
            for i in 0..a {
                (0..a).for_each(|j| moments[i * a + j] += error[i] * error[j] / rows.len() as f64);
            }
        }
        ActionErrors { mse: sum / rows.len().max(1) as f64, largest, moments }
    }

    /// δ and ℓ* of bound B1 for the measured rows: the largest distance from them of a point of their box,
    /// and the largest slope of a pair. Left out if no bound is found in a short time, or the slope is
    /// infinite.
    fn coverage_and_slope(&self) -> Vec<(&'static str, f64)> {
        let points = self.data.points(&self.some_rows());
        let o = points.obs_dim;
        let side = |column: usize, pick: fn(f64, f64) -> f64| {
            points.x.iter().skip(column).step_by(o).copied().reduce(pick).unwrap_or(0.0)
        };
        let (low, high): (Vec<f64>, Vec<f64>) = (0..o).map(|i| (side(i, f64::min), side(i, f64::max))).unzip();
        let far = if o <= COVERED { coverage(&points.x, &low, &high, 0.01, CELLS).ok() } else { None };
        let steepest = steepest_pair(&points.x, &points.u, o, points.act_dim).ok().flatten();
        let found = [("coverage", far.map(|far| far.upper)), ("expert_slope", steepest.map(|pair| pair.slope()))];
        found.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| value.is_finite())?))).collect()
    }

    /// Evenly spread rows to measure at.
    pub(super) fn some_rows(&self) -> Vec<usize> {
        (0..self.data.len()).step_by(self.data.len().div_ceil(MEASURED).max(1)).collect()
    }

    /// Observations by name: demonstrated, fresh ones between neighbours, visited.
    fn places(&self, visited: &Visited) -> Vec<(&'static str, Vec<f32>)> {
        let o = self.data.obs_dim;
        let rows = self.some_rows();
        let row = |i: usize| &self.data.obs[i * o..][..o];
        let demonstrated: Vec<f32> = rows.iter().flat_map(|&i| row(i).to_vec()).collect();
        let mut rng = self.rng.clone();
        let mut between = Vec::new();
        for _ in 0..if rows.len() > 1 { FRESH } else { 0 } {
            let i = rng.random_range(0..self.data.len());
            let j = match &*self.policy {
                FeedbackPolicy::Network(network) if network.multipliers.is_some() && self.connected > 1 => {
                    let point = network.multipliers.as_ref().map(|multipliers| multipliers.look(&mut rng));
                    point.map_or((i, i), |point| (point.i, point.j))
                }
                // Without a graph, the nearest of some.
                _ => {
                    let some = (0..32).map(|_| rng.random_range(0..self.data.len())).filter(|&j| j != i);
                    let wide = |i: usize| row(i).iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
                    let far = |j: &usize| distance(&wide(i), &wide(*j));
                    (i, some.min_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(i))
                }
            };
            let share: f32 = rng.random_range(0.0..1.0);
            between.extend(row(j.0).iter().zip(row(j.1)).map(|(a, b)| a + share * (b - a)));
        }
        let all = [("demonstrations", demonstrated), ("between", between), ("visited", visited.obs.clone())];
        all.into_iter().filter(|(_, obs)| !obs.is_empty()).collect()
    }

    /// Jacobian norms of the policy, and the multipliers' complementary slackness.
    fn gradient_norms(&mut self, visited: &Visited, metrics: &mut Vec<(String, f64)>) -> Result<(), AgentError> {
        let alpha = self.config.constraint.alpha();
        let mut sampled = 0.0f64;
        for (name, obs) in self.places(visited) {
            let norms = match &mut *self.policy {
                FeedbackPolicy::Network(network) => network.norms_at(self.normaliser, &obs)?,
                FeedbackPolicy::Solved(solved) => slopes(solved, &obs, &mut self.rng.clone()),
            };
            summarise("policy_jacobian", name, &norms, metrics);
            let largest = norms.iter().copied().fold(0.0, f64::max);
            sampled = sampled.max(largest);
            if let Some(alpha) = alpha {
                metrics.push((format!("lipschitz/violation/{name}"), (largest - alpha).max(0.0)));
            }
            if let (FeedbackPolicy::Network(network), Some(alpha), "demonstrations") = (&*self.policy, alpha, name)
                && matches!(self.config.constraint, ConstraintConfig::PrimalDual { .. })
                && let Some(multipliers) =
                    network.multipliers.as_ref().filter(|multipliers| multipliers.lambda().len() == self.data.len())
            {
                let rows = self.some_rows();
                let slack = rows.iter().zip(&norms).map(|(&i, g)| f64::from(multipliers.lambda()[i]) * (g - alpha));
                let mean = slack.map(f64::abs).sum::<f64>() / norms.len() as f64;
                metrics.push(("lipschitz/complementary_slackness".into(), mean));
            }
        }
        metrics.push(("lipschitz/sampled".into(), sampled));
        Ok(())
    }
}

/// Slopes of a table's extension between each observation and one next to it.
fn slopes(solved: &mut SolvedPolicy, obs: &[f32], rng: &mut StreamRng) -> Vec<f64> {
    let (o, a) = (solved.table.points().obs_dim, solved.table.points().act_dim);
    let (mut first, mut second) = (vec![0.0; a], vec![0.0; a]);
    let rows = obs.chunks_exact(o).step_by((obs.len() / o).div_ceil(200));
    rows.map(|row| {
        let x: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        let y: Vec<f64> = x.iter().map(|x| x + 1e-3 * rng.random_range(-1.0..1.0)).collect();
        solved.table.value(&x, &mut first);
        solved.table.value(&y, &mut second);
        distance(&first, &second) / distance(&x, &y)
    })
    .collect()
}
