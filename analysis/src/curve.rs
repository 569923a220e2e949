//! Curves: the seeds of one variant, aligned by step and summarised.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::bootstrap::Bootstrap;
use crate::run::Run;
use crate::scores::{Estimator, Scores};
use crate::stats;

/// Meaning of a curve's line and of the band around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Band {
    /// Line: interquartile mean over seeds; band: its 95 % bootstrap interval.
    #[default]
    InterquartileMean,
    /// Line: mean over seeds; band: ± one standard deviation.
    MeanStd,
    /// Line: median over seeds; band: between the quartiles.
    MedianQuartiles,
}

impl Band {
    /// Words for a figure's caption.
    pub fn caption(self) -> &'static str {
        match self {
            Self::InterquartileMean => "interquartile mean over seeds, 95% bootstrap interval",
            Self::MeanStd => "mean over seeds, one standard deviation",
            Self::MedianQuartiles => "median over seeds, quartiles",
        }
    }
}

/// Summary over the seeds at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Environment steps, or another quantity on the horizontal axis.
    pub x: f64,
    /// Height of the line.
    pub centre: f64,
    /// Lower edge of the band.
    pub low: f64,
    /// Upper edge of the band.
    pub high: f64,
    /// Number of seeds.
    pub seeds: usize,
}

/// One variant's line with its band.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Name in the legend.
    pub label: String,
    /// Points by step.
    pub points: Vec<CurvePoint>,
    /// Number of runs.
    pub seeds: usize,
    /// True if the seeds logged at different steps, so that values were interpolated.
    pub interpolated: bool,
}

/// Resamples for a band, which make its edges stable to the eye. Tables use more.
const RESAMPLES: usize = 2000;
/// Intervals of the common grid of seeds that logged at different steps.
const GRID: u64 = 200;
/// Columns of a curve of many steps, about as many as a panel has pixels.
const COLUMNS: usize = 400;

impl Curve {
    /// A curve through points of x, centre and the band's low and high edge, ascending in x.
    pub fn of_points(label: impl Into<String>, points: impl IntoIterator<Item = [f64; 4]>) -> Self {
        let point = |[x, centre, low, high]: [f64; 4]| CurvePoint { x, centre, low, high, seeds: 1 };
        let points = points.into_iter().map(point).collect();
        Self { label: label.into(), points, seeds: 1, interpolated: false }
    }

    /// Summarises the runs of one variant. Each is first smoothed by the mean of its last `window`
    /// points (1: not at all).
    ///
    /// Each step that any run logged makes a point, with the count of seeds that reached it. If
    /// most steps are a single run's own, as in the training logs of other programs, values are
    /// interpolated on a common grid, each run within its own range. Steps that only one run's
    /// range contains do not count for this choice.
    ///
    /// Of more than 1,600 steps, each 400th part keeps its first and last, and those of the lowest
    /// and highest values of the line and of any run.
    pub fn from_runs(label: impl Into<String>, runs: &[&Run], band: Band, window: usize) -> Self {
        let smoothed: Vec<Vec<(u64, f64)>> = runs.iter().map(|run| smooth(&run.series, window)).collect();
        let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for &(step, value) in smoothed.iter().flatten() {
            by_step.entry(step).or_default().push(value);
        }
        let ranges: Vec<_> = smoothed.iter().filter_map(|run| Some(run.first()?.0..=run.last()?.0)).collect();
        let common = |step: &u64| ranges.iter().filter(|range| range.contains(step)).nth(1).is_some();
        let within = || by_step.iter().filter(|(step, _)| common(step));
        let own = within().filter(|(_, values)| values.len() == 1).count();
        let interpolated = 2 * own > within().count();
        if interpolated {
            by_step = on_a_grid(&smoothed);
        }
        if by_step.len() > 4 * COLUMNS {
            by_step = thinned(by_step, band);
        }
        let points = by_step.into_par_iter().map(|(step, values)| summarise(step, values, band)).collect();
        Self { label: label.into(), points, seeds: runs.len(), interpolated }
    }
}

/// Means of each point and those before it, `window` in all.
fn smooth(series: &BTreeMap<u64, f64>, window: usize) -> Vec<(u64, f64)> {
    let values: Vec<f64> = series.values().copied().collect();
    let window = window.clamp(1, values.len().max(1));
    // Sums from the start of each block of one window, and to its end: those of any window are the
    // end of one block and the start of the next, so that the time does not grow with the window.
    let (mut until, mut onwards) = (values.clone(), values.clone());
    for index in 1..values.len() {
        if !index.is_multiple_of(window) {
            until[index] += until[index - 1];
        }
        let before = values.len() - 1 - index;
        if !(before + 1).is_multiple_of(window) {
            onwards[before] += onwards[before + 1];
        }
    }
    let mean = |end: usize| {
        let start = (end + 1).saturating_sub(window);
        let sum = if start.is_multiple_of(window) { until[end] } else { onwards[start] + until[end] };
        if sum.is_finite() { sum / (end + 1 - start) as f64 } else { stats::mean(&values[start..=end]) }
    };
    series.keys().enumerate().map(|(end, &step)| (step, mean(end))).collect()
}

