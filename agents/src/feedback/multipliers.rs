//! The multipliers of the primal–dual method, and the points at which they act.
//!
//! The Lagrangian of min (1/N) Σ‖π(xᵢ) − uᵢ‖² subject to g ≤ 0 is L = MSE + mean_s λ_s g_s. θ goes down
//! its gradient by Adam, λ up: λ ← clip(λ + η g, 0, λ_max). A data point has a multiplier of its own. A
//! point xᵢ + s(xⱼ − xᵢ) between neighbours takes the mean of its ends' multipliers and gives each half
//! of its step. An edge of the slope form has its own.

use liprl_numerics::{StateIo, StreamRng, neighbours::Tree};
use rand::RngExt;

use super::config::Form;
use crate::AgentError;

/// A point of the constraint in one update: a row of the data, or a place between it and a neighbour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ConstraintPoint {
    /// A row.
    pub(super) i: usize,
    /// Its neighbour; itself for the row alone.
    pub(super) j: usize,
    /// Position between the two, 0 at i. Unused for edges.
    pub(super) share: f32,
    /// Index of j among the row's neighbours.
    pub(super) slot: usize,
}

/// Multipliers and the graph they live on.
#[derive(Debug)]
pub(super) struct Multipliers {
    form: Form,
    lr: f32,
    max: f32,
    /// Neighbours of each row.
    k: usize,
    /// λ: of each row `[N]`, or of each row's edges `[N · k]`.
    lambda: Vec<f32>,
    /// Neighbours `[N · k]` of the rows that the graph was made of.
    graph: Vec<u32>,
    /// Stream of the points, apart from the batches': those are equal under every constraint.
    rng: StreamRng,
}

impl Multipliers {
    /// Zero multipliers, no graph yet.
    pub(super) fn new(form: Form, lr: f64, max: f64, k: usize, rng: StreamRng) -> Self {
        Self { form, lr: lr as f32, max: max as f32, k, lambda: Vec::new(), graph: Vec::new(), rng }
    }

    /// The quantity that is constrained.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// All multipliers.
    pub(super) fn lambda(&self) -> &[f32] {
        &self.lambda
    }

    /// Connects the rows `[N, O]` to their nearest ones and adds zero multipliers for new rows.
    pub(super) fn connect(&mut self, rows: &[f32], obs_dim: usize) {
        let count = rows.len() / obs_dim;
        let wide: Vec<f64> = rows.iter().map(|&x| f64::from(x)).collect();
        let tree = Tree::new(&wide, obs_dim);
        self.graph.clear();
        for (i, row) in wide.chunks_exact(obs_dim).enumerate() {
            let mut found = tree.nearest_k(row, self.k, Some(i)).into_iter().map(|(_, j)| j as u32);
            // A row without enough others is its own neighbour.
            self.graph.extend((0..self.k).map(|_| found.next().unwrap_or(i as u32)));
        }
        self.grow(count);
    }

    /// Adds zero multipliers up to those of `count` rows.
    pub(super) fn grow(&mut self, count: usize) {
        self.lambda.resize(if self.form == Form::Slope { count * self.k } else { count }, 0.0);
    }

    /// Draws a row of the graph, one of its neighbours, and a position between.
    pub(super) fn draw(&mut self) -> ConstraintPoint {
        pick(&self.graph, self.k, &mut self.rng)
    }

    /// Draws as [`Self::draw`] does, from another stream.
    pub(super) fn look(&self, rng: &mut StreamRng) -> ConstraintPoint {
        pick(&self.graph, self.k, rng)
    }

    /// λ at a point.
    pub(super) fn at(&self, point: ConstraintPoint) -> f32 {
        match self.form {
            Form::Jacobian => 0.5 * (self.lambda[point.i] + self.lambda[point.j]),
            Form::Slope => self.lambda[point.i * self.k + point.slot],
        }
    }

    /// Makes the step for g at a point.
    pub(super) fn step(&mut self, point: ConstraintPoint, g: f64) {
        let (lr, max) = (self.lr, self.max);
        let mut move_by = |at: usize, by: f32| self.lambda[at] = (self.lambda[at] + by).clamp(0.0, max);
        match self.form {
            Form::Jacobian if point.i == point.j => move_by(point.i, lr * g as f32),
            Form::Jacobian => {
                move_by(point.i, 0.5 * lr * g as f32);
                move_by(point.j, 0.5 * lr * g as f32);
            }
            Form::Slope => move_by(point.i * self.k + point.slot, lr * g as f32),
        }
    }

    /// Everything that changes. The graph follows from the rows it was made of; how many those were is the caller's.
    /// Loading comes after `connect` and `grow` for as many rows.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        io.f32("duals/lambda", &mut self.lambda)?;
        Ok(io.value("streams/duals", &mut self.rng)?)
    }
}

fn pick(graph: &[u32], k: usize, rng: &mut StreamRng) -> ConstraintPoint {
    let i = rng.random_range(0..graph.len() / k);
    let slot = rng.random_range(0..k);
    ConstraintPoint { i, j: graph[i * k + slot] as usize, share: rng.random_range(0.0..1.0), slot }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Streams;

    use super::*;

    #[test]
    fn multipliers_step_by_hand_and_stay_within_their_range() {
        let mut multipliers = Multipliers::new(Form::Jacobian, 0.5, 1.0, 1, Streams::new(1).rng("spots"));
        multipliers.connect(&[0.0, 1.0, 5.0], 1);
        assert_eq!(multipliers.graph, [1, 0, 1]);
        let point = |i, j| ConstraintPoint { i, j, share: 0.0, slot: 0 };
        multipliers.step(point(0, 0), 1.0);
        multipliers.step(point(0, 1), 0.4);
        let close = |a: f32, b: f32| (a - b).abs() < 1e-6;
        assert!(close(multipliers.lambda[0], 0.6) && close(multipliers.lambda[1], 0.1), "{:?}", multipliers.lambda);
        assert!(close(multipliers.at(point(0, 1)), 0.35));
        multipliers.step(point(0, 0), 10.0);
        multipliers.step(point(1, 1), -10.0);
        assert_eq!((multipliers.lambda[0], multipliers.lambda[1]), (1.0, 0.0));
    }

    #[test]
    fn edges_have_their_own_and_new_rows_none_yet() {
        let mut multipliers = Multipliers::new(Form::Slope, 1.0, 9.0, 2, Streams::new(1).rng("spots"));
        multipliers.connect(&[0.0, 1.0, 3.0], 1);
        assert_eq!(multipliers.graph, [1, 2, 0, 2, 1, 0]);
        multipliers.step(ConstraintPoint { i: 1, j: 2, share: 0.0, slot: 1 }, 2.0);
        assert_eq!(multipliers.lambda, [0.0, 0.0, 0.0, 2.0, 0.0, 0.0]);
        multipliers.grow(4);
        assert_eq!(multipliers.lambda.len(), 8);
        assert!(
            (0..100).map(|_| multipliers.draw()).all(|point| point.i < 3 && point.i != point.j && point.share < 1.0)
        );
        // Alone, a row is its own neighbour.
        multipliers.connect(&[7.0], 1);
        assert_eq!(multipliers.graph, [0, 0]);
    }
}
