//! Effects of each variant on return, sample efficiency and slopes, as a table for a paper.
//!
//! | measure | of one run |
//! | --- | --- |
//! | final | its last value of the metric compared |
//! | area per step | the area under its curve over the steps that it spans: the mean over steps, by trapezoids |
//! | steps to 0.9 | first step at which it is 0.9 of the way from the baseline's first interquartile mean to its last; a run that never is counts with its last step |
//! | ‖∇Q‖ | the last 95th percentile over visited states |
//! | Δ | the last of the paper's estimate of ‖∇Q‖ (arXiv 2006.16785) |
//!
//! Effects are differences of interquartile means from the baseline, on each task by itself. P
//! values are of permutation tests of means: among few runs, those of interquartile means, which leave
//! out the extremes, have more ties. Holm's hold for all of the table together.

use std::collections::BTreeMap;

use super::experiment::Experiment;
use super::outcomes::interquartile_mean;
use super::run_record::{RunRecord, RunState};
use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::error::AnalysisError;
use crate::permutation::{holm, permutation_test};
use crate::scores::{Estimator, Scores};
use crate::stats;
use crate::units::unit_of;

/// Share of the way to the baseline's last value.
const SHARE: f64 = 0.9;
/// Metrics of ‖∇Q‖, the first that all variants logged counts.
const SLOPES: [&str; 2] = ["lipschitz/q1_gradient/visited/q95", "lipschitz/q1_gradient/visited/mean"];
/// Metrics of the paper's Δ, likewise.
const ESTIMATES: [&str; 2] = ["lipschitz/paper_estimate", "lipschitz/paper_estimate_over_horizon"];

/// Effect of one variant by one measure, or the baseline's own value.
#[derive(Clone, Debug)]
pub(super) struct AblationRow {
    pub(super) measure: String,
    pub(super) unit: String,
    pub(super) variant: String,
    pub(super) task: String,
    /// Interquartile mean over finished runs.
    pub(super) value: Option<ConfidenceInterval>,
    /// Effect; `None` for the baseline.
    pub(super) effect: Option<AblationEffect>,
    /// Number of finished runs.
    pub(super) runs: usize,
    /// Number of them that never came to 0.9, if the measure is that.
    pub(super) short_of: usize,
}

/// Difference from the baseline.
#[derive(Clone, Copy, Debug)]
pub(super) struct AblationEffect {
    /// Difference of interquartile means.
    pub(super) difference: ConfidenceInterval,
    /// Raw p value.
    pub(super) p: f64,
    /// Corrected for all effects of the table.
    pub(super) holm: f64,
}

/// Values of finished runs by one measure.
struct Measure {
    name: String,
    unit: String,
    /// Variant → value of each run.
    values: BTreeMap<String, Vec<f64>>,
    short_of: BTreeMap<String, usize>,
}

/// Effects of each variant that has finished runs, by measure; empty without a baseline that has.
pub(super) fn ablation(
    experiment: &Experiment,
    baseline: &str,
    bootstrap: &Bootstrap,
) -> Result<Vec<AblationRow>, AnalysisError> {
    let mut rows = Vec::new();
    for task in experiment.tasks() {
        for measure in measures(experiment, baseline, task) {
            let Some(theirs) = measure.values.get(baseline) else { continue };
            let scores = |runs: &[f64]| Scores::new([(String::new(), runs.to_vec())]);
            let others = measure.values.keys().filter(|variant| *variant != baseline);
            for variant in std::iter::once(&baseline.to_owned()).chain(others) {
                let runs = &measure.values[variant];
                let effect = if variant == baseline {
                    None
                } else {
                    let (ours, theirs) = (scores(runs)?, scores(theirs)?);
                    let difference = bootstrap.difference(&ours, &theirs, Estimator::InterquartileMean)?;
                    let p = permutation_test(&ours, &theirs, Estimator::Mean, bootstrap.seed)?;
                    Some(AblationEffect { difference, p, holm: p })
                };
                rows.push(AblationRow {
                    measure: measure.name.clone(),
                    unit: measure.unit.clone(),
                    variant: variant.clone(),
                    task: task.to_owned(),
                    value: interquartile_mean(runs, bootstrap)?,
                    effect,
                    runs: runs.len(),
                    short_of: measure.short_of.get(variant).copied().unwrap_or(0),
                });
            }
        }
    }
    let raw: Vec<f64> = rows.iter().filter_map(|row| row.effect.map(|effect| effect.p)).collect();
    for (effect, corrected) in rows.iter_mut().filter_map(|row| row.effect.as_mut()).zip(holm(&raw)) {
        effect.holm = corrected;
    }
    Ok(rows)
}

