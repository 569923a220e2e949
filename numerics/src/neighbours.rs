//! A k-d tree over rows of numbers (Bentley 1975; Friedman, Bentley & Finkel 1977): the nearest
//! rows, and all rows within a radius.

/// Rows of `dim` numbers each, arranged for neighbour queries in the Euclidean norm.
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    rows: &'a [f64],
    dim: usize,
    /// Row numbers; each node is a range of them.
    order: Vec<u32>,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    from: u32,
    to: u32,
    /// The coordinate that splits the node, and its value at the split; `None` for a leaf.
    split: Option<(u32, f64)>,
    /// Numbers of the nodes below and above the split.
    below: u32,
    above: u32,
}

/// Most rows of a leaf.
const LEAF: usize = 12;

impl<'a> Tree<'a> {
    /// The tree of `rows [N, dim]`; numbers beyond the last whole row are ignored.
    pub fn new(rows: &'a [f64], dim: usize) -> Self {
        let count = rows.len() / dim.max(1);
        let mut tree = Self { rows, dim, order: (0..count as u32).collect(), nodes: Vec::new() };
        if count > 0 {
            tree.build(0, count);
        }
        tree
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &'a [f64] {
        &self.rows[i * self.dim..(i + 1) * self.dim]
    }

    fn build(&mut self, from: usize, to: usize) -> u32 {
        let number = self.nodes.len() as u32;
        self.nodes.push(Node { from: from as u32, to: to as u32, split: None, below: 0, above: 0 });
        if to - from > LEAF {
            let (axis, width) = self.widest(from, to);
            if width > 0.0 {
                let (rows, dim, middle) = (self.rows, self.dim, (to - from) / 2);
                let at = |row: u32| rows[row as usize * dim + axis];
                self.order[from..to].select_nth_unstable_by(middle, |&a, &b| at(a).total_cmp(&at(b)));
                let split = at(self.order[from + middle]);
                let below = self.build(from, from + middle);
                let above = self.build(from + middle, to);
                let node = &mut self.nodes[number as usize];
                (node.split, node.below, node.above) = (Some((axis as u32, split)), below, above);
            }
        }
        number
    }

    /// The coordinate of the largest width among these rows, and that width.
    fn widest(&self, from: usize, to: usize) -> (usize, f64) {
        let width = |axis: usize| {
            let at = |row: &u32| self.rows[*row as usize * self.dim + axis];
            let (low, high) = self.order[from..to]
                .iter()
                .map(at)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
            high - low
        };
        (0..self.dim)
            .map(|axis| (axis, width(axis)))
            .fold((0, 0.0), |best, one| if one.1 > best.1 { one } else { best })
    }

    /// The row nearest to `query [dim]` and its distance; `None` if the tree is empty.
    pub fn nearest(&self, query: &[f64]) -> Option<(usize, f64)> {
        let mut best = None;
        self.visit(query, f64::INFINITY, |row, distance| {
            best = Some((row, distance));
            distance
        });
        best
    }

    /// The `k` rows nearest to `query [dim]` other than `but`, nearest first, with their squared
    /// distances. Among equal distances lower row numbers come first.
    pub fn nearest_k(&self, query: &[f64], k: usize, but: Option<usize>) -> Vec<(f64, usize)> {
        let mut found: Vec<(f64, usize)> = Vec::with_capacity(k + 1);
        if k == 0 {
            return found;
        }
        self.visit(query, f64::INFINITY, |row, _| {
            if Some(row) != but {
                let squared = squared_distance(query, self.row(row));
                let place = found.partition_point(|&(other, j)| (other, j) < (squared, row));
                found.insert(place, (squared, row));
                found.truncate(k);
            }
            // A row at the largest distance found still counts if its number is lower.
            if found.len() < k { f64::INFINITY } else { found[k - 1].0.sqrt().next_up() }
        });
        found
    }