fn on_a_grid(runs: &[Vec<(u64, f64)>]) -> BTreeMap<u64, Vec<f64>> {
    let steps = || runs.iter().flatten().map(|point| point.0);
    let (first, last) = (steps().min().unwrap_or(0), steps().max().unwrap_or(0));
    let at = |n: u64| first + (u128::from(last - first) * u128::from(n) / u128::from(GRID)) as u64;
    let mut grid: Vec<u64> = (0..=GRID).map(at).collect();
    grid.dedup();
    let values = |step: u64| runs.iter().filter_map(|run| interpolate(run, step)).collect::<Vec<f64>>();
    grid.into_iter().map(|step| (step, values(step))).filter(|(_, values)| !values.is_empty()).collect()
}

/// Value of a run at a step, on the straight line between its neighbours; `None` outside its range.
fn interpolate(run: &[(u64, f64)], step: u64) -> Option<f64> {
    let after = run.partition_point(|point| point.0 < step);
    let right = run.get(after)?;
    if right.0 == step {
        return Some(right.1);
    }
    let left = run.get(after.checked_sub(1)?)?;
    Some(stats::between(left.1, right.1, (step - left.0) as f64 / (right.0 - left.0) as f64))
}

/// Steps of each column that the line and the values of single runs need: the first and last, the
/// lowest and highest.
fn thinned(by_step: BTreeMap<u64, Vec<f64>>, band: Band) -> BTreeMap<u64, Vec<f64>> {
    let steps: Vec<(u64, Vec<f64>)> = by_step.into_iter().collect();
    let (first, last) = (steps[0].0, steps[steps.len() - 1].0);
    let column = |step: u64| (u128::from(step - first) * COLUMNS as u128 / u128::from((last - first).max(1))) as usize;
    let heights: Vec<[f64; 3]> = steps
        .par_iter()
        .map(|(_, values)| {
            let (low, high) = stats::range(values.iter().copied());
            [low, band.centre(&mut values.clone()), high]
        })
        .collect();
    let mut kept = BTreeSet::new();
    let mut start = 0;
    for part in steps.chunk_by(|a, b| column(a.0) == column(b.0)) {
        let within = || start..start + part.len();
        kept.extend([start, start + part.len() - 1]);
        for height in [0, 1, 2] {
            let order = |a: &usize, b: &usize| heights[*a][height].total_cmp(&heights[*b][height]);
            kept.extend(within().min_by(order));
            kept.extend(within().max_by(order));
        }
        start += part.len();
    }
    steps.into_iter().enumerate().filter(|(index, _)| kept.contains(index)).map(|(_, step)| step).collect()
}

impl Band {
    /// Height of the line. Sorts `values`.
    fn centre(self, values: &mut [f64]) -> f64 {
        match self {
            Self::InterquartileMean => stats::interquartile_mean(values),
            Self::MeanStd => stats::mean(values),
            Self::MedianQuartiles => stats::median(values),
        }
    }
}

