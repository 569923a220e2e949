//! Linear bounds on a network and on its Jacobian over a box, substituted back to the inputs
//! (CROWN, Zhang et al. 2018, arXiv 1811.00866; on Jacobians, Shi et al. 2022, arXiv 2210.07394).
//!
//! Forward: z_s = W_s h_{s−1} + b_s, h_s = φ(z_s) between two lines of z_s. Backward, for a row of
//! the Jacobian: a_{s−1} = W_sᵀ y_s, y_s = d_s ⊙ a_s, d_s = φ'(z_s) between two lines of z_s. With
//! d in [m, M] and a in [p, q], (M − d)(a − p) ≥ 0 and (d − m)(q − a) ≥ 0 put y = d a below two
//! planes, and two more lie below it; any mixture of the two will do. So a row becomes linear in
//! the d_s, these linear in the z_s, and all of it linear in the inputs.
//!
//! Every bound is moved outwards by the largest possible error of f64's rounding. A sum of n
//! products is wrong by at most n u Σ|xy| (Higham 2002, section 3.1), u = 2⁻⁵³. The lines and maps
//! that follow can enlarge that error; the intervals bound by how much.

use faer::{Mat, MatRef};
use liprl_numerics::Activation;

use super::{
    backward::Backward,
    base::Base,
    interval::{Interval, rounding},
    lines::{LinePair, is_smooth, lines, slope_lines},
    slopes::values_between,
    substitution::{Planes, Rows, Substituted},
};

/// Most products of rows and weights for which lines of slopes are worth the time.
const MOST_PRODUCTS: usize = 1_000_000_000;

/// One layer's activations with their bounds.
pub(super) struct Stage<'a> {
    pub(super) weight: MatRef<'a, f64>,
    pub(super) bias: &'a [f64],
    /// z_s.
    pub(super) inputs: Interval,
    /// h_s.
    outputs: Interval,
    /// |W_s| |h_{s−1}| + |b_s|: the sizes to which rounding in W h + b is proportional.
    pub(super) sizes: Vec<f64>,
    /// Ranges of d_s.
    pub(super) slopes: Vec<(f64, f64)>,
    /// Lines of z around h and around d.
    pub(super) value_lines: Vec<LinePair>,
    pub(super) slope_lines: Vec<LinePair>,
}

/// The layers so far over a box.
pub(super) struct Relaxed<'a> {
    pub(super) base: Base,
    pub(super) stages: Vec<Stage<'a>>,
    /// True if some layer's slopes have lines that tell more than their range.
    is_smooth: bool,
}

impl<'a> Relaxed<'a> {
    pub(super) fn new(base: Interval) -> Self {
        Self { base: Base::new(base), stages: Vec::new(), is_smooth: false }
    }

    fn outputs(&self) -> &Interval {
        self.stages.last().map_or(&self.base.ends, |stage| &stage.outputs)
    }

    /// Restricts the inputs to where row `i` of W h + b can be at least 0, or at most 0 if not
    /// `positive`. False if that is nowhere.
    pub(super) fn constrain(&mut self, weight: MatRef<'_, f64>, bias: &[f64], i: usize, positive: bool) -> bool {
        let sign = if positive { 1.0 } else { -1.0 };
        let row = Mat::from_fn(1, weight.ncols(), |_, j| sign * weight[(i, j)]);
        let found = self.affine(row, vec![sign * bias[i]]);
        self.base.constrain(found.rows.row(0).iter().copied().collect(), found.constants[0])
    }

    /// Bounds on W h + b for the last layer's h.
    pub(super) fn bounds(&self, weight: MatRef<'_, f64>, bias: &[f64]) -> Interval {
        let mut bounds = self.interval(weight, bias);
        let Some(last) = self.stages.len().checked_sub(1) else { return bounds };
        let n = weight.nrows();
        let constants = bias.iter().copied().chain(bias.iter().map(|b| -b)).collect();
        let (found, _) = self.upper(&Rows::Values(last, with_negative(weight), constants), None);
        for i in 0..n {
            bounds.high[i] = bounds.high[i].min(found[i]);
            bounds.low[i] = bounds.low[i].max(-found[n + i]);
        }
        bounds
    }

