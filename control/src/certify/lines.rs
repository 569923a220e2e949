//! Bounds through a chain of layers: b_s = M_s a_{s−1} + c_s, then a_s between two lines of b_s.
//! They come from interval arithmetic and from linear bounds substituted back to the start (CROWN,
//! Zhang et al. 2018, arXiv 1811.00866). The forward pass is such a chain from the box of inputs,
//! the backward pass of a Jacobian one from the last weight.
//!
//! Every bound is moved outwards by the largest possible error of f64's rounding. A sum of n
//! products is wrong by at most n u Σ|xy| (Higham 2002, section 3.1), u = 2⁻⁵³. The lines and maps
//! that follow can enlarge that error; the intervals bound by how much.
//!
//! Half-spaces g·x + h ≥ 0 can restrict the start a_0 = x. Any β ≥ 0 gives max a·x ≤ max over the
//! box of (a + Σ β g)·x + Σ β h (Lagrange; β-CROWN, Wang et al. 2021, arXiv 2103.06624). The β are
//! chosen one after the other.

use faer::{Mat, MatRef};

use super::{algebra::UNIT_ROUNDOFF, slopes::LinePair};

/// All vectors between two corners.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) low: Vec<f64>,
    pub(super) high: Vec<f64>,
}

impl Interval {
    /// Largest absolute value of each coordinate.
    pub(super) fn sizes(&self) -> Vec<f64> {
        self.low.iter().zip(&self.high).map(|(low, high)| low.abs().max(high.abs())).collect()
    }

    /// True if the box is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.low.iter().zip(&self.high).any(|(low, high)| low > high)
    }

    /// The vectors in both boxes.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        self.ends().zip(other.ends()).map(|(a, b)| (a.0.max(b.0), a.1.min(b.1))).collect()
    }

    /// Both ends of each coordinate.
    pub(super) fn ends(&self) -> impl Iterator<Item = (f64, f64)> {
        self.low.iter().copied().zip(self.high.iter().copied())
    }
}

impl FromIterator<(f64, f64)> for Interval {
    fn from_iter<I: IntoIterator<Item = (f64, f64)>>(ends: I) -> Self {
        let (low, high) = ends.into_iter().unzip();
        Self { low, high }
    }
}

/// The affine map of one layer, M and c.
#[derive(Clone, Copy)]
pub(super) struct Affine<'a> {
    pub(super) matrix: MatRef<'a, f64>,
    pub(super) bias: Option<&'a [f64]>,
}

/// One layer with its bounds.
struct Stage<'a> {
    map: Affine<'a>,
    /// |M| |a_{s−1}|: the sizes to which rounding in M a is proportional.
    sizes: Vec<f64>,
    /// Largest |b|.
    inputs: Vec<f64>,
    lines: Vec<LinePair>,
    /// a_s.
    outputs: Interval,
}

/// All x with slope·x + offset ≥ 0.
struct HalfSpace {
    slope: Vec<f64>,
    offset: f64,
}

/// The layers so far.
pub(super) struct Chain<'a> {
    base: Interval,
    half_spaces: Vec<HalfSpace>,
    stages: Vec<Stage<'a>>,
}

/// Rounds over all half-spaces in choosing their multipliers.
const ROUNDS: usize = 2;

impl<'a> Chain<'a> {
    /// The empty chain: a_0 in `base`.
    pub(super) fn new(base: Interval) -> Self {
        Self { base, half_spaces: Vec::new(), stages: Vec::new() }
    }

    /// The box of a_0, as far as the constraints leave it.
    pub(super) fn base(&self) -> &Interval {
        &self.base
    }

