//! One policy's costs, and what its run says of it.

use std::path::Path;

use liprl_control::Policy;
use liprl_logbook::{RunFolder, read_series};

use crate::{
    disturb::{Disturbed, Kind},
    rollout,
    saved::Saved,
    task::Task,
};

/// The disturbances and the episodes of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Tests {
    /// Kind and ε.
    pub disturbances: Vec<(Kind, f64)>,
    /// Episodes for each.
    pub episodes: u32,
    /// Seed of the first; the others follow.
    pub seed: u64,
}

/// What one run came to.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Measured {
    /// Its folder.
    pub run: String,
    /// The constraint's kind.
    pub constraint: String,
    /// α asked for.
    pub alpha: Option<f64>,
    /// The proven constant.
    pub certified: Option<f64>,
    /// Mean cost of an episode, undisturbed.
    pub nominal: f64,
    /// The same under each disturbance.
    pub disturbed: Vec<f64>,
    /// Error on the demonstrations, and the least that any policy of constant α has on some of them.
    pub mse: Option<f64>,
    /// See `mse`.
    pub oracle_mse: Option<f64>,
    /// ê, δ and ℓ* of the pairs learnt from.
    pub residual: Option<f64>,
    /// See `residual`.
    pub coverage: Option<f64>,
    /// See `residual`.
    pub expert_slope: Option<f64>,
    /// B4's bound on the cost under each disturbance, undisturbed first, on linear systems where there is one.
    pub bounds: Vec<Option<f64>>,
}

impl Measured {
    /// Evaluates the run in `folder`.
    pub fn of(folder: &Path, saved: &mut Saved, tests: &Tests) -> anyhow::Result<Self> {
        let lipschitz = saved.policy.about().get("lipschitz").cloned().unwrap_or_default();
        let (alpha, certified) = (lipschitz["asked"].as_f64(), lipschitz["certified"].as_f64());
        let constraint = lipschitz["constraint"].as_str().unwrap_or("none").to_owned();
        let log = RunFolder::open(folder)?.metrics_path();
        let step = saved.step;
        let metric = |name: &str| -> anyhow::Result<Option<f64>> {
            let series = read_series(&log, &format!("lipschitz/{name}"))?;
            Ok(series.steps.iter().position(|at| *at == step).map(|at| series.values[at]))
        };
        let costs = costs(&mut saved.task, &mut saved.policy, tests)?;
        Ok(Self {
            run: folder.display().to_string(),
            constraint,
            alpha,
            certified,
            nominal: costs[0],
            disturbed: costs[1..].to_vec(),
            mse: metric("demonstration_mse")?,
            oracle_mse: metric("oracle/mse")?,
            residual: metric("residual")?,
            coverage: metric("coverage")?,
            expert_slope: metric("expert_slope")?,
            bounds: Vec::new(),
        })
    }

    /// U(α, ε) with `slope` for ℓ*, or the steepest pair's where none is given.
    pub fn u(&self, epsilon: f64, slope: Option<f64>) -> Option<f64> {
        let (alpha, slope) = (self.certified?, slope.or(self.expert_slope)?);
        Some(self.residual? + (alpha + slope) * self.coverage? + alpha * epsilon)
    }
}

/// Mean cost of a policy's episodes, undisturbed and then under each disturbance.
pub(super) fn costs(task: &mut Task, policy: &mut Policy, tests: &Tests) -> anyhow::Result<Vec<f64>> {
    let seeds = || (0..u64::from(tests.episodes)).map(|index| tests.seed.wrapping_add(index));
    let mut all =
        vec![seeds().map(|seed| rollout::episode(task, policy, seed, |_, _| ())).collect::<Result<Vec<_>, _>>()?];
    for &(kind, epsilon) in &tests.disturbances {
        let mut disturbed = Disturbed::new(policy, task.env(), None, kind, epsilon)?;
        let episodes = seeds().map(|seed| {
            disturbed.begin(seed);
            rollout::episode(task, &mut disturbed, seed, |_, _| ())
        });
        all.push(episodes.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(all.iter().map(|episodes| -rollout::Summary::of(episodes).return_mean).collect())
}