    /// Those bounds by interval arithmetic alone.
    fn interval(&self, weight: MatRef<'_, f64>, bias: &[f64]) -> Interval {
        let sizes = sizes_after(weight, bias, &self.outputs().sizes());
        let mut ends = Interval { low: bias.to_vec(), high: bias.to_vec() };
        for (j, (low, high)) in self.outputs().ends().enumerate() {
            for (i, &m) in weight.col(j).iter().enumerate() {
                ends.low[i] += if m >= 0.0 { m * low } else { m * high };
                ends.high[i] += if m >= 0.0 { m * high } else { m * low };
            }
        }
        let unit = rounding(weight.ncols());
        for (i, size) in sizes.iter().enumerate() {
            ends.low[i] -= unit * size;
            ends.high[i] += unit * size;
        }
        ends
    }

    /// Adds a layer, whose first units are `carried` along without the activation. Its z lies in
    /// `inputs` (`bounds`, or tighter) and whose slopes in `slopes`.
    pub(super) fn push(
        &mut self,
        weight: MatRef<'a, f64>,
        bias: &'a [f64],
        (activation, carried): (Activation, usize),
        inputs: Interval,
        slopes: Vec<(f64, f64)>,
    ) {
        let sizes = sizes_after(weight, bias, &self.outputs().sizes());
        let own = |i: usize, (low, high): (f64, f64)| match i < carried {
            true => ((low, high), LinePair::IDENTITY),
            false => (values_between(activation, low, high), lines(activation, low, high)),
        };
        let (ends, value_lines): (Vec<(f64, f64)>, Vec<LinePair>) =
            inputs.ends().enumerate().map(|(i, ends)| own(i, ends)).unzip();
        let outputs = ends.into_iter().collect();
        let around = inputs.ends().zip(&slopes);
        let slope_lines = around.map(|((low, high), &range)| slope_lines(activation, low, high, range)).collect();
        self.is_smooth |= is_smooth(activation);
        self.stages.push(Stage { weight, bias, inputs, outputs, sizes, slopes, value_lines, slope_lines });
    }

    /// Upper bounds on each row of a functional, and the functional by the planes that are better for
    /// the first.
    pub(super) fn upper(&self, rows: &Rows, backward: Option<&Backward>) -> (Vec<f64>, Substituted) {
        let products: usize = self.stages.iter().map(|stage| stage.weight.nrows() * stage.weight.ncols()).sum();
        let few = rows.count() * products <= MOST_PRODUCTS;
        let planes = if few { Planes::Chords } else { Planes::Ranges };
        let found = self.substituted(rows.clone(), backward, planes);
        let bounds = self.most(&found);
        if backward.is_none() || !self.is_smooth || !few {
            return (bounds, found);
        }
        let other = self.substituted(rows.clone(), backward, Planes::Middles);
        let others = self.most(&other);
        let found = if others.first() < bounds.first() { other } else { found };
        (bounds.iter().zip(&others).map(|(a, b)| a.min(*b)).collect(), found)
    }

    /// `rows` h + `constants` for the last layer's h, substituted.
    fn affine(&self, rows: Mat<f64>, constants: Vec<f64>) -> Substituted {
        match self.stages.len() {
            0 => Substituted { constants, rows, ..Substituted::new(0, 0, 0) },
            depth => self.substituted(Rows::Values(depth - 1, rows, constants), None, Planes::Chords),
        }
    }

    pub(super) fn most(&self, found: &Substituted) -> Vec<f64> {
        let most = |(i, constant): (usize, &f64)| {
            let row: Vec<f64> = found.rows.row(i).iter().copied().collect();
            self.base.most(&row) + constant
        };
        found.constants.iter().enumerate().map(most).collect()
    }
}

/// `rows`, and below them their negatives.
pub(super) fn with_negative(rows: MatRef<'_, f64>) -> Mat<f64> {
    let n = rows.nrows();
    Mat::from_fn(2 * n, rows.ncols(), |i, j| if i < n { rows[(i, j)] } else { -rows[(i - n, j)] })
}

/// |W| sizes + |b|.
fn sizes_after(weight: MatRef<'_, f64>, bias: &[f64], before: &[f64]) -> Vec<f64> {
    let mut sizes: Vec<f64> = bias.iter().map(|b| b.abs()).collect();
    for (j, before) in before.iter().enumerate() {
        for (size, m) in sizes.iter_mut().zip(weight.col(j).iter()) {
            *size += m.abs() * before;
        }
    }
    sizes
}
