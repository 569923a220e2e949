//! Nearest neighbours among fixed points, by a k-d tree (Bentley 1975; Friedman, Bentley & Finkel 1977): for graphs, for points between
//! neighbours, for how far a data set leaves a state from its nearest sample.

/// Points a leaf holds.
const LEAF: usize = 16;

/// A k-d tree over rows `[N, dim]`.
#[derive(Clone, Debug)]
pub struct Neighbours {
    rows: Vec<f64>,
    dim: usize,
    /// Rows in the tree's order.
    order: Vec<u32>,
    /// The coordinate a node splits by, at the place of its median in `order`.
    axes: Vec<u32>,
}

impl Neighbours {
    /// The tree of these rows, flat and row-major.
    pub fn new(rows: Vec<f64>, dim: usize) -> Self {
        let count = rows.len() / dim.max(1);
        let mut order: Vec<u32> = (0..count as u32).collect();
        let mut tree = Self { rows, dim, order: Vec::new(), axes: vec![0; count] };
        let mut axes = std::mem::take(&mut tree.axes);
        tree.arrange(&mut order, &mut axes);
        Self { order, axes, ..tree }
    }

    /// Puts the median of the widest coordinate into the middle, and so on within both halves.
    fn arrange(&self, order: &mut [u32], axes: &mut [u32]) {
        if order.len() <= LEAF {
            return;
        }
        let (axis, middle) = (self.widest(order), order.len() / 2);
        let at = |i: &u32| self.rows[*i as usize * self.dim + axis];
        order.select_nth_unstable_by(middle, |i, j| at(i).total_cmp(&at(j)).then(i.cmp(j)));
        axes[middle] = axis as u32;
        let ((left, right), (left_axes, right_axes)) = (order.split_at_mut(middle), axes.split_at_mut(middle));
        self.arrange(left, left_axes);
        self.arrange(&mut right[1..], &mut right_axes[1..]);
    }

    /// The coordinate with the largest range among these rows.
    fn widest(&self, order: &[u32]) -> usize {
        let range = |axis: usize| {
            let all = order.iter().map(|&i| self.rows[i as usize * self.dim + axis]);
            let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
            high - low
        };
        (0..self.dim).max_by(|&a, &b| range(a).total_cmp(&range(b))).unwrap_or(0)
    }

    /// The `k` rows nearest to `x [dim]` that are not `but`, nearest first, with their squared distances; of equal ones those with lower numbers.
    pub fn nearest(&self, x: &[f64], k: usize, but: Option<usize>) -> Vec<(f64, usize)> {
        let mut query = Query { x, k, but, found: Vec::with_capacity(k + 1) };
        if k > 0 {
            self.search(&self.order, &self.axes, &mut query);
        }
        query.found
    }

    fn search(&self, order: &[u32], axes: &[u32], query: &mut Query<'_>) {
        if order.len() <= LEAF {
            order.iter().for_each(|&i| self.offer(i as usize, query));
            return;
        }
        let middle = order.len() / 2;
        let (axis, pivot) = (axes[middle] as usize, order[middle] as usize);
        self.offer(pivot, query);
        let gap = query.x[axis] - self.rows[pivot * self.dim + axis];
        let (left, right) = (0..middle, middle + 1..order.len());
        let (near, far) = if gap < 0.0 { (left, right) } else { (right, left) };
        self.search(&order[near.clone()], &axes[near], query);
        if query.found.len() < query.k || query.found.last().is_some_and(|(furthest, _)| gap * gap <= *furthest) {
            self.search(&order[far.clone()], &axes[far], query);
        }
    }

    fn offer(&self, i: usize, Query { x, k, but, found }: &mut Query<'_>) {
        if Some(i) == *but {
            return;
        }
        let row = &self.rows[i * self.dim..][..self.dim];
        let squared = row.iter().zip(*x).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let place = found.partition_point(|&(other, j)| (other, j) < (squared, i));
        if place < *k {
            found.insert(place, (squared, i));
            found.truncate(*k);
        }
    }
}

/// A search under way.
struct Query<'a> {
    x: &'a [f64],
    k: usize,
    but: Option<usize>,
    /// The best so far: squared distances and rows.
    found: Vec<(f64, usize)>,
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::Streams;

    #[test]
    fn the_tree_finds_what_a_search_through_all_finds() {
        let mut rng = Streams::new(1).rng("neighbours");
        for (count, dim) in [(1, 1), (16, 2), (17, 2), (500, 1), (700, 3), (400, 11)] {
            // On a coarse grid, so that many distances and coordinates are equal.
            let rows: Vec<f64> = (0..count * dim).map(|_| f64::from(rng.random_range(0..6))).collect();
            let tree = Neighbours::new(rows.clone(), dim);
            for i in (0..count).step_by(7) {
                let x = &rows[i * dim..][..dim];
                let squared = |j: usize| (0..dim).map(|k| (rows[j * dim + k] - x[k]).powi(2)).sum::<f64>();
                let mut all: Vec<(f64, usize)> = (0..count).filter(|&j| j != i).map(|j| (squared(j), j)).collect();
                all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                all.truncate(5);
                assert_eq!(tree.nearest(x, 5, Some(i)), all);
            }
        }
    }
}
