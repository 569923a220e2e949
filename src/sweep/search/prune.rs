//! Pruning: runs that fall behind are stopped after a checkpoint, by the metrics on disk alone.

use std::collections::HashMap;

use liprl_analysis::stats;
use liprl_logbook::{METRICS_FILE, SweepRun, read_series};
use serde::{Deserialize, Serialize};

use super::config::{AshaConfig, MedianConfig, PruneConfig};
use super::is_confirmation;
use crate::sweep::folder::SweepFolder;

/// The record of a run that was stopped by a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrunedRun {
    /// The step at which it was judged.
    pub step: u64,
    /// Its value.
    pub value: f64,
    /// The value that it would have had to reach.
    pub threshold: f64,
    /// The reason in words.
    pub reason: String,
}

/// Values of a run by step, of which more is better.
#[derive(Clone, Debug, Default, PartialEq)]
struct RunValues {
    /// Its variant.
    point: String,
    /// Steps of the run.
    steps: u64,
    /// Steps and values, in order.
    values: Vec<(u64, f64)>,
    /// Length of the log when it was read.
    length: u64,
}

/// Judges runs of a sweep while they train.
#[derive(Debug)]
pub(in crate::sweep) struct Watch {
    rule: Option<PruneConfig>,
    metric: String,
    sign: f64,
    /// Id → values.
    runs: HashMap<String, RunValues>,
    /// Id → step at which a run was judged last and passed.
    passed: HashMap<String, u64>,
}

impl Watch {
    /// Takes the rule from the sweep's record.
    pub(in crate::sweep) fn new(folder: &SweepFolder) -> Self {
        let search = folder.lock.search.as_ref();
        let rule = search.and_then(|search| serde_json::from_value(search.prune.clone()?).ok());
        let minimises = search.is_some_and(|search| search.goal == "minimise");
        Self {
            rule,
            metric: folder.lock.report.metric.clone(),
            sign: if minimises { -1.0 } else { 1.0 },
            runs: HashMap::new(),
            passed: HashMap::new(),
        }
    }

    /// Reads what was logged since the last time. A log that cannot be read is left for later.
    pub(in crate::sweep) fn refresh(&mut self, folder: &SweepFolder) {
        if self.rule.is_none() {
            return;
        }
        for run in folder.runs().filter(|run| !is_confirmation(&run.variant)) {
            let path = folder.run_folder(run).join(METRICS_FILE);
            let Ok(length) = std::fs::metadata(&path).map(|file| file.len()) else { continue };
            if self.runs.get(&run.id).is_some_and(|known| known.length == length) {
                continue;
            }
            let Ok(series) = read_series(&path, &self.metric) else { continue };
            let values = series.steps.into_iter().zip(series.values.into_iter().map(|value| self.sign * value));
            let values = values.filter(|(_, value)| value.is_finite()).collect();
            self.runs
                .insert(run.id.clone(), RunValues { point: run.variant.clone(), steps: run.steps, values, length });
        }
    }

    /// Notes that a run begins or resumes. Where it has gone on from already, it is not judged again.
    pub(in crate::sweep) fn begin(&mut self, run: &SweepRun, promoted: bool) {
        let Some(of) = self.runs.get(&run.id) else { return };
        let judged = match &self.rule {
            Some(PruneConfig::Asha(rule)) => {
                let before = |(step, _): &(u64, f64)| promoted || of.values.last().is_some_and(|last| last.0 > *step);
                rule.reached(of).filter(before)
            }
            _ => None,
        };
        if let Some((step, _)) = judged {
            self.passed.insert(run.id.clone(), step);
        }
    }

