//! Lower bounds (observed): the largest Jacobian norm found. It is exact at its point, so the
//! Lipschitz constant is at least this. Beside an upper bound it shows how tight that is.
//!
//! Points come from data, from a Gaussian around it or uniformly from a box. From the best of them,
//! two climbs start. First, pairs of points climb the ratio ‖f(x) − f(y)‖ / ‖x − y‖ by Adam; unlike
//! a gradient of ‖J‖, this ratio sees beyond the kinks at which the Jacobian of a ReLU network
//! jumps. Then single points take random steps that raise ‖J‖, longer after a success and shorter
//! after a failure. Only Jacobian norms count in the end, less what rounding can have added.

use std::time::{Duration, Instant};

use faer::Mat;
use liprl_numerics::StreamRng;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::{
    algebra::operator_norm, bound::Norm, error::CertifyError, local::norm_at, network::Network, region::Region,
};

/// Number of data points, and of random points, at which the norm is evaluated.
const SAMPLES: usize = 512;

/// Pairs that climb, their first distance (relative to the spread of each coordinate), and Adam's
/// steps and rate (likewise relative).
const PAIRS: usize = 16;
const APART: f64 = 1e-3;
const STEPS: usize = 100;
const RATE: f64 = 0.03;

/// Points that climb by random steps, and the number of their steps.
const CLIMBERS: usize = 8;
const RANDOM_STEPS: usize = 100;

/// Most points whose norm is proven, best first.
const PROOFS: usize = 16;

/// Place and limits of the search.
#[derive(Clone, Copy, Debug, Default)]
pub struct LowerOptions<'a> {
    /// The box to search; `None` for everywhere.
    pub region: Option<&'a Region>,
    /// Points to start from, `[R, inputs]`; those outside the box are moved into it.
    pub points: &'a [f64],
    /// Time after which the search stops; `None` for a fixed amount of work.
    pub time_limit: Option<Duration>,
}

/// A lower bound (observed).
#[derive(Clone, Debug, PartialEq)]
pub struct Lower {
    /// The Lipschitz constant is at least this.
    pub lower: f64,
    /// The input with this Jacobian norm; empty if none was found.
    pub at: Vec<f64>,
}

/// Searches for the largest Jacobian norm.
///
/// # Errors
/// [`CertifyError::BadRegion`] for a box or points of another dimension,
/// [`CertifyError::NotConverged`] if a decomposition fails.
pub fn lower_bound(
    network: &Network,
    norm: Norm,
    options: &LowerOptions<'_>,
    rng: &mut StreamRng,
) -> Result<Lower, CertifyError> {
    let inputs = network.inputs();
    let wrong = options.region.is_some_and(|region| region.dim() != inputs);
    if wrong || !options.points.len().is_multiple_of(inputs.max(1)) {
        let problem = format!("has another number of coordinates than the {inputs} of {}", network.name());
        return Err(CertifyError::BadRegion { problem });
    }
    let deadline = options.time_limit.map(|limit| Instant::now() + limit);
    let late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    let sampler = Sampler::of(inputs, options);
    let mut found: Vec<(f64, Vec<f64>)> = Vec::new();
    let size = |x: &[f64]| network.jacobian(x).map_or(Ok(0.0), |jacobian| operator_norm(jacobian.as_ref(), norm));
    let rows = options.points.chunks_exact(inputs);
    let stride = rows.len().div_ceil(SAMPLES).max(1);
    for x in rows.step_by(stride) {
        if late() && !found.is_empty() {
            break;
        }
        let mut x = x.to_vec();
        sampler.confine(&mut x);
        found.push((size(&x)?, x));
    }
    for _ in 0..SAMPLES {
        if late() {
            break;
        }
        let x = sampler.draw(rng);
        found.push((size(&x)?, x));
    }
    best_first(&mut found);
    for pair in 0..PAIRS.min(found.len()) {
        if late() {
            break;
        }
        for x in climb_pair(network, &sampler, &found[pair].1, rng, &late) {
            found.push((size(&x)?, x));
        }
    }
    best_first(&mut found);
    for (value, x) in found.iter_mut().take(CLIMBERS) {
        let mut reach = 0.1;
        for _ in 0..RANDOM_STEPS {
            if late() {
                break;
            }
            let mut next: Vec<f64> = x.iter().zip(&sampler.spread).map(|(x, s)| x + reach * s * normal(rng)).collect();
            sampler.confine(&mut next);
            let norm = size(&next)?;
            if norm > *value {
                (*value, *x) = (norm, next);
                reach *= 1.5;
            } else {
                reach *= 0.85;
            }
        }
    }
    best_first(&mut found);
    let mut best = Lower { lower: 0.0, at: Vec::new() };
    for (value, at) in found.into_iter().take(PROOFS) {
        if value <= best.lower * (1.0 + 1e-8) {
            break;
        }
        let lower = norm_at(network, &at, norm, None)?;
        if lower > best.lower {
            best = Lower { lower, at };
        }
    }
    Ok(best)
}

