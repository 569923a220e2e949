//! Policies without a network: the least-squares optimum at some rows, extended to all of space.
//!
//! `kirszbraun` constrains all pairs of its rows, so the extension has the configured constant α. `graph`
//! constrains a nearest-neighbour graph: the saddle point that the authors' 2020 code integrates towards,
//! found exactly here. Pairs without an edge may have a larger slope, and the extension has the largest
//! slope of all pairs as its constant.

use liprl_control::{
    ControlError,
    tables::{Constrained, Fit, Points, Table, closest, slope},
};
use liprl_numerics::{StreamRng, neighbours::Tree};
use rand::seq::SliceRandom;

use super::{
    config::ConstraintConfig,
    pairs::{LabelledPairs, bad},
};
use crate::AgentError;

/// A solved policy and the solver's result.
#[derive(Debug)]
pub(super) struct SolvedPolicy {
    pub(super) table: Table,
    pub(super) fit: Fit,
}

/// `count` rows in random order, or all if there are fewer.
pub(super) fn choose(data: &LabelledPairs, count: usize, rng: &mut StreamRng) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..data.len()).collect();
    rows.partial_shuffle(rng, count).0.to_vec()
}

/// The policy under `constraint`; `None` for constraints on a network.
pub(super) fn solve(
    constraint: &ConstraintConfig,
    data: &LabelledPairs,
    rng: &mut StreamRng,
) -> Result<Option<SolvedPolicy>, AgentError> {
    match *constraint {
        ConstraintConfig::Kirszbraun { alpha, rows } => {
            let points = data.points(&choose(data, rows, rng));
            let fit = closest(&points, alpha, Constrained::All).map_err(named)?;
            Ok(Some(SolvedPolicy { table: extend(&points, &fit.values, alpha)?, fit }))
        }
        ConstraintConfig::Graph { alpha, vertices, neighbours } => {
            let points = on_vertices(data, vertices, rng);
            let edges = edges(&points, neighbours);
            let fit = closest(&points, alpha, Constrained::Edges(&edges)).map_err(named)?;
            Ok(Some(SolvedPolicy { table: extend(&points, &fit.values, alpha)?, fit }))
        }
        _ => Ok(None),
    }
}

/// Every row, moved to its nearest vertex.
fn on_vertices(data: &LabelledPairs, vertices: usize, rng: &mut StreamRng) -> Points {
    let at = data.points(&choose(data, vertices, rng)).merged().0;
    let tree = Tree::new(&at.x, at.obs_dim);
    let all: Vec<usize> = (0..data.len()).collect();
    let mut points = data.points(&all);
    for row in points.x.chunks_exact_mut(at.obs_dim) {
        if let Some(&(_, vertex)) = tree.nearest_k(row, 1, None).first() {
            row.copy_from_slice(at.x(vertex));
        }
    }
    points
}

/// Edges between the first rows of each vertex and those of its nearest vertices.
fn edges(points: &Points, neighbours: usize) -> Vec<(usize, usize)> {
    let firsts: Vec<usize> =
        points.first_alike().into_iter().enumerate().filter(|(i, first)| i == first).map(|(i, _)| i).collect();
    let rows: Vec<f64> = firsts.iter().flat_map(|&i| points.x(i).to_vec()).collect();
    let tree = Tree::new(&rows, points.obs_dim);
    let mut edges: Vec<(usize, usize)> = Vec::new();
    for (vertex, &i) in firsts.iter().enumerate() {
        let near = tree.nearest_k(points.x(i), neighbours, Some(vertex));
        edges.extend(near.into_iter().map(|(_, other)| (i.max(firsts[other]), i.min(firsts[other]))));
    }
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// The extension of these values with the least constant that is possible and at least `alpha`.
fn extend(points: &Points, values: &[f64], alpha: f64) -> Result<Table, AgentError> {
    let (merged, _) = Points { u: values.to_vec(), ..points.clone() }.merged();
    let steepest = slope(&merged.x, merged.obs_dim, &merged.u, merged.act_dim);
    Table::new(merged, if steepest > alpha * (1.0 + 1e-9) { steepest } else { alpha }).map_err(named)
}

/// The error, with the setting as the config names it.
fn named(error: ControlError) -> AgentError {
    match error.into() {
        AgentError::BadConfig { problem, .. } => bad("constraint", problem),
        other => other,
    }
}
