//! Comparison of each variant with the baseline.

use std::collections::BTreeMap;

use super::outcomes::{Outcomes, differences_by_seed};
use super::wording::{verdict, with_signed_ends};
use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::error::AnalysisError;
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
    /// Probability of improvement over the baseline.
    pub(super) improvement: ConfidenceInterval,
    /// Mean difference of runs of the same seed, and the number of such pairs; `None` without a
    /// seed that both have.
    pub(super) by_seed: Option<(ConfidenceInterval, usize)>,
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
            "{} against {baseline}: {}. Difference of interquartile means {}, probability of improvement {value:.2} \
             [{low:.2}, {high:.2}], {} and {} runs.",
            self.variant,
            self.verdict(),
            with_signed_ends(self.difference),
            self.runs.0,
            self.runs.1
        )
    }
}

/// Compares every variant that was run on the baseline's tasks with the baseline; empty if the
/// baseline has no finished run.
pub(super) fn compare(
    outcomes: &Outcomes,
    scores: &BTreeMap<String, Scores>,
    baseline: &str,
    bootstrap: &Bootstrap,
) -> Result<Vec<Comparison>, AnalysisError> {
    let Some(theirs) = scores.get(baseline) else { return Ok(Vec::new()) };
    let mut comparisons = Vec::new();
    for (variant, ours) in scores.iter().filter(|(variant, _)| *variant != baseline) {
        // Variants that were run on other tasks cannot be compared.
        let Ok(difference) = bootstrap.difference(ours, theirs, Estimator::InterquartileMean) else { continue };
        let by_seed = differences_by_seed(outcomes, scores, variant, baseline);
        comparisons.push(Comparison {
            variant: variant.clone(),
            runs: (ours.runs(), theirs.runs()),
            difference,
            of: Estimator::InterquartileMean.of(theirs),
            improvement: bootstrap.improvement(ours, theirs)?,
            by_seed: by_seed.map(|found| (bootstrap.estimate(&found, Estimator::Mean), found.flat().count())),
        });
    }
    Ok(comparisons)
}