    /// Restricts a_0 to where row `i` of M a + c can be at least 0, or at most 0 if not
    /// `positive`. False if that is nowhere.
    pub(super) fn constrain(&mut self, map: Affine<'_>, i: usize, positive: bool) -> bool {
        let sign = if positive { 1.0 } else { -1.0 };
        let row = Mat::from_fn(1, map.matrix.ncols(), |_, j| sign * map.matrix[(i, j)]);
        let (rows, offsets) = self.substituted(row, vec![sign * map.bias.map_or(0.0, |bias| bias[i])], None);
        let (slope, offset): (Vec<f64>, f64) = (rows.row(0).iter().copied().collect(), offsets[0]);
        let (mut most, mut size) = (offset, offset.abs());
        for (a, (low, high)) in slope.iter().zip(self.base.ends()) {
            most += (a * low).max(a * high);
            size += a.abs() * low.abs().max(high.abs());
        }
        most += rounding(slope.len()) * size;
        if most < 0.0 {
            return false;
        }
        // Even with all other coordinates at their best, slope·x may fall by no more than `most`.
        for (j, a) in slope.iter().enumerate().filter(|(_, a)| **a != 0.0) {
            let (reach, (low, high)) = (most / a.abs(), (self.base.low[j], self.base.high[j]));
            let spare = 4.0 * f64::EPSILON * (reach + low.abs().max(high.abs()));
            if *a > 0.0 {
                self.base.low[j] = low.max(high - reach - spare);
            } else {
                self.base.high[j] = high.min(low + reach + spare);
            }
        }
        self.half_spaces.push(HalfSpace { slope, offset });
        !self.base.is_empty()
    }

    fn outputs(&self) -> &Interval {
        self.stages.last().map_or(&self.base, |stage| &stage.outputs)
    }

    /// Bounds on M a + c for the last layer's a.
    pub(super) fn bounds(&self, map: Affine<'_>) -> Interval {
        let (rows, zeros) = (map.matrix.nrows(), vec![0.0; map.matrix.nrows()]);
        let bias = map.bias.unwrap_or(&zeros);
        let mut bounds = self.interval(map.matrix, bias);
        if self.stages.is_empty() {
            return bounds;
        }
        let upper = self.upper(map.matrix.to_owned(), bias.to_vec(), None);
        let negative = bias.iter().map(|b| -b).collect();
        let lower = self.upper(Mat::from_fn(rows, map.matrix.ncols(), |i, j| -map.matrix[(i, j)]), negative, None);
        for i in 0..rows {
            bounds.high[i] = bounds.high[i].min(upper[i]);
            bounds.low[i] = bounds.low[i].max(-lower[i]);
        }
        bounds
    }

    /// Those bounds by interval arithmetic alone.
    fn interval(&self, matrix: MatRef<'_, f64>, bias: &[f64]) -> Interval {
        let mut ends = Interval { low: bias.to_vec(), high: bias.to_vec() };
        let mut sizes: Vec<f64> = bias.iter().map(|b| b.abs()).collect();
        for (j, (low, high)) in self.outputs().ends().enumerate() {
            let size = low.abs().max(high.abs());
            for (i, &m) in matrix.col(j).iter().enumerate() {
                ends.low[i] += if m >= 0.0 { m * low } else { m * high };
                ends.high[i] += if m >= 0.0 { m * high } else { m * low };
                sizes[i] += m.abs() * size;
            }
        }
        let unit = rounding(matrix.ncols());
        for (i, size) in sizes.iter().enumerate() {
            ends.low[i] -= unit * size;
            ends.high[i] += unit * size;
        }
        ends
    }

    /// Adds a layer. b = M a + c lies in `inputs` (`bounds`, or tighter); there `lines` enclose the
    /// new a, which lies in `outputs`.
    pub(super) fn push(&mut self, map: Affine<'a>, inputs: &Interval, lines: Vec<LinePair>, outputs: Interval) {
        let before = self.outputs().sizes();
        let mut sizes = vec![0.0; map.matrix.nrows()];
        for (j, before) in before.iter().enumerate() {
            for (size, m) in sizes.iter_mut().zip(map.matrix.col(j).iter()) {
                *size += m.abs() * before;
            }
        }
        self.stages.push(Stage { map, sizes, inputs: inputs.sizes(), lines, outputs });
    }

