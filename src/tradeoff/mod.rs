//! What feedback policies cost against their Lipschitz constant: the trade-off that bounding it is about (Al Makdah, Krishnan & Pasqualetti
//! 2022).
//!
//! | file | what |
//! | --- | --- |
//! | `measure` | one policy's costs, undisturbed and disturbed, and what its run says of it |
//! | `known` | on linear systems: the expert scaled to α, and the bounds |
//! | `draw` | table, figure, CSV, JSON |
//!
//! A cost is minus a return. U(α, ε) = ê + (α + ℓ*)δ + αε bounds how far the disturbed policy's action is from the expert's (B1 and B4), with
//! ê, δ and ℓ* of the pairs learnt from and α the certified constant; ℓ* is the steepest pair's slope unless the expert is linear, so U is an
//! estimate then. On linear systems B4's bound on the cost is that of `liprl certify --closed-loop`, for these episodes.

mod draw;
mod known;
mod measure;

use liprl_analysis::{Bootstrap, ConfidenceInterval, Estimator, Scores};

pub use draw::{csv, figures, json, table};
pub use known::{Known, Linear};
pub use measure::{Measured, Tests};

/// The runs of one constraint at one α.
pub struct Group {
    /// The constraint's kind.
    pub constraint: String,
    /// α asked for; none without a constraint.
    pub alpha: Option<f64>,
    /// Its runs, by seed.
    pub runs: Vec<Measured>,
}

/// Everything measured.
pub struct Tradeoff {
    /// The task's id.
    pub task: String,
    /// What was tested.
    pub tests: Tests,
    /// Groups, unconstrained ones last, otherwise by constraint and α.
    pub groups: Vec<Group>,
    /// What is known in closed form, on linear systems.
    pub known: Option<Known>,
}

impl Tradeoff {
    /// Groups what was measured.
    pub fn new(task: String, tests: Tests, measured: Vec<Measured>, known: Option<Known>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for run in measured {
            let same = |group: &&mut Group| group.constraint == run.constraint && group.alpha == run.alpha;
            match groups.iter_mut().find(same) {
                Some(group) => group.runs.push(run),
                None => {
                    let (constraint, alpha) = (run.constraint.clone(), run.alpha);
                    groups.push(Group { constraint, alpha, runs: vec![run] });
                }
            }
        }
        let key =
            |group: &Group| (group.alpha.is_none(), group.constraint.clone(), group.alpha.unwrap_or(f64::INFINITY));
        groups.sort_by(|a, b| {
            let (a, b) = (key(a), key(b));
            (a.0, &a.1).cmp(&(b.0, &b.1)).then(a.2.total_cmp(&b.2))
        });
        Self { task, tests, groups, known }
    }
}

impl Group {
    /// Mean over the runs of what `of` takes from each, and its 95 % bootstrap interval; none where a run has no such number.
    pub fn mean(&self, of: impl Fn(&Measured) -> Option<f64>) -> Option<ConfidenceInterval> {
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
