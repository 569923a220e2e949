//! The cost of feedback policies against their Lipschitz constant (Al Makdah, Krishnan &
//! Pasqualetti 2022).
//!
//! | file | content |
//! | --- | --- |
//! | `measure` | one policy's costs, undisturbed and disturbed, and the numbers that its run logged |
//! | `lqr_baseline` | on linear systems: the expert scaled to α, and the bounds |
//! | `draw` | table, figure, CSV, JSON |
//!
//! A cost is minus a return. U(α, ε) = ê + (α + ℓ*)δ + αε bounds the distance of the disturbed
//! policy's action from the expert's (B1 and B4), with ê, δ and ℓ* of the training pairs and α the
//! certified constant. ℓ* is the largest ratio of two pairs unless the expert is linear, so U is an
//! estimate then. On linear systems B4's bound on the cost is that of `liprl certify
//! --closed-loop`, for these episodes.

mod draw;
mod lqr_baseline;
mod measure;

use liprl_analysis::{Bootstrap, ConfidenceInterval, Estimator, Scores};

pub use draw::{csv, figures, json, table};
pub use lqr_baseline::{LqrBaseline, ScaledExpert};
pub use measure::{RunCosts, TestPlan};

/// The runs of one constraint at one α.
pub struct RunGroup {
    /// The constraint's kind.
    pub constraint: String,
    /// α of the constraint; `None` without one.
    pub alpha: Option<f64>,
    /// Its runs, by seed.
    pub runs: Vec<RunCosts>,
}

/// All costs of one task's runs.
pub struct Tradeoff {
    /// The task's id.
    pub task: String,
    /// The tests that gave the costs.
    pub plan: TestPlan,
    /// Groups, unconstrained ones last, otherwise by constraint and α.
    pub groups: Vec<RunGroup>,
    /// Costs of linear policies, on linear systems.
    pub baseline: Option<LqrBaseline>,
}

impl Tradeoff {
    /// Groups the runs by constraint and α.
    pub fn new(task: String, plan: TestPlan, runs: Vec<RunCosts>, baseline: Option<LqrBaseline>) -> Self {
        let mut groups: Vec<RunGroup> = Vec::new();
        for run in runs {
            let same = |group: &&mut RunGroup| group.constraint == run.constraint && group.alpha == run.alpha;
            match groups.iter_mut().find(same) {
                Some(group) => group.runs.push(run),
                None => {
                    let (constraint, alpha) = (run.constraint.clone(), run.alpha);
                    groups.push(RunGroup { constraint, alpha, runs: vec![run] });
                }
            }
        }
        let key =
            |group: &RunGroup| (group.alpha.is_none(), group.constraint.clone(), group.alpha.unwrap_or(f64::INFINITY));
        groups.sort_by(|a, b| {
            let (a, b) = (key(a), key(b));
            (a.0, &a.1).cmp(&(b.0, &b.1)).then(a.2.total_cmp(&b.2))
        });
        Self { task, plan, groups, baseline }
    }
}

impl RunGroup {
    /// Mean over the runs of the number that `of` takes from each, and its 95 % bootstrap interval;
    /// `None` if a run has no such number.
    pub fn mean(&self, of: impl Fn(&RunCosts) -> Option<f64>) -> Option<ConfidenceInterval> {
        let values: Vec<f64> = self.runs.iter().map(of).collect::<Option<_>>()?;
        if let [value] = values[..] {
            return Some(ConfidenceInterval { value, low: value, high: value });
        }
        let scores = Scores::new([(String::new(), values)]).ok()?;
        Some(Bootstrap { resamples: 10_000, ..Bootstrap::default() }.estimate(&scores, Estimator::Mean))
    }

    /// The name of its curve.
    pub fn name(&self) -> String {
        match self.alpha {
            Some(alpha) => format!("{} {alpha}", self.constraint),
            None => self.constraint.clone(),
        }
    }
}
