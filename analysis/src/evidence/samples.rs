//! Numbers of runs, read from kept logs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::manifest::{Column, Source};
use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::error::AnalysisError;
use crate::run::{Run, find_runs};
use crate::scores::{Estimator, Scores};

/// Runs of a source, by variant.
pub(super) struct Runs(BTreeMap<String, Vec<PathBuf>>);

/// Numbers of a variant's runs.
pub(super) struct Sample {
    pub(super) scores: Scores,
    /// Last step of any of them.
    pub(super) steps: u64,
}

impl Runs {
    pub(super) fn of(results: &Path, source: &Source) -> Result<Self, AnalysisError> {
        let folder = results.join(&source.logs);
        let mut runs: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for run in find_runs(std::slice::from_ref(&folder))? {
            let variant = run.parent().and_then(|parent| parent.strip_prefix(&folder).ok()).unwrap_or(Path::new(""));
            runs.entry(variant.to_string_lossy().into_owned()).or_default().push(run);
        }
        Ok(Self(runs))
    }

    pub(super) fn variants(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// The numbers of a variant; `None` if no run has any.
    pub(super) fn sample(&self, variant: &str, column: &Column) -> Result<Option<Sample>, AnalysisError> {
        let missing =
            || AnalysisError::Request(format!("there are no logs of `{variant}`, but of {:?}", self.variants()));
        let (score, mut values, mut steps) = (column.score()?, Vec::new(), 0);
        for folder in self.0.get(variant).ok_or_else(missing)? {
            let (run, _) = Run::read(folder, &column.metric)?;
            let counted = run.series.range(column.from..).take_while(|(step, _)| **step <= column.to);
            let series: Vec<f64> = counted.map(|(_, value)| *value).collect();
            values.extend(score.of(&series));
            steps = run.series.keys().next_back().copied().unwrap_or(0).max(steps);
        }
        if values.is_empty() {
            return Ok(None);
        }
        Ok(Some(Sample { scores: Scores::new([(String::new(), values)])?, steps }))
    }
}

impl Sample {
    pub(super) fn runs(&self) -> usize {
        self.scores.runs()
    }

    /// Interquartile mean with its interval; the ends are those of the runs if there are fewer than
    /// five.
    pub(super) fn interval(&self) -> ConfidenceInterval {
        Bootstrap::default().estimate(&self.scores, Estimator::InterquartileMean)
    }
}

/// A number of three significant digits, or a whole one with separators.
pub(super) fn number(value: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "" };
    let size = value.abs();
    if size >= 999.5 {
        let digits = format!("{size:.0}");
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
        return format!("{sign}{}", groups.join(","));
    }
    let decimals = match size {
        _ if size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.9995 || size == 0.0 => 2,
        _ => 3,
    };
    format!("{sign}{size:.decimals$}")
}

/// Estimate and interval.
pub(super) fn with_interval(interval: ConfidenceInterval) -> String {
    format!("{} [{}, {}]", number(interval.value), number(interval.low), number(interval.high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_separators() {
        let shown = [7243.9, -1234.56, 999.6, 712.0, 99.96, 26.7, -3.21987, 0.05, 0.0, 1_234_567.0].map(number);
        assert_eq!(shown, ["7,244", "−1,235", "1,000", "712", "100", "26.7", "−3.22", "0.050", "0.00", "1,234,567"]);
    }
}