fn best_first(found: &mut Vec<(f64, Vec<f64>)>) {
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(SAMPLES);
}

fn normal(rng: &mut StreamRng) -> f64 {
    StandardNormal.sample(rng)
}

/// Distribution of the points.
struct Sampler<'a> {
    region: Option<&'a Region>,
    centre: Vec<f64>,
    /// Standard deviation of the data, or a quarter of the box's width; 1 without either.
    spread: Vec<f64>,
}

impl<'a> Sampler<'a> {
    fn of(inputs: usize, options: &LowerOptions<'a>) -> Self {
        if let Some(region) = options.region {
            let spread = region.low().iter().zip(region.high()).map(|(low, high)| 0.25 * (high - low)).collect();
            return Self { region: Some(region), centre: region.centre(), spread };
        }
        let count = (options.points.len() / inputs.max(1)) as f64;
        if count < 2.0 {
            return Self { region: None, centre: vec![0.0; inputs], spread: vec![1.0; inputs] };
        }
        let mean = |of: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; inputs];
            for point in options.points.chunks_exact(inputs) {
                sums.iter_mut().zip(point).enumerate().for_each(|(i, (sum, x))| *sum += of(i, *x) / count);
            }
            sums
        };
        let centre = mean(&|_, x| x);
        let spread = mean(&|i, x| (x - centre[i]).powi(2)).into_iter().map(|v| v.sqrt().max(1e-6)).collect();
        Self { region: None, centre, spread }
    }

    fn draw(&self, rng: &mut StreamRng) -> Vec<f64> {
        let ends = match self.region {
            Some(region) => {
                return region.low().iter().zip(region.high()).map(|(l, h)| rng.random_range(*l..=*h)).collect();
            }
            None => self.centre.iter().zip(&self.spread),
        };
        // One half near the data, the other well beyond it.
        let far = [1.0, 3.0][rng.random_range(0..2usize)];
        ends.map(|(centre, spread)| centre + far * spread * normal(rng)).collect()
    }

    fn confine(&self, x: &mut [f64]) {
        if let Some(region) = self.region {
            region.clamp(x);
        }
    }
}

/// Climbs the logarithm of the ratio of distances with `start` and a point close to it; returns
/// both ends of the climb and three points between.
fn climb_pair(
    network: &Network,
    sampler: &Sampler<'_>,
    start: &[f64],
    rng: &mut StreamRng,
    late: &dyn Fn() -> bool,
) -> Vec<Vec<f64>> {
    let n = start.len();
    let mut ends: Vec<f64> = start.to_vec();
    ends.extend(start.iter().zip(&sampler.spread).map(|(x, spread)| x + APART * spread * normal(rng)));
    let (mut first, mut second) = (vec![0.0; 2 * n], vec![0.0; 2 * n]);
    for step in (1..=STEPS).take_while(|_| !late()) {
        let (x, y) = ends.split_at(n);
        let apart: Vec<f64> = x.iter().zip(y).map(|(x, y)| x - y).collect();
        let (fx, fy) = (network.forward(x), network.forward(y));
        let moved: Vec<f64> = fx.iter().zip(&fy).map(|(a, b)| a - b).collect();
        let (apart2, moved2) = (squares(&apart), squares(&moved));
        let (Some(jx), Some(jy)) = (network.jacobian(x), network.jacobian(y)) else { break };
        if apart2 < 1e-24 || moved2 < 1e-24 {
            break;
        }
        // ∂/∂x ½ log(|f(x) − f(y)|² / |x − y|²); the derivative by y has the other sign.
        let pull =
            |jacobian: &Mat<f64>, j: usize| -> f64 { jacobian.col(j).iter().zip(&moved).map(|(a, m)| a * m).sum() };
        let gradient = (0..2 * n).map(|i| {
            let j = i % n;
            let (sign, jacobian) = if i < n { (1.0, &jx) } else { (-1.0, &jy) };
            sign * (pull(jacobian, j) / moved2 - apart[j] / apart2) * sampler.spread[j]
        });
        let gradient: Vec<f64> = gradient.collect();
        let rate = RATE * 0.1f64.powi((3 * (step - 1) / STEPS) as i32);
        for i in 0..2 * n {
            first[i] = 0.9 * first[i] + 0.1 * gradient[i];
            second[i] = 0.999 * second[i] + 0.001 * gradient[i] * gradient[i];
            let (a, b) = (1.0 - 0.9f64.powi(step as i32), 1.0 - 0.999f64.powi(step as i32));
            ends[i] += rate * sampler.spread[i % n] * (first[i] / a) / ((second[i] / b).sqrt() + 1e-12);
        }
        let (x, y) = ends.split_at_mut(n);
        sampler.confine(x);
        sampler.confine(y);
    }
    let (x, y) = ends.split_at(n);
    let between = |share: f64| x.iter().zip(y).map(|(x, y)| x + share * (y - x)).collect();
    [0.0, 0.25, 0.5, 0.75, 1.0].map(between).into()
}

fn squares(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

#[cfg(test)]
mod tests;
