//! The least training error of any α-Lipschitz policy (docs/feedback.md, "The oracle"):
//!
//!   min (1/N) Σ ‖vᵢ − uᵢ‖²  subject to  ‖vᵢ − vⱼ‖ ≤ α ‖xᵢ − xⱼ‖ for all pairs.
//!
//! By Kirszbraun's theorem (1934) every such table of values extends to an α-Lipschitz function on
//! the whole space. So this convex program has exactly the optimal value over all policies. A
//! network that claims α and has a smaller error proves its claim wrong.
//!
//! An interior-point method (Clarabel) solves it, with linear constraints for scalar actions and
//! second-order cones for vectors. Few of the N(N − 1)/2 constraints matter, so only violated ones
//! are added, round after round, until none is left.

use clarabel::{
    algebra::CscMatrix,
    solver::{DefaultSettings, DefaultSolver, IPSolver, SolverStatus, SupportedConeT},
};
use liprl_numerics::{NumericsError, neighbours::distance};

use super::points::{Points, slope};
use crate::error::ControlError;

/// Constraints of one point that are added in one round.
const PER_POINT: usize = 4;

/// Most rounds. Three to ten are usual.
const ROUNDS: usize = 60;

/// Least relative accuracy of a program whose solution rounding limits.
const ALMOST: f64 = 1e-8;

/// The optimal values.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// v for each row that was given, `[N, A]`, with ‖vᵢ − vⱼ‖ ≤ α‖xᵢ − xⱼ‖ on every constrained
    /// pair.
    pub values: Vec<f64>,
    /// (1/N) Σ ‖v − u‖² of these values: at least the optimum.
    pub mse: f64,
    /// The solver's value of the last relaxation: at most the optimum, up to the solver's 1e-9. It
    /// is less if rounding limited the solution.
    pub lower: f64,
    /// Constraints in the last program.
    pub constraints: usize,
    /// Programs solved.
    pub rounds: usize,
}

/// The constrained pairs.
#[derive(Clone, Copy, Debug)]
pub enum Constrained<'a> {
    /// All: the oracle.
    All,
    /// These alone, the edges of a graph: fewer constraints, a lower value.
    Edges(&'a [(usize, usize)]),
}

/// The values closest to the actions of `points` with slope at most `alpha` on the constrained
/// pairs. Rows with equal observations get equal values. Time grows as N² for `All` (a second for
/// some hundred rows).
///
/// # Errors
/// [`NumericsError::BadConfig`] if α is not positive or the solver does not converge.
pub fn closest(points: &Points, alpha: f64, constrained: Constrained<'_>) -> Result<Fit, ControlError> {
    let bad = |problem: String| ControlError::from(NumericsError::BadConfig { setting: "alpha".into(), problem });
    if !(alpha > 0.0 && alpha.is_finite()) {
        return Err(bad(format!("{alpha} is not a Lipschitz constant to fit with; it has to be positive and finite")));
    }
    let (merged, counts) = points.merged();
    let index = indices(points);
    let edges = match constrained {
        Constrained::All => None,
        Constrained::Edges(edges) => {
            Some(edges.iter().map(|&(i, j)| (index[i], index[j])).filter(|(i, j)| i != j).collect::<Vec<_>>())
        }
    };
    let mut program = Program { points: &merged, counts: &counts, alpha, rows: points.len() as f64, pairs: Vec::new() };
    let (mut values, mut value, mut rounds) = (merged.u.clone(), 0.0, 0);
    let size = merged.u.iter().fold(1e-300f64, |size, u| size.max(u.abs()));
    loop {
        let added = program.add_violated(&values, edges.as_deref(), 1e-8 * size);
        if added == 0 {
            break;
        }
        if rounds == ROUNDS {
            let problem = format!("the program is not solved after {ROUNDS} rounds; use fewer points or another alpha");
            return Err(bad(problem));
        }
        rounds += 1;
        (values, value) = program.solve().map_err(|status| {
            bad(format!(
                "the solver ended with {status:?} at {} constraints; use fewer points or another alpha",
                program.pairs.len()
            ))
        })?;
    }
    repair(&merged, &mut values, alpha, edges.as_deref());
    let constraints = program.pairs.len();
    let values: Vec<f64> =
        index.iter().flat_map(|&i| values[i * merged.act_dim..][..merged.act_dim].to_vec()).collect();
    // The part that merging removed: the spread of actions at one observation.
    let spread = index.iter().enumerate().map(|(i, &to)| distance(points.u(i), merged.u(to)).powi(2)).sum::<f64>();
    Ok(Fit { mse: points.mse(&values), lower: value + spread / points.len() as f64, values, constraints, rounds })
}

