//! Stratified bootstrap over runs: percentile intervals of any estimate.
//!
//! A resample draws the runs of each task with replacement, as many as there are. Several methods
//! are drawn independently (`rliable`'s `StratifiedBootstrap` and `StratifiedIndependentBootstrap`,
//! method `percentile`).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::scores::{Estimator, Scores, ScoresError};
use crate::{scores, stats};

/// An estimate with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfidenceInterval {
    /// Estimate from the scores themselves.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Settings of a bootstrap. Equal scores give equal intervals on any number of threads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// Number of resamples. Default 50,000, as in the paper for point estimates.
    pub resamples: usize,
    /// Share of the resampled estimates within the interval. Default 0.95.
    pub coverage: f64,
    /// Seed of the draws. Default 0.
    pub seed: u64,
    /// True to draw tasks too, so that the interval covers the choice of tasks. Default false.
    pub tasks: bool,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 50_000, coverage: 0.95, seed: 0, tasks: false }
    }
}

/// Number of resamples that share one random stream.
const BLOCK: usize = 256;

impl Bootstrap {
    /// Estimate of one method's scores.
    pub fn estimate(&self, scores: &Scores, estimator: Estimator) -> ConfidenceInterval {
        self.one(&[scores], |drawn| estimator.of(&drawn[0]))
    }

    /// Estimate of `ours` minus that of `theirs`.
    ///
    /// # Errors
    /// If the two are of different tasks.
    pub fn difference(
        &self,
        ours: &Scores,
        theirs: &Scores,
        estimator: Estimator,
    ) -> Result<ConfidenceInterval, ScoresError> {
        ours.same_tasks(theirs)?;
        Ok(self.one(&[ours, theirs], |drawn| estimator.of(&drawn[0]) - estimator.of(&drawn[1])))
    }

    /// Mean over pairs of the first's estimate minus the second's: an effect averaged over the
    /// settings in which it was tried. Every method is drawn independently.
    ///
    /// # Errors
    /// If the two of a pair are of different tasks.
    pub fn mean_difference(
        &self,
        pairs: &[(&Scores, &Scores)],
        estimator: Estimator,
    ) -> Result<ConfidenceInterval, ScoresError> {
        pairs.iter().try_for_each(|(ours, theirs)| ours.same_tasks(theirs))?;
        let methods: Vec<&Scores> = pairs.iter().flat_map(|&(ours, theirs)| [ours, theirs]).collect();
        Ok(self.one(&methods, |drawn| {
            let differences = drawn.chunks_exact(2).map(|pair| estimator.of(&pair[0]) - estimator.of(&pair[1]));
            differences.sum::<f64>() / pairs.len() as f64
        }))
    }

    /// [`scores::probability_of_improvement`] of `ours` over `theirs`.
    ///
    /// # Errors
    /// If the two are of different tasks.
    pub fn improvement(&self, ours: &Scores, theirs: &Scores) -> Result<ConfidenceInterval, ScoresError> {
        ours.same_tasks(theirs)?;
        Ok(self.one(&[ours, theirs], |drawn| scores::probability_of_improvement(&drawn[0], &drawn[1])))
    }

    /// [`scores::performance_profile`] with a pointwise interval at each threshold.
    pub fn profile(&self, scores: &Scores, thresholds: &[f64]) -> Vec<ConfidenceInterval> {
        self.many(&[scores], |drawn| scores::performance_profile(&drawn[0], thresholds))
    }