fn summarise(step: u64, mut values: Vec<f64>, band: Band) -> CurvePoint {
    let seeds = values.len();
    let centre = band.centre(&mut values);
    let finite = |edge: f64| edge.clamp(f64::MIN, f64::MAX);
    let (centre, low, high) = match band {
        _ if seeds == 1 => (centre, centre, centre),
        Band::MeanStd => {
            let std = stats::std(&values);
            (centre, finite(centre - std), finite(centre + std))
        }
        Band::MedianQuartiles => (centre, stats::quantile(&values, 0.25), stats::quantile(&values, 0.75)),
        Band::InterquartileMean => {
            let bootstrap = Bootstrap { resamples: RESAMPLES, seed: step, ..Bootstrap::default() };
            let scores = Scores::new([(String::new(), values)]);
            let interval = scores.map(|scores| bootstrap.estimate(&scores, Estimator::InterquartileMean));
            interval.map_or((centre, centre, centre), |found| (found.value, found.low, found.high))
        }
    };
    CurvePoint { x: step as f64, centre, low, high, seeds }
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
        let curve = Curve::from_runs("x", &[&a, &b], Band::MeanStd, 1);
        let half_width = 2.0_f64.sqrt();
        assert_eq!(
            curve.points,
            [
                CurvePoint { x: 0.0, centre: 2.0, low: 2.0 - half_width, high: 2.0 + half_width, seeds: 2 },
                CurvePoint { x: 10.0, centre: 4.0, low: 4.0, high: 4.0, seeds: 1 },
            ]
        );
    }

    #[test]
    fn a_curve_of_many_steps_is_thinned_and_keeps_its_extremes() {
        // A high and a low value of one step each, and one seed that alone is low at another.
        let value = |n: u64| match n {
            31_313 => 1e6,
            77_777 => -1e6,
            n => (n % 100) as f64,
        };
        let a = run(&(0..100_000).map(|n| (10 * n, value(n))).collect::<Vec<_>>());
        let b = run(&(0..100_000).map(|n| (10 * n, if n == 50_005 { -500.0 } else { value(n) })).collect::<Vec<_>>());
        let curve = Curve::from_runs("x", &[&a, &b], Band::InterquartileMean, 1);
        assert!(!curve.interpolated && curve.points.len() < 3000, "{}", curve.points.len());
        let centres = stats::range(curve.points.iter().map(|point| point.centre));
        assert_eq!(centres, (-1e6, 1e6));
        let low = curve.points.iter().find(|point| point.x == 500_050.0).unwrap();
        assert_eq!((low.low, low.seeds), (-500.0, 2));
        assert_eq!((curve.points[0].x, curve.points[curve.points.len() - 1].x), (0.0, 999_990.0));
        let all = Curve::from_runs("x", &[&a], Band::MeanStd, 100_000);
        let mean = a.series.values().sum::<f64>() / 1e5;
        assert!((all.points[all.points.len() - 1].centre - mean).abs() < 1e-9);
    }

    #[test]
    fn the_largest_numbers_make_a_curve() {
        let runs: Vec<Run> = [-1e308, 1e308, 1e308].iter().map(|&value| run(&[(1, value), (3, -value)])).collect();
        let runs: Vec<&Run> = runs.iter().collect();
        for band in [Band::InterquartileMean, Band::MeanStd, Band::MedianQuartiles] {
            let curve = Curve::from_runs("x", &runs, band, 2);
            let numbers = curve.points.iter().flat_map(|point| [point.low, point.centre, point.high]);
            assert!(numbers.clone().all(f64::is_finite), "{:?}", numbers.collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_bootstrap_band_lies_within_the_data_and_around_the_line() {
        let runs: Vec<Run> = [1.0, 2.0, 3.0, 4.0, 50.0].iter().map(|&value| run(&[(5, value)])).collect();
        let curve = Curve::from_runs("x", &runs.iter().collect::<Vec<_>>(), Band::InterquartileMean, 1);
        let point = curve.points[0];
        assert_eq!(point.centre, 3.0);
        assert!(1.0 <= point.low && point.low < 3.0 && 3.0 < point.high && point.high <= 50.0, "{point:?}");
    }

    #[test]
    fn smoothing_takes_the_last_points_and_quartiles_are_linear() {
        let (a, b) = (run(&[(0, 1.0), (1, 3.0), (2, 8.0)]), run(&[(0, 1.0), (1, 3.0), (2, 9.0)]));
        let curve = Curve::from_runs("x", &[&a, &b], Band::MedianQuartiles, 2);
        let rows: Vec<_> = curve.points.iter().map(|point| (point.low, point.centre, point.high)).collect();
        assert_eq!(rows, [(1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (5.625, 5.75, 5.875)]);
    }

    #[test]
    fn a_shorter_seed_is_not_interpolated() {
        // In the middle of a sweep: ten evaluations, three, and none but the first.
        let run_to = |last: u64| run(&(0..last).map(|n| (100 * n, n as f64)).collect::<Vec<_>>());
        let (a, b, c) = (run_to(10), run_to(3), run_to(1));
        let curve = Curve::from_runs("x", &[&a, &b, &c], Band::MeanStd, 1);
        assert!(!curve.interpolated);
        assert_eq!(curve.points.iter().map(|point| point.seeds).collect::<Vec<_>>(), [3, 2, 2, 1, 1, 1, 1, 1, 1, 1]);
        // The tail of the longer run does not count: of 0, 50, …, 250 one step is shared.
        let aside = run(&[(0, 0.0), (50, 0.0), (150, 0.0), (250, 0.0)]);
        assert!(Curve::from_runs("x", &[&a, &aside], Band::MeanStd, 1).interpolated);
    }

    #[test]
    fn seeds_without_common_steps_are_interpolated_within_their_range() {
        let (a, b) = (run(&[(0, 0.0), (100, 100.0)]), run(&[(50, 0.0), (200, 150.0)]));
        let curve = Curve::from_runs("x", &[&a, &b], Band::MeanStd, 1);
        assert!(curve.interpolated);
        let at = |x: f64| *curve.points.iter().find(|point| point.x == x).unwrap();
        assert_eq!((at(25.0).centre, at(25.0).seeds), (25.0, 1));
        assert_eq!((at(80.0).centre, at(80.0).seeds), (55.0, 2));
        assert_eq!((at(200.0).centre, at(200.0).seeds), (150.0, 1));
    }
}
