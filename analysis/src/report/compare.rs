//! Comparison of each variant with the baseline.

use std::collections::BTreeMap;

use super::outcomes::{Outcomes, differences_by_seed};
use super::wording::{verdict, with_signed_ends};
use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::error::AnalysisError;
use crate::number::probability;
use crate::permutation::{holm, permutation_test};
use crate::scores::{Estimator, Scores};

/// A variant against the baseline.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub(super) variant: String,
    /// Fewest finished runs of the variant and of the baseline on any task.
    pub(super) runs: (usize, usize),
    /// Difference of interquartile means.
    pub(super) difference: ConfidenceInterval,
    /// Interquartile mean of the baseline.
    pub(super) of: f64,
    /// P value of the difference of means, by a permutation test.
    pub(super) p: f64,
    /// P value corrected by Holm's method for the number of comparisons.
    pub(super) holm: f64,
    /// Probability of improvement over the baseline.
    pub(super) improvement: ConfidenceInterval,
    /// Mean difference of runs of the same seed, and the number of such pairs; `None` without a
    /// seed that both have.
    pub(super) by_seed: Option<(ConfidenceInterval, usize)>,
    /// Tasks that one of the two has finished runs of and the other has not, with the other's name.
    /// The comparison leaves them out.
    pub(super) left_out: Vec<(String, String)>,
    /// Tasks that the two are compared on.
    pub(super) tasks: Vec<String>,
}

impl Comparison {
    /// Conclusion in words: both intervals have to exclude no effect.
    pub(super) fn verdict(&self) -> &'static str {
        verdict(
            self.runs.0.min(self.runs.1),
            self.difference.low > 0.0 && self.improvement.low > 0.5,
            self.difference.high < 0.0 && self.improvement.high < 0.5,
        )
    }

    /// The comparison in a sentence.
    pub(super) fn sentence(&self, baseline: &str) -> String {
        let ConfidenceInterval { value, low, high } = self.improvement;
        format!(
            "{} against {baseline}: {}. Difference of interquartile means {}, p = {} (Holm {}), probability of \
             improvement {value:.2} [{low:.2}, {high:.2}], {} and {} runs.{}",
            self.variant,
            self.verdict(),
            with_signed_ends(self.difference),
            probability(self.p),
            probability(self.holm),
            self.runs.0,
            self.runs.1,
            self.tasks_compared()
        )
    }

    /// Sentence about the tasks that are left out; empty if there are none.
    fn tasks_compared(&self) -> String {
        if self.left_out.is_empty() {
            return String::new();
        }
        let left_out = self.left_out.iter().map(|(task, name)| format!("{name} has no finished run on {task}"));
        format!(" Compared on {}: {}.", self.tasks.join(", "), left_out.collect::<Vec<_>>().join(", "))
    }
}

/// Compares every variant with the baseline, on the tasks that both have finished runs of. Leaves
/// out variants that share no task with it.
pub(super) fn compare(
    outcomes: &Outcomes,
    scores: &BTreeMap<String, Scores>,
    baseline: &str,
    bootstrap: &Bootstrap,
) -> Result<Vec<Comparison>, AnalysisError> {
    let Some(theirs) = scores.get(baseline) else { return Ok(Vec::new()) };
    let mut comparisons = Vec::new();
    for (variant, all) in scores.iter().filter(|(variant, _)| *variant != baseline) {
        let Some((ours, theirs)) = all.on_shared(theirs) else { continue };
        let lacks = |has: &Scores, name: &str| -> Vec<(String, String)> {
            let left_out = has.names().filter(|task| !ours.names().any(|shared| shared == *task));
            left_out.map(|task| (task.to_owned(), name.to_owned())).collect()
        };
        let p = permutation_test(&ours, &theirs, Estimator::Mean, bootstrap.seed)?;
        let by_seed = differences_by_seed(outcomes, (variant, &ours), (baseline, &theirs));
        comparisons.push(Comparison {
            variant: variant.clone(),
            runs: (ours.runs(), theirs.runs()),
            difference: bootstrap.difference(&ours, &theirs, Estimator::InterquartileMean)?,
            p,
            holm: p,
            of: Estimator::InterquartileMean.of(&theirs),
            improvement: bootstrap.improvement(&ours, &theirs)?,
            by_seed: by_seed.map(|found| (bootstrap.estimate(&found, Estimator::Mean), found.flat().count())),
            left_out: [lacks(&scores[baseline], variant), lacks(all, baseline)].concat(),
            tasks: ours.names().map(str::to_owned).collect(),
        });
    }
    let raw: Vec<f64> = comparisons.iter().map(|found| found.p).collect();
    for (found, corrected) in comparisons.iter_mut().zip(holm(&raw)) {
        found.holm = corrected;
    }
    Ok(comparisons)
}
