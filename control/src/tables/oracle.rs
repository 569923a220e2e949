//! The least training error any α-Lipschitz policy can have (docs/feedback.md, "The oracle"):
//!
//!   min (1/N) Σ ‖vᵢ − uᵢ‖²  subject to  ‖vᵢ − vⱼ‖ ≤ α ‖xᵢ − xⱼ‖ for all pairs.
//!
//! By Kirszbraun's theorem (1934) every such table of values extends to an α-Lipschitz function on the whole space, so this convex
//! program has exactly the optimal value of min over policies. A network that claims α and has a smaller error proves its claim wrong.
//!
//! Solved by an interior-point method (Clarabel): linear constraints for scalar actions, second-order cones for vectors. Few of the
//! N(N − 1)/2 constraints matter, so only violated ones are put in, round after round, until none is left.

use clarabel::{
    algebra::CscMatrix,
    solver::{DefaultSettings, DefaultSolver, IPSolver, SolverStatus, SupportedConeT},
};
use liprl_numerics::{NumericsError, neighbours::distance};

use super::{Points, slope};
use crate::ControlError;

/// Constraints of one point that enter in one round.
const PER_POINT: usize = 4;

/// Rounds before it gives up. Three to ten are usual.
const ROUNDS: usize = 60;

/// Relative accuracy that a program which cannot be solved any better has to have.
const ALMOST: f64 = 1e-8;

/// The optimal values.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// v for each row that was given, `[N, A]`, with ‖vᵢ − vⱼ‖ ≤ α‖xᵢ − xⱼ‖ on every constrained pair.
    pub values: Vec<f64>,
    /// (1/N) Σ ‖v − u‖² of these values: at least the optimum.
    pub mse: f64,
    /// The solver's value of the relaxation it ended with: at most the optimum, to the solver's 1e-9; less where it could not be found so exactly.
    pub lower: f64,
    /// Constraints in the last program.
    pub constraints: usize,
    /// Programs solved.
    pub rounds: usize,
}

/// Which pairs are constrained.
#[derive(Clone, Copy, Debug)]
pub enum Constrained<'a> {
    /// All: the oracle.
    All,
    /// These alone: a graph's. Fewer constraints, a lower value.
    Edges(&'a [(usize, usize)]),
}

