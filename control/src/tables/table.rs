//! A non-parametric policy: an α-Lipschitz extension of a table of values to the whole space, exact
//! in f64.
//!
//! Scalars: the mean of McShane's (1934) two extremes, maxᵢ(vᵢ − α‖x − xᵢ‖) and minᵢ(vᵢ + α‖x −
//! xᵢ‖).
//!
//! Vectors: any common point of the balls B(vᵢ, α‖x − xᵢ‖) is right for one query, but points
//! chosen query by query need not be Lipschitz among one another. So the explicit extension of
//! Azagra, Le Gruyer & Mudarra (2021, "Kirszbraun's theorem via an explicit formula") is used, F(x)
//! = ∇_y conv(g)(x, 0). For a finite table the convex hull is that of N quadratics with one
//! Hessian. Then F(x) = Σ λᵢ vᵢ, and λ solves a quadratic program on the simplex (derivation:
//! docs/derivations/lipschitz_layers.md):
//!
//!   min over λ of 2 Σ λᵢ‖x − xᵢ‖² − Var_λ(x) − Var_λ(v)/α²,  Var_λ(z) = Σ λᵢ‖zᵢ‖² − ‖Σ λᵢ zᵢ‖².
//!
//! It is convex of rank O + A, so at most O + A + 1 of the λ are not 0. An active-set method finds
//! them in about as many passes over the table.

use liprl_numerics::{NumericsError, neighbours::distance};

use super::points::Points;
use crate::error::ControlError;

/// An α-Lipschitz function through given values.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Observations and values; no observation occurs twice.
    points: Points,
    alpha: f64,
    scratch: Scratch,
}

/// Buffers of one query.
#[derive(Clone, Debug, Default, PartialEq)]
struct Scratch {
    /// (xᵢ − x, (vᵢ − v₀)/α), `[N, O + A]`.
    lifted: Vec<f64>,
    /// ‖xᵢ − x‖² − ‖vᵢ − v₀‖²/α², `[N]`.
    linear: Vec<f64>,
}

impl Table {
    /// The extension of `points` (their u are the values) with constant `alpha`.
    ///
    /// # Errors
    /// [`NumericsError::BadConfig`] if there are no points, two have one observation, or some
    /// pair's slope exceeds α by more than rounding.
    pub fn new(points: Points, alpha: f64) -> Result<Self, ControlError> {
        let bad = |problem: String| ControlError::from(NumericsError::BadConfig { setting: "alpha".into(), problem });
        if points.is_empty() {
            return Err(bad("there are no points to extend from".into()));
        }
        if let Some(worst) = points.worst_pair(alpha)?
            && worst.forced_error(alpha) > 1e-9 * (1.0 + worst.actions_apart)
        {
            let ((i, j), forced) = (worst.rows, worst.forced_error(alpha));
            return Err(bad(format!("values {i} and {j} are further apart than {alpha} allows, by {}", 2.0 * forced)));
        }
        if let Some(worst) = points.worst_duplicate() {
            let problem = format!("points {} and {} have one observation", worst.rows.0, worst.rows.1);
            return Err(bad(problem));
        }
        Ok(Self { points, alpha, scratch: Scratch::default() })
    }

    /// The Lipschitz constant of the extension.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// Observations and values.
    pub fn points(&self) -> &Points {
        &self.points
    }

    /// Writes the value at `x [O]` into `out [A]`. O(N (O + A)) a pass: one pass for scalars, some
    /// ten for vectors.
    pub fn value(&mut self, x: &[f64], out: &mut [f64]) {
        if self.points.act_dim == 1 {
            let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
            for i in 0..self.points.len() {
                let (v, reach) = (self.points.u[i], self.alpha * distance(x, self.points.x(i)));
                low = low.max(v - reach);
                high = high.min(v + reach);
            }
            out[0] = 0.5 * (low + high);
        } else {
            self.lift(x);
            let (support, weights) = self.minimise();
            out.fill(0.0);
            for (i, weight) in support.into_iter().zip(weights) {
                out.iter_mut().zip(self.points.u(i)).for_each(|(out, v)| *out += weight * v);
            }
        }
    }

    /// Prepares the program's data, moved so that x and the nearest point's value are 0.
    fn lift(&mut self, x: &[f64]) {
        let Self { points, alpha, scratch } = self;
        let Some(nearest) =
            (0..points.len()).min_by(|&i, &j| distance(x, points.x(i)).total_cmp(&distance(x, points.x(j))))
        else {
            return;
        };
        scratch.lifted.clear();
        scratch.linear.clear();
        for i in 0..points.len() {
            let start = scratch.lifted.len();
            scratch.lifted.extend(points.x(i).iter().zip(x).map(|(xi, x)| xi - x));
            let middle = scratch.lifted.len();
            scratch.lifted.extend(points.u(i).iter().zip(points.u(nearest)).map(|(v, v0)| (v - v0) / *alpha));
            let squares = |part: &[f64]| part.iter().map(|p| p * p).sum::<f64>();
            let lifted = &scratch.lifted;
            scratch.linear.push(squares(&lifted[start..middle]) - squares(&lifted[middle..]));
        }
    }