    /// Upper bounds on `rows` a + `constants` for the last layer's a. `trail` takes the absolute
    /// values of the first row's coefficients of every layer's a, last layer first.
    pub(super) fn upper(&self, rows: Mat<f64>, constants: Vec<f64>, trail: Option<&mut Vec<Vec<f64>>>) -> Vec<f64> {
        let (rows, constants) = self.substituted(rows, constants, trail);
        let most = |(i, constant): (usize, f64)| {
            let row: Vec<f64> = rows.row(i).iter().copied().collect();
            self.most(&row) + constant
        };
        constants.into_iter().enumerate().map(most).collect()
    }

    /// An upper bound on `row`·x over the base and the half-spaces.
    fn most(&self, row: &[f64]) -> f64 {
        let mut row = row.to_vec();
        let mut sizes: Vec<f64> = row.iter().map(|a| a.abs()).collect();
        let (mut constant, mut slack) = (0.0, 0.0);
        for half_space in (0..ROUNDS).flat_map(|_| &self.half_spaces) {
            let beta = self.multiplier(&row, half_space);
            if beta > 0.0 {
                for ((a, size), g) in row.iter_mut().zip(&mut sizes).zip(&half_space.slope) {
                    *a += beta * g;
                    *size += beta * g.abs();
                }
                constant += beta * half_space.offset;
                slack += beta * half_space.offset.abs();
            }
        }
        for ((a, size), (low, high)) in row.iter().zip(&sizes).zip(self.base.ends()) {
            constant += (a * low).max(a * high);
            slack += size * low.abs().max(high.abs());
        }
        constant + rounding(row.len() + ROUNDS * self.half_spaces.len()) * slack
    }

    /// The β ≥ 0 with the least max over the base of (row + β g)·x + β h.
    fn multiplier(&self, row: &[f64], HalfSpace { slope, offset }: &HalfSpace) -> f64 {
        let end = |a: f64, g: f64, (low, high): (f64, f64)| {
            let rises = a > 0.0 || (a == 0.0 && g > 0.0);
            if rises { high } else { low }
        };
        let terms = row.iter().zip(slope).zip(self.base.ends());
        let mut rate: f64 = offset + terms.map(|((a, g), ends)| g * end(*a, *g, ends)).sum::<f64>();
        if rate >= 0.0 {
            return 0.0;
        }
        // The rate rises where a coefficient changes its sign.
        let turns = row.iter().zip(slope).zip(self.base.ends());
        let turns = turns.filter(|((a, g), _)| *a * *g < 0.0);
        let mut turns: Vec<(f64, f64)> = turns.map(|((a, g), (low, high))| (-a / g, g.abs() * (high - low))).collect();
        turns.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (beta, rise) in turns {
            rate += rise;
            if rate >= 0.0 {
                return if beta.is_finite() { beta } else { 0.0 };
            }
        }
        0.0
    }

    /// Linear bounds on `rows` a + `constants` by a_0: coefficients, and constants that include
    /// what rounding can add anywhere in the base.
    fn substituted(
        &self,
        mut rows: Mat<f64>,
        mut constants: Vec<f64>,
        mut trail: Option<&mut Vec<Vec<f64>>>,
    ) -> (Mat<f64>, Vec<f64>) {
        let count = rows.nrows();
        let mut slack: Vec<f64> = constants.iter().map(|c| rounding(1) * c.abs()).collect();
        for stage in self.stages.iter().rev() {
            if let Some(trail) = &mut trail {
                trail.push(rows.row(0).iter().map(|x| x.abs()).collect());
            }
            let unit = rounding(rows.ncols());
            for (j, lines) in stage.lines.iter().enumerate() {
                let (bias, size) = (stage.map.bias.map_or(0.0, |bias| bias[j]), stage.sizes[j]);
                for i in 0..count {
                    let a = rows[(i, j)];
                    let line = if a >= 0.0 { lines.upper } else { lines.lower };
                    let coefficient = a * line.slope;
                    rows[(i, j)] = coefficient;
                    constants[i] += a * line.offset + coefficient * bias;
                    slack[i] += unit
                        * (a.abs() * line.offset.abs() + coefficient.abs() * (stage.inputs[j] + bias.abs() + size));
                }
            }
            rows = rows * stage.map.matrix;
        }
        if let Some(trail) = &mut trail {
            trail.push(rows.row(0).iter().map(|x| x.abs()).collect());
        }
        let unit = rounding(rows.ncols());
        for (j, (low, high)) in self.base.ends().enumerate() {
            for i in 0..count {
                slack[i] += unit * rows[(i, j)].abs() * low.abs().max(high.abs());
            }
        }
        let constants = constants.iter().zip(slack).map(|(constant, slack)| constant + slack).collect();
        (rows, constants)
    }
}