    /// Estimate over `n` units that are drawn as wholes, such as runs or points of a search: `of` has
    /// it for the units of these numbers. Resamples without an estimate are left out; `None` if the
    /// units themselves have none.
    pub fn over(&self, n: usize, of: impl Fn(&[usize]) -> Option<f64> + Sync) -> Option<ConfidenceInterval> {
        let value = of(&(0..n).collect::<Vec<_>>())?;
        let mut drawn: Vec<f64> = (0..self.resamples.div_ceil(BLOCK))
            .into_par_iter()
            .flat_map_iter(|block| {
                let mut rng = self.stream(block);
                let count = BLOCK.min(self.resamples - block * BLOCK);
                let estimates: Vec<f64> = (0..count)
                    .filter_map(|_| of(&(0..n).map(|_| rng.random_range(0..n)).collect::<Vec<_>>()))
                    .collect();
                estimates
            })
            .collect();
        drawn.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.coverage) / 2.0;
        let (low, high) = match drawn.as_slice() {
            [] => (value, value),
            drawn => (stats::quantile(drawn, tail), stats::quantile(drawn, 1.0 - tail)),
        };
        Some(ConfidenceInterval { value, low, high })
    }

    /// The random stream of a block of resamples.
    fn stream(&self, block: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(block as u64);
        rng
    }

    /// One number, estimated from each resample.
    fn one(&self, methods: &[&Scores], estimate: impl Fn(&[Scores]) -> f64 + Sync) -> ConfidenceInterval {
        let nothing = ConfidenceInterval { value: f64::NAN, low: f64::NAN, high: f64::NAN };
        self.many(methods, |drawn| vec![estimate(drawn)]).first().copied().unwrap_or(nothing)
    }

    /// Several numbers, estimated from the same resamples.
    fn many(&self, methods: &[&Scores], estimate: impl Fn(&[Scores]) -> Vec<f64> + Sync) -> Vec<ConfidenceInterval> {
        let given: Vec<Scores> = methods.iter().map(|scores| (*scores).clone()).collect();
        let resampled: Vec<Vec<f64>> = (0..self.resamples.div_ceil(BLOCK))
            .into_par_iter()
            .flat_map_iter(|block| {
                let mut rng = self.stream(block);
                let mut drawn = given.clone();
                let count = BLOCK.min(self.resamples - block * BLOCK);
                let estimates: Vec<Vec<f64>> = (0..count)
                    .map(|_| {
                        given.iter().zip(&mut drawn).for_each(|(from, to)| self.draw(from, to, &mut rng));
                        estimate(&drawn)
                    })
                    .collect();
                estimates
            })
            .collect();
        let tail = (1.0 - self.coverage) / 2.0;
        let interval = |(index, value): (usize, f64)| {
            let mut column: Vec<f64> = resampled.iter().map(|row| row[index]).collect();
            column.sort_unstable_by(f64::total_cmp);
            ConfidenceInterval {
                value,
                low: stats::quantile(&column, tail),
                high: stats::quantile(&column, 1.0 - tail),
            }
        };
        estimate(&given).into_iter().enumerate().map(interval).collect()
    }

    /// Draws a resample of `from` into `to`.
    fn draw(&self, from: &Scores, to: &mut Scores, rng: &mut ChaCha8Rng) {
        let tasks = from.tasks();
        for (index, slot) in to.tasks_mut().iter_mut().enumerate() {
            let source = if self.tasks { &tasks[rng.random_range(0..tasks.len())] } else { &tasks[index] };
            slot.runs.clear();
            slot.runs.extend(source.runs.iter().map(|_| source.runs[rng.random_range(0..source.runs.len())]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(runs: Vec<f64>) -> Scores {
        Scores::new([("task".to_owned(), runs)]).unwrap()
    }

    #[test]
    fn interval_of_the_mean_matches_the_normal_one() {
        // 400 values of known spread: the percentile interval of the mean approaches ± 1.96 σ/√n.
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let half = 1.96 * stats::std(&values) / 20.0;
        let found = Bootstrap { resamples: 4000, ..Bootstrap::default() }.estimate(&task(values), Estimator::Mean);
        assert!((found.high - found.low - 2.0 * half).abs() < 0.06 * 2.0 * half, "{found:?} {half}");
        assert!((0.5 * (found.low + found.high) - found.value).abs() < 0.1 * half, "{found:?}");
    }

    #[test]
    fn interval_of_two_values_is_theirs_exactly() {
        // Means of resamples of {0, 1}: 0, ½, 1 with probabilities ¼, ½, ¼.
        let found = Bootstrap::default().estimate(&task(vec![0.0, 1.0]), Estimator::Mean);
        assert_eq!(found, ConfidenceInterval { value: 0.5, low: 0.0, high: 1.0 });
        let narrow = Bootstrap { coverage: 0.4, ..Bootstrap::default() };
        assert_eq!(
            narrow.estimate(&task(vec![0.0, 1.0]), Estimator::Mean),
            ConfidenceInterval { value: 0.5, low: 0.5, high: 0.5 }
        );
    }

    #[test]
    fn units_are_drawn_as_wholes() {
        // The mean of {0, 1} again, over units; and resamples without an estimate are left out:
        // those of the first unit alone have none, and the others are ½ or 1.
        let values = [0.0, 1.0];
        let mean = |units: &[usize]| stats::mean(&units.iter().map(|unit| values[*unit]).collect::<Vec<_>>());
        let found = Bootstrap::default().over(2, |units| Some(mean(units)));
        assert_eq!(found, Some(ConfidenceInterval { value: 0.5, low: 0.0, high: 1.0 }));
        let found = Bootstrap::default().over(2, |units| Some(mean(units)).filter(|mean| *mean > 0.0)).unwrap();
        assert_eq!((found.low, found.high), (0.5, 1.0));
        assert_eq!(Bootstrap::default().over(0, |_| None), None);
    }

    #[test]
    fn runs_stay_within_their_task() {
        // Were runs drawn across tasks, the mean would vary.
        let scores = Scores::from_rows(&["a", "b"], &[vec![0.0, 8.0], vec![0.0, 8.0]]).unwrap();
        let still = Bootstrap::default().estimate(&scores, Estimator::Mean);
        assert_eq!(still, ConfidenceInterval { value: 4.0, low: 4.0, high: 4.0 });
        let over_tasks = Bootstrap { tasks: true, ..Bootstrap::default() }.estimate(&scores, Estimator::Mean);
        assert_eq!((over_tasks.low, over_tasks.high), (0.0, 8.0));
    }

    #[test]
    fn intervals_do_not_depend_on_the_number_of_threads() {
        let scores = task((0..12).map(|i| f64::from(i).exp().sin()).collect());
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Bootstrap::default().estimate(&scores, Estimator::InterquartileMean))
        };
        assert_eq!(on(1), on(4));
        let reseeded =
            |seed| Bootstrap { seed, resamples: 999, ..Bootstrap::default() }.estimate(&scores, Estimator::Mean);
        assert_ne!(reseeded(0), reseeded(1));
    }

    #[test]
    fn methods_are_drawn_independently() {
        // A method compared with itself: a joint draw would give differences of 0 only.
        let scores = task((0..10).map(f64::from).collect());
        let found = Bootstrap::default().difference(&scores, &scores, Estimator::Mean).unwrap();
        assert!(found.value == 0.0 && found.low < -2.0 && found.high > 2.0, "{found:?}");
        assert!(Bootstrap::default().improvement(&scores, &task(vec![-1.0])).unwrap().low > 0.9);
    }
}