/// Measures that the baseline's and another variant's finished runs on a task have.
fn measures(experiment: &Experiment, baseline: &str, task: &str) -> Vec<Measure> {
    let done = || experiment.runs.iter().filter(|run| run.task == task && run.state == RunState::Done);
    let series = |run: &RunRecord| run.scored(&experiment.metric, experiment.window).collect::<Vec<(u64, f64)>>();
    let of = |name: String, unit: &str, value: &dyn Fn(&RunRecord) -> Option<f64>| {
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for run in done() {
            if let Some(value) = value(run) {
                values.entry(run.variant.clone()).or_default().push(value);
            }
        }
        Measure { name, unit: unit.to_owned(), values, short_of: BTreeMap::new() }
    };
    let unit = unit_of(&experiment.metric).unwrap_or_default();
    let mut found = vec![
        of(format!("final `{}`", experiment.metric), unit, &|run| Some(series(run).last()?.1)),
        of("area per step".to_owned(), unit, &|run| area(&series(run))),
    ];
    let firsts: Vec<Vec<(u64, f64)>> = done().filter(|run| run.variant == baseline).map(series).collect();
    let mut starts: Vec<f64> = firsts.iter().filter_map(|series| Some(series.first()?.1)).collect();
    let mut ends: Vec<f64> = firsts.iter().filter_map(|series| Some(series.last()?.1)).collect();
    let (start, end) = (stats::interquartile_mean(&mut starts), stats::interquartile_mean(&mut ends));
    if start.is_finite() && start != end {
        let reached = |series: &[(u64, f64)]| {
            series.iter().find(|(_, value)| (value - start) / (end - start) >= SHARE).map(|(step, _)| *step)
        };
        let steps = |run: &RunRecord| {
            let series = series(run);
            Some(reached(&series).unwrap_or(series.last()?.0) as f64)
        };
        let mut measure = of("steps to 0.9".to_owned(), "environment steps", &steps);
        for run in done().filter(|run| reached(&series(run)).is_none()) {
            *measure.short_of.entry(run.variant.clone()).or_default() += 1;
        }
        found.push(measure);
    }
    for (symbol, names) in [("‖∇Q‖", SLOPES), ("Δ", ESTIMATES)] {
        // One metric for all, the first that each variant's runs logged.
        let last = |run: &RunRecord, name: &str| Some(run.scored(name, experiment.window).last()?.1);
        let everywhere = |name: &&str| done().next().is_some() && done().all(|run| last(run, name).is_some());
        if let Some(name) = names.into_iter().find(everywhere) {
            let unit = unit_of(name).unwrap_or_default();
            found.push(of(format!("{symbol}, `{name}`"), unit, &|run| last(run, name)));
        }
    }
    found.retain(|measure| measure.values.len() > 1 && measure.values.contains_key(baseline));
    found
}

/// Area under a curve by trapezoids over the steps that it spans; the value of a single point.
fn area(series: &[(u64, f64)]) -> Option<f64> {
    let (first, last) = (series.first()?, series.last()?);
    if first.0 == last.0 {
        return Some(first.1);
    }
    let span = (last.0 - first.0) as f64;
    let part = |pair: &[(u64, f64)]| (pair[1].0 - pair[0].0) as f64 / span * stats::between(pair[0].1, pair[1].1, 0.5);
    Some(series.windows(2).map(part).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_weighs_values_by_steps() {
        // numpy.trapezoid([1, 3, 5], [0, 10, 40]) / 40 = (20 + 120) / 40.
        assert_eq!(area(&[(0, 1.0), (10, 3.0), (40, 5.0)]), Some(3.5));
        assert_eq!((area(&[(7, 2.0)]), area(&[])), (Some(2.0), None));
    }
}
