//! One policy's costs, and the numbers that its run logged.

use std::path::Path;

use liprl_control::{Policy, smoothing::Smoothed};
use liprl_logbook::{RunFolder, read_series};

use crate::load::LoadedPolicy;
use crate::perturb::{PerturbationKind, PerturbedPolicy, run_episodes};
use crate::rollout::{EvalSummary, seeds};
use crate::task::Task;

/// The perturbations and the episodes of each.
#[derive(Clone, Debug, PartialEq)]
pub struct TestPlan {
    /// Kind and ε.
    pub perturbations: Vec<(PerturbationKind, f64)>,
    /// Episodes for each.
    pub episodes: u32,
    /// Seed of the first; the others follow.
    pub seed: u64,
}

/// The costs and the logged numbers of one run.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RunCosts {
    /// Its folder.
    pub run: String,
    /// The constraint's kind.
    pub constraint: String,
    /// α of the constraint.
    pub alpha: Option<f64>,
    /// The proven constant.
    pub certified: Option<f64>,
    /// Mean cost of an episode, undisturbed.
    pub nominal: f64,
    /// Mean cost under each perturbation.
    pub disturbed: Vec<f64>,
    /// Error on the demonstrations.
    pub mse: Option<f64>,
    /// The least error that any policy of constant α has on some of them.
    pub oracle_mse: Option<f64>,
    /// ê of the training pairs.
    pub residual: Option<f64>,
    /// δ of the training pairs.
    pub coverage: Option<f64>,
    /// ℓ* of the training pairs.
    pub expert_slope: Option<f64>,
    /// B4's bound on the cost, undisturbed first and then under each perturbation; on linear
    /// systems that have one.
    pub bounds: Vec<Option<f64>>,
}

impl RunCosts {
    /// Evaluates the run in `folder`.
    pub fn of(folder: &Path, loaded: &mut LoadedPolicy, plan: &TestPlan) -> anyhow::Result<Self> {
        let lipschitz = loaded.policy.about().get("lipschitz").cloned().unwrap_or_default();
        let (alpha, certified) = (lipschitz["asked"].as_f64(), lipschitz["certified"].as_f64());
        let constraint = lipschitz["constraint"].as_str().unwrap_or("none").to_owned();
        let log = RunFolder::open(folder)?.metrics_path();
        let step = loaded.step;
        let metric = |name: &str| -> anyhow::Result<Option<f64>> {
            let series = read_series(&log, &format!("lipschitz/{name}"))?;
            Ok(series.steps.iter().position(|at| *at == step).map(|at| series.values[at]))
        };
        let costs = costs(&mut loaded.task, &loaded.policy, plan)?;
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

    /// U(α, ε) with `expert_constant` for ℓ*; `None` takes the training pairs' ℓ*.
    pub fn u(&self, epsilon: f64, expert_constant: Option<f64>) -> Option<f64> {
        let (alpha, expert) = (self.certified?, expert_constant.or(self.expert_slope)?);
        Some(self.residual? + (alpha + expert) * self.coverage? + alpha * epsilon)
    }
}

/// Mean cost of a policy's episodes, undisturbed and then under each perturbation.
pub(super) fn costs(task: &mut Task, policy: &Policy, plan: &TestPlan) -> anyhow::Result<Vec<f64>> {
    let mut policy = Smoothed::plain(policy.clone());
    let perturbed = plan.perturbations.iter();
    let perturbed = perturbed.map(|&(kind, epsilon)| PerturbedPolicy::new(&policy, task.env(), None, kind, epsilon));
    let mut perturbed = perturbed.collect::<Result<Vec<_>, _>>()?;
    let all = run_episodes(task, &mut policy, &mut perturbed, seeds(plan.seed, plan.episodes))?;
    Ok(all.iter().map(|episodes| -EvalSummary::of(episodes).return_mean).collect())
}