    /// Judges a running run; the record if it is to stop.
    pub(in crate::sweep) fn judge(&mut self, run: &SweepRun) -> Option<PrunedRun> {
        let of = self.runs.get(&run.id)?;
        let passed = self.passed.get(&run.id).copied();
        let (step, value, verdict) = match self.rule.as_ref()? {
            PruneConfig::Median(rule) => rule.judge(of, self.runs.values())?,
            PruneConfig::Asha(rule) => rule.judge(of, self.runs.values())?,
        };
        if passed.is_some_and(|passed| passed >= step) {
            return None;
        }
        match verdict {
            Some((threshold, others)) => {
                let (value, threshold) = (self.sign * value, self.sign * threshold);
                let missed = match self.rule.as_ref()? {
                    PruneConfig::Median(_) => {
                        format!("its best, {value}, was worse than {threshold}, the median of {others} others")
                    }
                    PruneConfig::Asha(rule) => format!(
                        "its value, {value}, was not among the best 1/{} of {others} runs, from {threshold} on",
                        rule.factor
                    ),
                };
                let reason = format!("at step {step} {missed}");
                Some(PrunedRun { step, value, threshold, reason })
            }
            None => {
                self.passed.insert(run.id.clone(), step);
                None
            }
        }
    }

    /// True if a run that was stopped may go on now: it is among the best at its rung, or there is
    /// no rule any more.
    pub(in crate::sweep) fn promotes(&self, run: &SweepRun, pruned: &PrunedRun) -> bool {
        match &self.rule {
            None => true,
            Some(PruneConfig::Median(_)) => false,
            Some(PruneConfig::Asha(rule)) => self.runs.get(&run.id).is_some_and(|of| {
                let judged = rule.judge(of, self.runs.values());
                judged.is_some_and(|(step, _, verdict)| step > pruned.step || verdict.is_none())
            }),
        }
    }
}

/// Step and value at which a run is judged, and the threshold that it missed with the number of runs
/// behind it.
type Judged = (u64, f64, Option<(f64, usize)>);

impl MedianConfig {
    /// Compares a run's best value so far with the median of other points' runs at that step;
    /// `None` if it is not judged yet. Vizier's and Optuna's median rule.
    fn judge<'a>(&self, of: &RunValues, runs: impl Iterator<Item = &'a RunValues>) -> Option<Judged> {
        let (step, _) = *of.values.last().filter(|(step, _)| *step >= self.after && *step < of.steps)?;
        let best = stats::range(of.values.iter().map(|(_, value)| *value)).1;
        let at_step = |other: &RunValues| {
            let reached = other.values.last().is_some_and(|(last, _)| *last >= step);
            other.values.iter().rev().find(|(at, _)| *at <= step).map(|(_, value)| *value).filter(|_| reached)
        };
        let mut others: Vec<f64> = runs.filter(|other| other.point != of.point).filter_map(at_step).collect();
        if others.len() < self.others {
            return None;
        }
        let (count, median) = (others.len(), stats::median(&mut others));
        Some((step, best, (best < median).then_some((median, count))))
    }
}

impl AshaConfig {
    /// The first step and value of a run at or after its highest rung.
    fn reached(&self, of: &RunValues) -> Option<(u64, f64)> {
        let last = of.values.last()?.0;
        let rungs = std::iter::successors(Some(self.first), |rung| rung.checked_mul(self.factor));
        let rung = rungs.take_while(|rung| *rung <= last && *rung < of.steps).last()?;
        of.values.iter().find(|(step, _)| *step >= rung).copied()
    }

    /// Compares a run with all that came to its highest rung; `None` before the first rung.
    fn judge<'a>(&self, of: &RunValues, runs: impl Iterator<Item = &'a RunValues>) -> Option<Judged> {
        let (step, value) = self.reached(of)?;
        let rungs = std::iter::successors(Some(self.first), |rung| rung.checked_mul(self.factor));
        let rung = rungs.take_while(|rung| *rung <= step).last()?;
        let at_rung = |other: &RunValues| other.values.iter().find(|(at, _)| *at >= rung).map(|(_, value)| *value);
        let mut all: Vec<f64> = runs.filter_map(at_rung).collect();
        all.sort_by(|a, b| b.total_cmp(a));
        // The best one always goes on, also alone.
        let kept = (all.len() / self.factor as usize).max(1);
        let threshold = *all.get(kept - 1)?;
        Some((step, value, (value < threshold).then_some((threshold, all.len()))))
    }
}

#[cfg(test)]
#[path = "prune_tests.rs"]
mod tests;