/// The values closest to the actions of `points` with slope at most `alpha` on the constrained pairs. Rows with equal observations get
/// equal values. Time grows as N² for `All` (a second for some hundred rows).
///
/// # Errors
/// [`NumericsError::BadConfig`] where α is not positive or the solver does not converge.
pub fn closest(points: &Points, alpha: f64, constrained: Constrained<'_>) -> Result<Fit, ControlError> {
    let bad = |problem: String| ControlError::from(NumericsError::BadConfig { setting: "alpha".into(), problem });
    if !(alpha > 0.0 && alpha.is_finite()) {
        return Err(bad(format!("{alpha} is no Lipschitz constant to fit with; it has to be positive and finite")));
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
    // What merging took off: the spread of actions at one observation.
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
    /// For scalars (i, j) is vᵢ − vⱼ ≤ α‖xᵢ − xⱼ‖, one direction; for vectors the cone.
    pairs: Vec<(usize, usize)>,
}

impl Program<'_> {
    /// Puts in the most violated constraints of each point; returns how many. A violation counts above `tolerance`.
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

    /// The optimal values and Σ count ‖v − u‖²/N at them, by the smaller of the primal and the dual value.
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
            // Where rounding ends the search before that: near enough all the same, `repair` does the rest and `lower` gives way.
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

/// Takes off what a solution breaks the constraints by, some 1e-9: pairs too far apart are moved together, as often as needed, and
/// what is left goes by shrinking everything towards the mean.
fn repair(points: &Points, values: &mut [f64], alpha: f64, edges: Option<&[(usize, usize)]>) {
    let m = points.act_dim;
    let mut pull = |i: usize, j: usize| {
        let difference = distance(&values[i * m..][..m], &values[j * m..][..m]);
        let limit = alpha * distance(points.x(i), points.x(j));
        if difference <= limit {
            return false;
        }
        // A hair more than needed, so that rounding does not bring the pair back.
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
mod tests {
    use liprl_envs::NumpyRng;
    use liprl_numerics::{StreamRng, Streams};
    use rand::RngExt;

    use super::*;

    /// 150 states uniform on [−1, 1]² by NumPy's `default_rng(0)` and the double integrator's LQR expert.
    fn double_integrator() -> Points {
        let mut rng = NumpyRng::new(0);
        let x: Vec<f64> = (0..300).map(|_| rng.uniform(-1.0, 1.0)).collect();
        let u = x.chunks_exact(2).map(|x| -(0.917075 * x[0] + 1.635596 * x[1])).collect();
        Points { x, u, obs_dim: 2, act_dim: 1 }
    }

    fn random(rng: &mut StreamRng, rows: usize, obs_dim: usize, act_dim: usize) -> Points {
        let mut draw = |count: usize| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
        Points { x: draw(rows * obs_dim), u: draw(rows * act_dim), obs_dim, act_dim }
    }

    /// Reference values by cvxpy with Clarabel over all 11,175 pairs.
    #[test]
    fn the_double_integrator_s_values_are_those_of_the_full_program() {
        let (points, norm) = (double_integrator(), 1.875153);
        for (share, expected, scaled) in
            [(0.25, 0.63918, 0.66610), (0.5, 0.28061, 0.29604), (0.75, 0.068753, 0.074011), (1.0, 0.0, 0.0)]
        {
            let fit = closest(&points, share * norm, Constrained::All).unwrap();
            assert!((fit.mse - expected).abs() < 1e-4 * expected.max(0.01), "{share}: {} {expected}", fit.mse);
            assert!(fit.lower <= fit.mse + 1e-9 && fit.mse - fit.lower < 1e-6, "{share}: {} {}", fit.lower, fit.mse);
            assert!(slope(&points.x, 2, &fit.values, 1) <= share * norm * (1.0 + 1e-12));
            // Scaling the expert down is Lipschitz too, and worse.
            let linear: Vec<f64> = points.u.iter().map(|u| share * u).collect();
            assert!((points.mse(&linear) - scaled).abs() < 1e-4 && points.mse(&linear) >= fit.mse - 1e-9);
        }
    }

    /// Dykstra's projections onto the pairs' constraints, one after the other: slow, and another way to the same optimum.
    fn dykstra(points: &Points, alpha: f64, sweeps: usize) -> f64 {
        let (n, m) = (points.len(), points.act_dim);
        let mut v = points.u.clone();
        let mut kept = vec![vec![0.0; m]; n * n];
        for _ in 0..sweeps {
            for i in 0..n {
                for j in 0..i {
                    let kept = &mut kept[i * n + j];
                    // The constraint is on w = vᵢ − vⱼ alone: the projection moves both by opposite halves.
                    let w: Vec<f64> = (0..m).map(|k| v[i * m + k] - v[j * m + k] + 2.0 * kept[k]).collect();
                    let norm = w.iter().map(|w| w * w).sum::<f64>().sqrt();
                    let limit = alpha * distance(points.x(i), points.x(j));
                    let share = if norm > limit { 1.0 - limit / norm } else { 0.0 };
                    for k in 0..m {
                        let by = 0.5 * share * w[k];
                        v[i * m + k] += kept[k] - by;
                        v[j * m + k] -= kept[k] - by;
                        kept[k] = by;
                    }
                }
            }
        }
        points.mse(&v)
    }

    #[test]
    fn random_programs_equal_alternating_projections() {
        let mut rng = Streams::new(3).rng("oracle");
        for (rows, obs_dim, act_dim, alpha) in [(6, 1, 1, 1.0), (9, 2, 1, 0.5), (8, 3, 2, 0.7), (10, 2, 3, 1.5)] {
            let points = random(&mut rng, rows, obs_dim, act_dim);
            let fit = closest(&points, alpha, Constrained::All).unwrap();
            let expected = dykstra(&points, alpha, 20_000);
            assert!((fit.mse - expected).abs() < 1e-6, "{rows} {act_dim}: {} {expected}", fit.mse);
            assert!(slope(&points.x, obs_dim, &fit.values, act_dim) <= alpha * (1.0 + 1e-12));
            assert!(fit.lower <= fit.mse + 1e-9);
        }
    }

    #[test]
    fn two_contradicting_pairs_by_hand() {
        // |v₁ − v₂| ≤ 1 for actions 0 and 3: each moves by 1, so (1 + 1)/2.
        let points = Points { x: vec![0.0, 1.0], u: vec![0.0, 3.0], obs_dim: 1, act_dim: 1 };
        let fit = closest(&points, 1.0, Constrained::All).unwrap();
        assert!((fit.mse - 1.0).abs() < 1e-8 && (fit.values[0] - 1.0).abs() < 1e-8, "{fit:?}");
        // At one observation only the mean is possible, whatever α.
        let points = Points { x: vec![2.0, 2.0], ..points };
        let fit = closest(&points, 1e9, Constrained::All).unwrap();
        assert_eq!((fit.mse, fit.lower, fit.values), (2.25, 2.25, vec![1.5, 1.5]));
    }

    #[test]
    fn edges_alone_give_a_lower_value_and_all_of_them_the_same() {
        let points = random(&mut Streams::new(4).rng("oracle"), 30, 2, 2);
        let all: Vec<(usize, usize)> = (0..30).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
        let some: Vec<(usize, usize)> = all.iter().copied().step_by(7).collect();
        let value = |constrained| closest(&points, 0.5, constrained).unwrap().mse;
        let (full, of_all, of_some) =
            (value(Constrained::All), value(Constrained::Edges(&all)), value(Constrained::Edges(&some)));
        assert!((full - of_all).abs() < 1e-6 && of_some < full - 1e-3, "{full} {of_all} {of_some}");
    }

    #[test]
    fn a_constant_that_is_none_is_refused() {
        for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = closest(&double_integrator(), alpha, Constrained::All).unwrap_err().to_string();
            assert!(error.contains("positive and finite"), "{error}");
        }
    }
}
