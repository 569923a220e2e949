//! A non-parametric policy: an α-Lipschitz extension of a table of values to the whole space, exact in f64.
//!
//! Scalars: the mean of McShane's (1934) two extremes, maxᵢ(vᵢ − α‖x − xᵢ‖) and minᵢ(vᵢ + α‖x − xᵢ‖).
//!
//! Vectors: any point of the balls B(vᵢ, α‖x − xᵢ‖) is right for one query, but points chosen query by query need not be Lipschitz
//! among one another. So the explicit extension of Azagra, Le Gruyer & Mudarra (2021, "Kirszbraun's theorem via an explicit formula") is
//! used, F(x) = ∇_y conv(g)(x, 0). For a finite table the convex hull is that of N quadratics with one Hessian, and
//! F(x) = Σ λᵢ vᵢ with λ the solution of a quadratic program on the simplex (derivation: docs/derivations/lipschitz_layers.md):
//!
//!   min over λ of 2 Σ λᵢ‖x − xᵢ‖² − Var_λ(x) − Var_λ(v)/α²,  Var_λ(z) = Σ λᵢ‖zᵢ‖² − ‖Σ λᵢ zᵢ‖².
//!
//! It is convex of rank O + A, so at most O + A + 1 of the λ are not 0, and an active-set method finds them in about as many passes over
//! the table.

use liprl_numerics::{NumericsError, neighbours::distance};

use super::Points;
use crate::ControlError;

/// An α-Lipschitz function through given values.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Where, and with which values: no observation twice.
    points: Points,
    alpha: f64,
    scratch: Scratch,
}

