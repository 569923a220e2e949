//! The backward side of a row of the Jacobian: bounds on a_s from the last layer to the first.

use super::{
    interval::{Interval, product, rounding},
    relax::{Relaxed, with_negative},
    substitution::Rows,
};

/// The backward side of one row of the Jacobian: bounds on a_s, from the last layer on.
pub(super) struct Backward {
    /// The last layer.
    last: usize,
    /// a_s from the last layer on, which is certain.
    behind: Vec<Interval>,
    /// |W_{s+1}ᵀ| |y_{s+1}|, the sizes to which rounding in a_s is proportional.
    sizes: Vec<Vec<f64>>,
}

impl Backward {
    /// The row whose last a is `end`, at layer `last`.
    pub(super) fn new(last: usize, end: &[f64]) -> Self {
        let behind = vec![end.iter().map(|&a| (a, a)).collect()];
        Self { last, behind, sizes: vec![vec![0.0; end.len()]] }
    }

    /// a_s.
    pub(super) fn behind(&self, s: usize) -> &Interval {
        &self.behind[self.last - s]
    }

    pub(super) fn sizes(&self, s: usize) -> &[f64] {
        &self.sizes[self.last - s]
    }

    pub(super) fn last(&self) -> usize {
        self.last
    }

    /// Those bounds by interval arithmetic alone.
    fn interval(&self, relaxed: &Relaxed<'_>, s: usize) -> (Interval, Vec<f64>) {
        let stage = &relaxed.stages[s];
        let products = self.behind(s).ends().zip(&stage.slopes).map(|(a, &slopes)| product(slopes, a));
        let (columns, unit) = (stage.weight.ncols(), rounding(stage.weight.nrows()));
        let mut ends = Interval { low: vec![0.0; columns], high: vec![0.0; columns] };
        let mut sizes = vec![0.0; columns];
        for (i, (low, high)) in products.enumerate() {
            for (j, &m) in stage.weight.row(i).iter().enumerate() {
                ends.low[j] += if m >= 0.0 { m * low } else { m * high };
                ends.high[j] += if m >= 0.0 { m * high } else { m * low };
                sizes[j] += m.abs() * low.abs().max(high.abs());
            }
        }
        for (j, size) in sizes.iter().enumerate() {
            ends.low[j] -= unit * size;
            ends.high[j] += unit * size;
        }
        (ends, sizes)
    }

    /// Bounds on a_{s−1} = W_sᵀ y_s, s being the layer found last, and the sizes to which rounding
    /// in it is proportional.
    pub(super) fn entries(&self, relaxed: &Relaxed<'_>, s: usize) -> (Interval, Vec<f64>) {
        let (mut ends, sizes) = self.interval(relaxed, s);
        let n = ends.low.len();
        let rows = with_negative(relaxed.stages[s].weight.transpose());
        let slack = vec![0.0; 2 * n];
        let (found, _) = relaxed.upper(&Rows::Products(s, rows, slack), Some(self));
        for i in 0..n {
            ends.high[i] = ends.high[i].min(found[i]);
            ends.low[i] = ends.low[i].max(-found[n + i]);
        }
        (ends, sizes)
    }

    /// Adds the a before the layer found last.
    pub(super) fn push(&mut self, a: Interval, sizes: Vec<f64>) {
        self.behind.push(a);
        self.sizes.push(sizes);
    }
}