/// For each row its number among the merged ones.
fn indices(points: &Points) -> Vec<usize> {
    let (mut next, mut numbers) = (0, Vec::with_capacity(points.len()));
    for (i, first) in points.first_alike().into_iter().enumerate() {
        if first == i {
            numbers.push(next);
            next += 1;
        } else {
            numbers.push(numbers[first]);
        }
    }
    numbers
}

/// The program with the constraints so far.
struct Program<'a> {
    points: &'a Points,
    counts: &'a [f64],
    alpha: f64,
    rows: f64,
    /// For scalars (i, j) stands for vᵢ − vⱼ ≤ α‖xᵢ − xⱼ‖, one direction; for vectors, for the
    /// cone.
    pairs: Vec<(usize, usize)>,
}

impl Program<'_> {
    /// Adds the most violated constraints of each point; returns their number. A violation counts
    /// above `tolerance`.
    fn add_violated(&mut self, values: &[f64], edges: Option<&[(usize, usize)]>, tolerance: f64) -> usize {
        let (m, known) = (self.points.act_dim, self.pairs.iter().copied().collect::<std::collections::HashSet<_>>());
        let mut found: Vec<Vec<(f64, usize, usize)>> = vec![Vec::new(); self.points.len()];
        let mut look = |i: usize, j: usize| {
            let difference = distance(&values[i * m..][..m], &values[j * m..][..m]);
            let excess = difference - self.alpha * distance(self.points.x(i), self.points.x(j));
            if excess > tolerance {
                let pair = if m == 1 && values[i] < values[j] { (j, i) } else { (i, j) };
                let there = known.contains(&pair) || (m > 1 && known.contains(&(pair.1, pair.0)));
                if !there {
                    found[i].push((excess, pair.0, pair.1));
                }
            }
        };
        match edges {
            Some(edges) => edges.iter().for_each(|&(i, j)| look(i, j)),
            None => (0..self.points.len()).for_each(|i| (0..i).for_each(|j| look(i, j))),
        }
        let before = self.pairs.len();
        for of_point in &mut found {
            of_point.sort_by(|a, b| b.0.total_cmp(&a.0));
            self.pairs.extend(of_point.iter().take(PER_POINT).map(|&(_, i, j)| (i, j)));
        }
        self.pairs.len() - before
    }

    /// The optimal values and Σ count ‖v − u‖²/N at them, by the smaller of the primal and the dual
    /// value.
    fn solve(&self) -> Result<(Vec<f64>, f64), SolverStatus> {
        let (n, m) = (self.points.len(), self.points.act_dim);
        let weight = |k: usize| 2.0 * self.counts[k / m] / self.rows;
        let all: Vec<usize> = (0..n * m).collect();
        let p = CscMatrix::new_from_triplets(n * m, n * m, all.clone(), all, (0..n * m).map(weight).collect());
        let q: Vec<f64> = self.points.u.iter().enumerate().map(|(k, u)| -weight(k) * u).collect();
        let (mut rows, mut columns, mut numbers, mut b, mut cones) = (vec![], vec![], vec![], vec![], vec![]);
        for &(i, j) in &self.pairs {
            let limit = self.alpha * distance(self.points.x(i), self.points.x(j));
            b.push(limit);
            let first = if m == 1 { b.len() - 1 } else { b.len() };
            let sign = if m == 1 { 1.0 } else { -1.0 };
            for k in 0..m {
                rows.extend([first + k, first + k]);
                columns.extend([i * m + k, j * m + k]);
                numbers.extend([sign, -sign]);
            }
            if m > 1 {
                b.extend(std::iter::repeat_n(0.0, m));
                cones.push(SupportedConeT::SecondOrderConeT(m + 1));
            }
        }
        if m == 1 {
            cones.push(SupportedConeT::NonnegativeConeT(b.len()));
        }
        let a = CscMatrix::new_from_triplets(b.len(), n * m, rows, columns, numbers);
        let settings = DefaultSettings {
            verbose: false,
            max_threads: 1,
            tol_gap_abs: 1e-11,
            tol_gap_rel: 1e-10,
            tol_feas: 1e-10,
            // If rounding ends the search before that, `repair` corrects the values and `lower` is
            // reduced.
            reduced_tol_gap_abs: ALMOST,
            reduced_tol_gap_rel: ALMOST,
            reduced_tol_feas: ALMOST,
            presolve_enable: false,
            ..DefaultSettings::default()
        };
        let mut solver =
            DefaultSolver::new(&p, &q, &a, &b, &cones, settings).map_err(|_| SolverStatus::NumericalError)?;
        solver.solve();
        let solution = &solver.solution;
        let slack = match solution.status {
            SolverStatus::Solved => 0.0,
            SolverStatus::AlmostSolved => 10.0 * ALMOST * (1.0 + solution.obj_val.abs()),
            status => return Err(status),
        };
        let constant: f64 = self.points.u.iter().enumerate().map(|(k, u)| 0.5 * weight(k) * u * u).sum();
        Ok((solution.x.clone(), (solution.obj_val.min(solution.obj_val_dual) + constant - slack).max(0.0)))
    }
}