    /// Calls `visit` with each row within `radius` of `query [dim]` and its distance, in any order.
    /// `visit` returns the radius from then on.
    pub fn visit(&self, query: &[f64], radius: f64, mut visit: impl FnMut(usize, f64) -> f64) {
        if !self.nodes.is_empty() {
            let mut search = Query { query, offsets: vec![0.0; self.dim], radius, visit: &mut visit };
            self.descend(0, 0.0, &mut search);
        }
    }

    /// `away` is the squared distance from the query to the node's cell: the sum of the squared
    /// offsets (Arya & Mount 1993).
    fn descend(&self, node: u32, away: f64, search: &mut Query<'_, impl FnMut(usize, f64) -> f64>) {
        let Node { from, to, split, below, above } = self.nodes[node as usize];
        let Some((axis, at)) = split else {
            for &row in &self.order[from as usize..to as usize] {
                let distance = distance(search.query, self.row(row as usize));
                if distance < search.radius {
                    search.radius = (search.visit)(row as usize, distance);
                }
            }
            return;
        };
        let axis = axis as usize;
        let offset = search.query[axis] - at;
        let (near, far) = if offset < 0.0 { (below, above) } else { (above, below) };
        self.descend(near, away, search);
        let before = search.offsets[axis];
        let beyond = (away + (offset - before) * (offset + before)).max(0.0);
        // Slightly less, against the rounding of `beyond`.
        if beyond * (1.0 - 1e-12) <= search.radius * search.radius {
            search.offsets[axis] = offset;
            self.descend(far, beyond, search);
            search.offsets[axis] = before;
        }
    }
}

/// A query during the descent.
struct Query<'a, F> {
    query: &'a [f64],
    /// Offset from the query to the cell in each coordinate.
    offsets: Vec<f64>,
    radius: f64,
    visit: &'a mut F,
}

/// ‖x − y‖₂.
pub fn distance(x: &[f64], y: &[f64]) -> f64 {
    squared_distance(x, y).sqrt()
}

fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;
    use crate::Streams;

    #[test]
    fn the_tree_finds_what_a_search_through_all_finds() {
        let mut rng = Streams::new(1).rng("neighbours");
        for (count, dim) in [(1, 1), (16, 2), (17, 2), (500, 1), (700, 3), (400, 11)] {
            // On a coarse grid, so that many distances and coordinates are equal.
            let rows: Vec<f64> = (0..count * dim).map(|_| f64::from(rng.random_range(0..6))).collect();
            let tree = Tree::new(&rows, dim);
            for i in (0..count).step_by(7) {
                let x = &rows[i * dim..][..dim];
                let squared = |j: usize| (0..dim).map(|k| (rows[j * dim + k] - x[k]).powi(2)).sum::<f64>();
                let mut all: Vec<(f64, usize)> = (0..count).filter(|&j| j != i).map(|j| (squared(j), j)).collect();
                all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                all.truncate(5);
                assert_eq!(tree.nearest_k(x, 5, Some(i)), all);
            }
        }
    }

    proptest! {
        /// Compares with an exhaustive search, duplicates included.
        #[test]
        fn neighbours_are_those_of_an_exhaustive_search(
            rows in prop::collection::vec(0i32..12, 0..400),
            query in prop::collection::vec(-2.0..14.0f64, 3),
            radius in 0.0..9.0f64,
        ) {
            let rows: Vec<f64> = rows.into_iter().map(f64::from).collect();
            let tree = Tree::new(&rows, 3);
            let all: Vec<f64> = rows.chunks_exact(3).map(|row| distance(row, &query)).collect();
            let nearest = tree.nearest(&query).map(|found| found.1);
            prop_assert_eq!(nearest, all.iter().copied().min_by(f64::total_cmp));
            let mut within = Vec::new();
            tree.visit(&query, radius, |row, _| { within.push(row); radius });
            within.sort_unstable();
            let expected: Vec<usize> = (0..all.len()).filter(|&row| all[row] < radius).collect();
            prop_assert_eq!(within, expected);
        }
    }
}
