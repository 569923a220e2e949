//! Minimisation by L-BFGS (Nocedal & Wright 2006, algorithm 7.4) with a bisecting weak-Wolfe line
//! search (Lewis & Overton 2013, section 2), which also makes progress on functions with kinks.
//! Outside its domain the function counts as infinite.

use std::collections::VecDeque;

/// Pairs of steps and gradient changes kept.
const MEMORY: usize = 16;

/// Armijo's and Wolfe's constants.
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;

/// Trials of one line search.
const TRIALS: usize = 30;

/// A point with the function's value and gradient there.
#[derive(Clone, Debug)]
pub(super) struct Iterate {
    pub(super) x: Vec<f64>,
    pub(super) value: f64,
    pub(super) gradient: Vec<f64>,
}

/// End of a minimisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The value hardly fell any more, or the line search found no lower point.
    Settled,
    /// The limit of iterations was reached.
    Iterations,
    /// `f` asked to stop.
    Stopped,
}

/// Limits of a minimisation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) iterations: usize,
    /// Relative decrease of the value that counts as progress; three iterations in a row without
    /// progress end it.
    pub(super) tolerance: f64,
}

/// Answer of the function at a point: value and gradient, outside the domain, or a request to stop.
pub(super) enum Trial {
    Inside(f64, Vec<f64>),
    Outside,
    Stop,
}

/// Minimises `f` from `start`; returns an error of `f` unchanged.
pub(super) fn minimise<E>(
    start: Iterate,
    limits: Limits,
    mut f: impl FnMut(&[f64]) -> Result<Trial, E>,
) -> Result<(Iterate, Outcome), E> {
    let (mut point, mut pairs, mut idle) = (start, VecDeque::new(), 0);
    for _ in 0..limits.iterations {
        let mut direction = direction(&point.gradient, &pairs);
        let mut slope = dot(&direction, &point.gradient);
        if slope >= 0.0 || !slope.is_finite() {
            pairs.clear();
            direction = point.gradient.iter().map(|g| -g).collect();
            slope = dot(&direction, &point.gradient);
        }
        if slope == 0.0 {
            return Ok((point, Outcome::Settled));
        }
        let first = if pairs.is_empty() { (1.0 / norm(&direction)).min(1.0) } else { 1.0 };
        let next = match search(&point, &direction, slope, first, &mut f)? {
            LineSearch::Found(next) => next,
            LineSearch::Nothing if pairs.is_empty() => return Ok((point, Outcome::Settled)),
            LineSearch::Nothing => {
                pairs.clear();
                continue;
            }
            LineSearch::Stopped => return Ok((point, Outcome::Stopped)),
        };
        let step: Vec<f64> = next.x.iter().zip(&point.x).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = next.gradient.iter().zip(&point.gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&step, &change);
        if curvature > 1e-14 * norm(&step) * norm(&change) {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back((step, change, curvature));
        }
        idle = if point.value - next.value <= limits.tolerance * next.value.abs() { idle + 1 } else { 0 };
        point = next;
        if idle == 3 {
            return Ok((point, Outcome::Settled));
        }
    }
    Ok((point, Outcome::Iterations))
}

/// −H g by the two-loop recursion.
fn direction(gradient: &[f64], pairs: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut along = Vec::with_capacity(pairs.len());
    for (step, change, curvature) in pairs.iter().rev() {
        let a = dot(step, &q) / curvature;
        add(&mut q, -a, change);
        along.push(a);
    }
    if let Some((_, change, curvature)) = pairs.back() {
        let scale = curvature / dot(change, change);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((step, change, curvature), a) in pairs.iter().zip(along.iter().rev()) {
        let b = dot(change, &q) / curvature;
        add(&mut q, a - b, step);
    }
    q
}

/// Result of a line search.
enum LineSearch {
    Found(Iterate),
    Nothing,
    Stopped,
}

/// Finds a point along `direction` that satisfies both Wolfe conditions, or the last one that
/// satisfies Armijo's.
fn search<E>(
    from: &Iterate,
    direction: &[f64],
    slope: f64,
    first: f64,
    f: &mut impl FnMut(&[f64]) -> Result<Trial, E>,
) -> Result<LineSearch, E> {
    let (mut low, mut high, mut length, mut found) = (0.0, f64::INFINITY, first, None);
    for _ in 0..TRIALS {
        let x: Vec<f64> = from.x.iter().zip(direction).map(|(x, d)| x + length * d).collect();
        match f(&x)? {
            Trial::Stop => return Ok(LineSearch::Stopped),
            Trial::Inside(value, gradient) if value <= from.value + DECREASE * length * slope => {
                let flat = dot(&gradient, direction) >= CURVATURE * slope;
                found = Some(Iterate { x, value, gradient });
                if flat {
                    break;
                }
                low = length;
            }
            Trial::Inside(..) | Trial::Outside => high = length,
        }
        if found.is_some() && high.is_finite() && high - low < 1e-3 * high {
            break;
        }
        length = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * low };
    }
    Ok(found.map_or(LineSearch::Nothing, LineSearch::Found))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += factor * what);
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn run(start: &[f64], f: impl Fn(&[f64]) -> Option<(f64, Vec<f64>)>) -> (Iterate, Outcome) {
        let (value, gradient) = f(start).unwrap();
        let limits = Limits { iterations: 500, tolerance: 1e-14 };
        let trial = |x: &[f64]| Ok::<_, Infallible>(f(x).map_or(Trial::Outside, |(v, g)| Trial::Inside(v, g)));
        minimise(Iterate { x: start.to_vec(), value, gradient }, limits, trial).unwrap()
    }

    #[test]
    fn rosenbrock_s_valley_ends_at_one_one() {
        let (point, _) = run(&[-1.2, 1.0], |x| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            Some((1.0 + a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b]))
        });
        assert!((point.x[0] - 1.0).abs() < 1e-5 && (point.x[1] - 1.0).abs() < 1e-5, "{point:?}");
    }

    #[test]
    fn a_minimum_at_the_edge_of_the_domain_is_approached_from_inside() {
        // x − log x within x > 0 starts far out; 3x + 1/x has its minimum at 1/√3.
        let (point, _) =
            run(&[40.0], |x| (x[0] > 0.0).then(|| (3.0 * x[0] + 1.0 / x[0], vec![3.0 - 1.0 / (x[0] * x[0])])));
        assert!((point.x[0] - 3f64.sqrt().recip()).abs() < 1e-6, "{point:?}");
        // Falling towards a wall.
        let (point, _) = run(&[2.0], |x| (x[0] > 1.0).then(|| (x[0], vec![1.0])));
        assert!(point.x[0] > 1.0 && point.x[0] < 1.01, "{point:?}");
    }

    #[test]
    fn it_stops_when_told_to() {
        let mut calls = 0;
        let start = Iterate { x: vec![1.0], value: 1.0, gradient: vec![2.0] };
        let limits = Limits { iterations: 100, tolerance: 0.0 };
        let f = |_: &[f64]| {
            calls += 1;
            Ok::<_, Infallible>(Trial::Stop)
        };
        let (point, end) = minimise(start, limits, f).unwrap();
        assert_eq!((point.x[0], end, calls), (1.0, Outcome::Stopped, 1));
    }
}