/// Removes a solution's violations of the constraints, some 1e-9. Pairs too far apart are moved
/// together, as often as needed; the rest is removed by shrinking all values towards the mean.
fn repair(points: &Points, values: &mut [f64], alpha: f64, edges: Option<&[(usize, usize)]>) {
    let m = points.act_dim;
    let mut pull = |i: usize, j: usize| {
        let difference = distance(&values[i * m..][..m], &values[j * m..][..m]);
        let limit = alpha * distance(points.x(i), points.x(j));
        if difference <= limit {
            return false;
        }
        // Slightly more than needed, so that rounding does not undo it.
        let share = 0.5 * (1.0 - limit * (1.0 - 1e-13) / difference);
        for k in 0..m {
            let by = share * (values[i * m + k] - values[j * m + k]);
            values[i * m + k] -= by;
            values[j * m + k] += by;
        }
        true
    };
    for _ in 0..100 {
        let mut moved = false;
        match edges {
            Some(edges) => edges.iter().for_each(|&(i, j)| moved |= pull(i, j)),
            None => (0..points.len()).for_each(|i| (0..i).for_each(|j| moved |= pull(i, j))),
        }
        if !moved {
            return;
        }
    }
    let left = match edges {
        None => slope(&points.x, points.obs_dim, values, m),
        Some(edges) => edges.iter().fold(0.0f64, |largest, &(i, j)| {
            largest.max(distance(&values[i * m..][..m], &values[j * m..][..m]) / distance(points.x(i), points.x(j)))
        }),
    };
    let shrink = (alpha * (1.0 - 1e-14) / left).min(1.0);
    for k in 0..m {
        let mean = values.iter().skip(k).step_by(m).sum::<f64>() / points.len() as f64;
        values.iter_mut().skip(k).step_by(m).for_each(|v| *v = mean + shrink * (*v - mean));
    }
}

#[cfg(test)]
mod tests;