/// Bound on the rounding error of a sum of `n` products and a few more terms, relative to the sum
/// of their absolute values; twice the true bound.
fn rounding(n: usize) -> f64 {
    2.0 * UNIT_ROUNDOFF * (n + 8) as f64
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Activation;
    use rand::RngExt;

    use super::*;
    use crate::certify::{
        network::testing::*,
        slopes::{lines, value, values_between},
    };

    #[test]
    fn bounds_by_hand() {
        // z = x₁ − x₂ over [0, 2] × [−1, 1] lies in [−1, 3], and relu(z) is at most its chord ¾(z +
        // 1).
        let matrix = Mat::from_fn(1, 2, |_, j| [1.0, -1.0][j]);
        let map = Affine { matrix: matrix.as_ref(), bias: None };
        let mut chain = Chain::new(Interval { low: vec![0.0, -1.0], high: vec![2.0, 1.0] });
        let z = chain.bounds(map);
        assert!((z.low[0] + 1.0).abs() < 1e-12 && (z.high[0] - 3.0).abs() < 1e-12);
        let around = lines(Activation::Relu, -1.0, 3.0);
        chain.push(map, &z, vec![around], Interval { low: vec![0.0], high: vec![3.0] });
        let upper = chain.upper(Mat::from_fn(2, 1, |i, _| [2.0, -1.0][i]), vec![0.5, 0.0], None);
        assert!((upper[0] - 6.5).abs() < 1e-12 && (upper[1] - 1.0).abs() < 1e-12, "{upper:?}");
    }

    #[test]
    fn no_sampled_value_leaves_its_bounds_and_linear_bounds_are_no_worse_than_intervals() {
        let mut rng = rng("chains");
        for activation in ACTIVATIONS {
            let network = gaussian(&[3, 10, 8, 6, 2], activation, false, &mut rng);
            let base = Interval { low: vec![-0.3, 0.1, -0.2], high: vec![0.3, 0.5, 0.4] };
            let mut chain = Chain::new(base.clone());
            let mut all = Vec::new();
            for (weight, bias) in network.weights().iter().zip(network.biases()) {
                let map = Affine { matrix: weight.as_ref(), bias: Some(bias) };
                let (z, coarse) = (chain.bounds(map), chain.interval(map.matrix, bias));
                assert!(z.ends().zip(coarse.ends()).all(|(fine, coarse)| fine.0 >= coarse.0 && fine.1 <= coarse.1));
                let around = z.ends().map(|(low, high)| lines(activation, low, high)).collect();
                let outputs = z.ends().map(|(low, high)| values_between(activation, low, high)).collect();
                chain.push(map, &z, around, outputs);
                all.push(z);
            }
            for _ in 0..2000 {
                let x: Vec<f64> = base.ends().map(|(low, high)| rng.random_range(low..=high)).collect();
                for (z, bounds) in network.trace(&x).z.iter().zip(&all) {
                    for (z, (low, high)) in z.iter().zip(bounds.ends()) {
                        assert!(low <= *z && *z <= high, "{activation:?}: {z} {low} {high}");
                    }
                }
                assert!(value(activation, x[0]).is_finite());
            }
        }
    }
}