/// What one query needs.
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
    /// [`NumericsError::BadConfig`] where there is no point, two have one observation, or some pair is steeper than α by more than rounding.
    pub fn new(points: Points, alpha: f64) -> Result<Self, ControlError> {
        let bad = |problem: String| ControlError::from(NumericsError::BadConfig { setting: "alpha".into(), problem });
        if points.is_empty() {
            return Err(bad("there is no point to extend from".into()));
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

    /// The value at `x [O]`, into `out [A]`. O(N (O + A)) a pass: one pass for scalars, some ten for vectors.
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

    /// The program's data, moved so that x and the nearest point's value are 0.
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

    /// The support and weights that minimise ‖Σ λᵢ pᵢ‖² + Σ λᵢ cᵢ on the simplex, p the lifted points and c the linear term.
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

    /// The minimum over the weights with sum 1 on `support`, of whatever sign.
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
        // Points that are affinely dependent leave a direction without curvature: then the step goes on until a weight is 0.
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

/// Solves a positive definite system by Cholesky's factors, in place; the solution is left in `right`.
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
mod tests {
    use liprl_numerics::Streams;
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;
    use crate::tables::{Constrained, closest};

    /// A table whose values are α-Lipschitz, from random actions.
    fn table(seed: u64, rows: usize, obs_dim: usize, act_dim: usize, alpha: f64) -> Table {
        let mut rng = Streams::new(seed).rng("table");
        let mut draw = |count: usize| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
        let points = Points { x: draw(rows * obs_dim), u: draw(rows * act_dim), obs_dim, act_dim };
        let values = closest(&points, alpha, Constrained::All).unwrap().values;
        Table::new(Points { u: values, ..points }, alpha).unwrap()
    }

    fn at(table: &mut Table, x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; table.points.act_dim];
        table.value(x, &mut out);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn the_extension_passes_through_the_table_and_is_lipschitz_everywhere(
            seed in 0u64..1000, rows in 1usize..14, dims in (1usize..4, 1usize..4), alpha in 0.2f64..4.0, spread in 0.01f64..3.0
        ) {
            let (obs_dim, act_dim) = dims;
            let mut table = table(seed, rows, obs_dim, act_dim, alpha);
            for i in 0..rows {
                let (x, v) = (table.points.x(i).to_vec(), table.points.u(i).to_vec());
                prop_assert!(distance(&at(&mut table, &x), &v) < 1e-8);
            }
            let mut rng = Streams::new(seed).rng("queries");
            for _ in 0..20 {
                let x: Vec<f64> = (0..obs_dim).map(|_| rng.random_range(-2.0..2.0)).collect();
                let y: Vec<f64> = x.iter().map(|x| x + spread * rng.random_range(-1.0..1.0)).collect();
                let (fx, fy) = (at(&mut table, &x), at(&mut table, &y));
                prop_assert!(distance(&fx, &fy) <= alpha * distance(&x, &y) * (1.0 + 1e-7) + 1e-9,
                    "{} > {}", distance(&fx, &fy), alpha * distance(&x, &y));
            }
        }
    }

    #[test]
    fn values_that_the_solver_finds_only_almost_extend_too() {
        let table = table(169, 9, 1, 2, 1.677_113_643_346_333_6);
        assert!(
            table.points.worst_pair(table.alpha).unwrap().is_none_or(|pair| pair.forced_error(table.alpha) < 1e-12)
        );
    }

    /// The same program by projected gradients on the simplex, which knows nothing of supports.
    #[test]
    fn the_weights_solve_the_program() {
        let mut table = table(7, 12, 2, 2, 0.8);
        for x in [[0.1, -0.3], [1.5, 0.2], [-0.9, -0.9]] {
            table.lift(&x);
            let width = 4;
            let value = |weights: &[f64]| {
                let mut centre = [0.0; 4];
                for (i, w) in weights.iter().enumerate() {
                    centre.iter_mut().zip(&table.scratch.lifted[i * width..]).for_each(|(c, p)| *c += w * p);
                }
                dot(&centre, &centre) + dot(weights, &table.scratch.linear)
            };
            let (support, weights) = table.minimise();
            let mut full = vec![0.0; 12];
            support.iter().zip(&weights).for_each(|(&i, w)| full[i] = *w);
            // Frank–Wolfe with away steps left out: exchange steps between all pairs, to a local and so global minimum.
            let mut other = vec![1.0 / 12.0; 12];
            let mut by = 0.25;
            while by > 1e-9 {
                let mut better = false;
                for i in 0..12 {
                    for j in 0..12 {
                        let step = f64::min(by, other[i]);
                        let mut trial = other.clone();
                        trial[i] -= step;
                        trial[j] += step;
                        if i != j && step > 0.0 && value(&trial) < value(&other) - 1e-16 {
                            other = trial;
                            better = true;
                        }
                    }
                }
                if !better {
                    by *= 0.5;
                }
            }
            assert!((value(&full) - value(&other)).abs() < 1e-7, "{} {}", value(&full), value(&other));
            assert!(value(&full) <= value(&other) + 1e-10);
        }
    }

    #[test]
    fn between_two_points_by_hand() {
        // Values (0, 0) and (1, 0) at −1 and 1 with α = ½, the least possible: the segment between them, constant beyond.
        let points = Points { x: vec![-1.0, 1.0], u: vec![0.0, 0.0, 1.0, 0.0], obs_dim: 1, act_dim: 2 };
        let mut table = Table::new(points, 0.5).unwrap();
        for (x, expected) in [(-1.0, 0.0), (0.0, 0.5), (0.5, 0.75), (1.0, 1.0)] {
            assert!(distance(&at(&mut table, &[x]), &[expected, 0.0]) < 1e-9, "{x}");
        }
        // Scalars: the mean of the two cones; far out it is the mean of the values at the ends of their reach.
        let points = Points { x: vec![0.0, 1.0], u: vec![0.0, 1.0], obs_dim: 1, act_dim: 1 };
        let mut table = Table::new(points, 2.0).unwrap();
        // At ½: max(−1, 0) = 0 and min(1, 2) = 1.
        assert_eq!(at(&mut table, &[0.5]), [0.5]);
        // At 2: max(−4, −1) = −1 and min(4, 3) = 3.
        assert_eq!(at(&mut table, &[2.0]), [1.0]);
    }

    #[test]
    fn what_cannot_be_extended_is_refused() {
        let points = Points { x: vec![0.0, 1.0], u: vec![0.0, 3.0], obs_dim: 1, act_dim: 1 };
        let error = Table::new(points.clone(), 1.0).unwrap_err().to_string();
        assert!(error.contains("further apart"), "{error}");
        assert!(Table::new(Points { x: vec![0.0, 0.0], u: vec![1.0, 1.0], ..points }, 1.0).is_err());
        assert!(Table::new(Points { obs_dim: 1, act_dim: 1, ..Points::default() }, 1.0).is_err());
    }
}
