//! The tree-structured Parzen estimator (TPE) over a box of settings.
//!
//! The trials are split into the best ones and the rest. Each part gets a density: a mixture with
//! one kernel for each trial and a wide one, the prior, for the whole box. Of candidates drawn from
//! the density of the best, the one with the greatest ratio of the two densities is asked for.
//! Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", section 4. Kernels are
//! products over all axes, as in Falkner et al. 2018, "BOHB", so that settings that matter together
//! are modelled together. Bandwidths and weights are those of the `TPESampler` of Optuna 5.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// Share of the trials that count as the best, and the most that do.
const BEST: (f64, usize) = (0.1, 25);
/// Number of candidates.
const CANDIDATES: usize = 24;
/// Latest trials that have full weight; the weight of older ones falls linearly with age.
const RECENT: usize = 25;

/// An axis of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// Numbers from 0 to 1.
    Interval,
    /// Categories, by their indices from 0.
    Categories(usize),
}

/// A trial: a coordinate for each axis, and its result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trial {
    /// Coordinates.
    pub at: Vec<f64>,
    /// Result, of which more is better; −∞ for a trial without one.
    pub value: f64,
}

/// The next point to try, after these trials in the order in which they were asked for. Without
/// trials it is drawn from the prior.
pub(super) fn ask(axes: &[Axis], trials: &[Trial], rng: &mut impl Rng) -> Vec<f64> {
    let count = ((BEST.0 * trials.len() as f64).ceil() as usize).min(BEST.1);
    let mut order: Vec<usize> = (0..trials.len()).collect();
    // Of equal trials the earlier one is the better.
    order.sort_by(|a, b| trials[*b].value.total_cmp(&trials[*a].value));
    let part = |of: &[usize]| {
        let mut of = of.to_vec();
        of.sort_unstable();
        Density::new(axes, of.into_iter().map(|index| trials[index].at.as_slice()).collect())
    };
    let (good, rest) = (part(&order[..count]), part(&order[count..]));
    let candidates = (0..CANDIDATES).map(|_| good.draw(rng));
    let rated = candidates.map(|at| (good.log_density(&at) - rest.log_density(&at), at));
    rated.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, at)| at).unwrap_or_default()
}

/// A mixture of kernels; the last one is the prior.
struct Density<'a> {
    axes: &'a [Axis],
    /// Centres of the kernels but the prior.
    centres: Vec<&'a [f64]>,
    /// Weights of all kernels, with sum 1.
    weights: Vec<f64>,
    /// Standard deviation of each kernel but the prior on each interval: axis → kernel.
    widths: Vec<Vec<f64>>,
}

impl<'a> Density<'a> {
    fn new(axes: &'a [Axis], centres: Vec<&'a [f64]>) -> Self {
        let count = centres.len();
        let old = count.saturating_sub(RECENT);
        let ramp = |index: usize| {
            let share = if old > 1 { index as f64 / (old - 1) as f64 } else { 0.0 };
            1.0 / count as f64 + share * (1.0 - 1.0 / count as f64)
        };
        let mut weights: Vec<f64> = (0..count).map(|index| if index < old { ramp(index) } else { 1.0 }).collect();
        weights.push(1.0);
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let widths = (0..axes.len()).map(|axis| widths(&centres.iter().map(|at| at[axis]).collect::<Vec<_>>()));
        Self { axes, widths: widths.collect(), centres, weights }
    }

    fn draw(&self, rng: &mut impl Rng) -> Vec<f64> {
        let mut left: f64 = rng.random();
        let chosen = self.weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        // Sums of weights are 1 but for rounding.
        let kernel = chosen.unwrap_or(self.centres.len());
        let of = |(axis, place): (usize, &Axis)| {
            match *place {
                Axis::Interval => {
                    let (mean, deviation) = self.normal(kernel, axis);
                    // The mean is within the interval, so that at least a third of the draws are.
                    loop {
                        let z: f64 = rng.sample(StandardNormal);
                        let x = mean + deviation * z;
                        if (0.0..=1.0).contains(&x) {
                            break x;
                        }
                    }
                }
                Axis::Categories(number) => {
                    let mut left: f64 = rng.random();
                    let drawn = (0..number).find(|index| {
                        left -= self.share(kernel, axis, *index as f64, number);
                        left < 0.0
                    });
                    drawn.unwrap_or(number - 1) as f64
                }
            }
        };
        self.axes.iter().enumerate().map(of).collect()
    }

    fn log_density(&self, at: &[f64]) -> f64 {
        let log = |kernel: usize| {
            let of = |axis: usize| match self.axes[axis] {
                Axis::Interval => self.log_normal(kernel, axis, at[axis]),
                Axis::Categories(number) => self.share(kernel, axis, at[axis], number).ln(),
            };
            self.weights[kernel].ln() + (0..self.axes.len()).map(of).sum::<f64>()
        };
        let logs: Vec<f64> = (0..self.weights.len()).map(log).collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln()
    }

    /// Mean and standard deviation of a kernel on an interval, before it is cut off at the ends.
    fn normal(&self, kernel: usize, axis: usize) -> (f64, f64) {
        self.centres.get(kernel).map_or((0.5, 1.0), |centre| (centre[axis], self.widths[axis][kernel]))
    }

    fn log_normal(&self, kernel: usize, axis: usize, x: f64) -> f64 {
        let (mean, deviation) = self.normal(kernel, axis);
        let z = (x - mean) / deviation;
        let inside = normal_share((1.0 - mean) / deviation) - normal_share(-mean / deviation);
        -0.5 * z * z - (deviation * inside).ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
    }

    /// Probability of a category under one kernel.
    fn share(&self, kernel: usize, axis: usize, index: f64, number: usize) -> f64 {
        let Some(centre) = self.centres.get(kernel) else { return 1.0 / number as f64 };
        // One count for the kernel's own category, one prior count for all kernels.
        let prior = 1.0 / self.weights.len() as f64;
        let own = f64::from(u8::from(centre[axis] == index));
        (prior + own) / (prior * number as f64 + 1.0)
    }
}

/// Standard deviations of kernels with these centres on one interval: for each the greater distance
/// to a neighbour, or to an end of the interval if there is one kernel alone, within limits.
fn widths(centres: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..centres.len()).collect();
    order.sort_by(|a, b| centres[*a].total_cmp(&centres[*b]));
    let mut widths = vec![0.0; centres.len()];
    // Few trials do not confine the search.
    let least = 1.0 / (centres.len() as f64 + 2.0).min(100.0);
    for (rank, &index) in order.iter().enumerate() {
        let x = centres[index];
        let below = rank.checked_sub(1).map(|rank| x - centres[order[rank]]);
        let above = order.get(rank + 1).map(|next| centres[*next] - x);
        let width = match (below, above) {
            (Some(below), Some(above)) => below.max(above),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => x.max(1.0 - x),
        };
        widths[index] = width.clamp(least, 1.0);
    }
    widths
}

/// Share of the standard normal distribution below x, within 1.5e-7: Abramowitz and Stegun, 7.1.26.
fn normal_share(x: f64) -> f64 {
    const TERMS: [f64; 5] = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let tail = 0.5 * t * TERMS.iter().fold(0.0, |sum, term| sum * t + term) * (-z * z).exp();
    if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
#[path = "tpe_tests.rs"]
mod tests;