    /// The support and weights that minimise ‖Σ λᵢ pᵢ‖² + Σ λᵢ cᵢ on the simplex, p the lifted
    /// points and c the linear term.
    fn minimise(&self) -> (Vec<usize>, Vec<f64>) {
        let (width, linear) = (self.points.obs_dim + self.points.act_dim, &self.scratch.linear);
        let lifted = |i: usize| &self.scratch.lifted[i * width..][..width];
        let cost = |i: usize| dot(lifted(i), lifted(i)) + linear[i];
        let Some(first) = (0..linear.len()).min_by(|&i, &j| cost(i).total_cmp(&cost(j))) else {
            return (Vec::new(), Vec::new());
        };
        let (mut support, mut weights) = (vec![first], vec![1.0]);
        let mut centre = vec![0.0; width];
        for _ in 0..20 * (width + 2) {
            centre.fill(0.0);
            for (&i, weight) in support.iter().zip(&weights) {
                centre.iter_mut().zip(lifted(i)).for_each(|(c, p)| *c += weight * p);
            }
            let slope = |i: usize| 2.0 * dot(lifted(i), &centre) + linear[i];
            let level: f64 = support.iter().zip(&weights).map(|(&i, weight)| weight * slope(i)).sum();
            let (mut best, mut least, mut size) = (first, f64::INFINITY, 1e-300f64);
            for i in 0..linear.len() {
                let slope = slope(i);
                if slope < least {
                    (best, least) = (i, slope);
                }
            }
            support.iter().for_each(|&i| size = size.max(linear[i].abs()).max(dot(lifted(i), lifted(i))));
            if least >= level - 1e-13 * size || support.contains(&best) {
                break;
            }
            support.push(best);
            weights.push(0.0);
            loop {
                let wanted = self.on_the_affine_hull(&support);
                let step = weights.iter().zip(&wanted).filter(|(_, wanted)| **wanted <= 0.0);
                let step = step.map(|(w, wanted)| w / (w - wanted)).fold(1.0, f64::min);
                weights.iter_mut().zip(&wanted).for_each(|(w, wanted)| *w += step * (wanted - *w));
                let mut kept = weights.iter().map(|w| *w > 1e-15);
                let all = weights.iter().all(|w| *w > 1e-15);
                support.retain(|_| kept.next().unwrap_or(true));
                weights.retain(|w| *w > 1e-15);
                if all || support.len() == 1 {
                    break;
                }
            }
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= sum);
        }
        (support, weights)
    }

    /// The minimum over weights of any sign on `support` with sum 1.
    fn on_the_affine_hull(&self, support: &[usize]) -> Vec<f64> {
        let width = self.points.obs_dim + self.points.act_dim;
        let lifted = |i: usize| &self.scratch.lifted[support[i] * width..][..width];
        let (base, count) = (lifted(0), support.len() - 1);
        let from_base = |i: usize| lifted(i + 1).iter().zip(base).map(|(p, b)| p - b).collect::<Vec<f64>>();
        let edges: Vec<Vec<f64>> = (0..count).map(from_base).collect();
        let mut matrix = vec![0.0; count * count];
        let mut right = vec![0.0; count];
        for i in 0..count {
            let change = self.scratch.linear[support[i + 1]] - self.scratch.linear[support[0]];
            right[i] = -dot(&edges[i], base) - 0.5 * change;
            (0..count).for_each(|j| matrix[i * count + j] = dot(&edges[i], &edges[j]));
        }
        // Affinely dependent points leave a direction without curvature, along which the step goes
        // on until a weight is 0.
        let largest = (0..count).fold(0.0f64, |largest, i| largest.max(matrix[i * count + i]));
        (0..count).for_each(|i| matrix[i * count + i] += 1e-14 * largest + 1e-300);
        solve(&mut matrix, &mut right, count);
        let rest: f64 = right.iter().sum();
        std::iter::once(1.0 - rest).chain(right).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Solves a positive definite system in place by Cholesky's factors; the solution is left in
/// `right`.
fn solve(matrix: &mut [f64], right: &mut [f64], n: usize) {
    for i in 0..n {
        for j in 0..=i {
            let mut sum = matrix[i * n + j];
            (0..j).for_each(|k| sum -= matrix[i * n + k] * matrix[j * n + k]);
            matrix[i * n + j] = if i == j { sum.max(1e-300).sqrt() } else { sum / matrix[j * n + j] };
        }
        let mut sum = right[i];
        (0..i).for_each(|k| sum -= matrix[i * n + k] * right[k]);
        right[i] = sum / matrix[i * n + i];
    }
    for i in (0..n).rev() {
        let mut sum = right[i];
        (i + 1..n).for_each(|k| sum -= matrix[k * n + i] * right[k]);
        right[i] = sum / matrix[i * n + i];
    }
}

#[cfg(test)]
mod tests;
