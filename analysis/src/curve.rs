//! The seeds of one variant, aligned by step.

use std::collections::BTreeMap;

use crate::{Bootstrap, Estimate, Run, Scores, stats};

/// What the band around a curve's line shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Band {
    /// Line: interquartile mean over seeds; band: its 95 % bootstrap interval.
    #[default]
    InterquartileMean,
    /// Line: mean over seeds; band: ± one standard deviation.
    MeanStd,
}

impl Band {
    /// What line and band are, for the figure's caption.
    pub fn caption(self) -> &'static str {
        match self {
            Self::InterquartileMean => "interquartile mean over seeds, 95% bootstrap interval",
            Self::MeanStd => "mean over seeds, one standard deviation",
        }
    }
}

/// A summary over the seeds at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Environment steps.
    pub step: u64,
    /// The line.
    pub centre: f64,
    /// The band's lower edge.
    pub low: f64,
    /// The band's upper edge.
    pub high: f64,
    /// Seeds that logged this step.
    pub seeds: usize,
}

/// One variant's line with its band.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Name in the legend.
    pub label: String,
    /// Points by step.
    pub points: Vec<Point>,
    /// Number of runs.
    pub seeds: usize,
}

/// Enough for a band's edges to be stable to the eye; tables resample more.
const RESAMPLES: usize = 2000;

impl Curve {
    /// Summarises the runs of one variant. Each step that any run logged makes a point, with the count of
    /// seeds that reached it; nothing is smoothed or interpolated.
    pub fn from_runs(label: impl Into<String>, runs: &[&Run], band: Band) -> Self {
        let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for run in runs {
            for (&step, &value) in &run.series {
                by_step.entry(step).or_default().push(value);
            }
        }
        let points = by_step.into_iter().map(|(step, values)| summarise(step, values, band)).collect();
        Self { label: label.into(), points, seeds: runs.len() }
    }
}

fn summarise(step: u64, mut values: Vec<f64>, band: Band) -> Point {
    let seeds = values.len();
    let (centre, low, high) = match band {
        Band::MeanStd => {
            let (mean, std) = (stats::mean(&values), stats::std(&values));
            (mean, mean - std, mean + std)
        }
        Band::InterquartileMean => {
            let centre = stats::interquartile_mean(&mut values);
            let bootstrap = Bootstrap { resamples: RESAMPLES, seed: step, ..Bootstrap::default() };
            let interval = Scores::new([(String::new(), values)])
                .map(|scores| bootstrap.estimate(&scores, Estimate::InterquartileMean));
            interval.map_or((centre, centre, centre), |found| (found.value, found.low, found.high))
        }
    };
    Point { step, centre, low, high, seeds }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn run(series: &[(u64, f64)]) -> Run {
        Run { folder: PathBuf::new(), variant: PathBuf::new(), task: None, series: series.iter().copied().collect() }
    }

    #[test]
    fn seeds_are_aligned_by_step_and_counted() {
        let (a, b) = (run(&[(0, 1.0), (10, 4.0)]), run(&[(0, 3.0)]));
        let curve = Curve::from_runs("x", &[&a, &b], Band::MeanStd);
        let half_width = 2.0_f64.sqrt();
        assert_eq!(
            curve.points,
            [
                Point { step: 0, centre: 2.0, low: 2.0 - half_width, high: 2.0 + half_width, seeds: 2 },
                Point { step: 10, centre: 4.0, low: 4.0, high: 4.0, seeds: 1 },
            ]
        );
    }

    #[test]
    fn the_bootstrap_band_lies_within_the_data_and_around_the_line() {
        let runs: Vec<Run> = [1.0, 2.0, 3.0, 4.0, 50.0].iter().map(|&value| run(&[(5, value)])).collect();
        let curve = Curve::from_runs("x", &runs.iter().collect::<Vec<_>>(), Band::InterquartileMean);
        let point = curve.points[0];
        assert_eq!(point.centre, 3.0);
        assert!(1.0 <= point.low && point.low < 3.0 && 3.0 < point.high && point.high <= 50.0, "{point:?}");
    }
}
