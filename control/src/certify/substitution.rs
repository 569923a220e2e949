//! Substitution of functionals of layers and of Jacobians back to the inputs (`relax`).

use faer::Mat;

use super::{
    backward::Backward,
    interval::rounding,
    lines::Plane,
    relax::{Relaxed, Stage},
};

/// Coefficients in a functional that is to be bounded from above, one in each row.
#[derive(Clone)]
pub(super) enum Rows {
    /// Of h_s, and constants.
    Values(usize, Mat<f64>, Vec<f64>),
    /// Of y_s; with a bound on what rounding in them can add.
    Products(usize, Mat<f64>, Vec<f64>),
}

impl Rows {
    /// Number of rows.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Values(_, rows, _) | Self::Products(_, rows, _) => rows.nrows(),
        }
    }
}

/// The planes taken around products.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Planes {
    /// Those that need nothing of a slope but its range, and get nothing more: the quickest.
    Ranges,
    /// Planes as of `Ranges`, with lines of the slopes: best on large boxes.
    Chords,
    /// Those in the middle, whose error falls with the square of the box's size.
    Middles,
}

/// A functional substituted back to the inputs, with the coefficients met on the way; those of
/// layers that it does not depend on are empty.
pub(super) struct Substituted {
    /// Coefficients of the inputs.
    pub(super) rows: Mat<f64>,
    /// Constants, which include what rounding can add anywhere in the base.
    pub(super) constants: Vec<f64>,
    /// Coefficients of y_s.
    pub(super) products: Vec<Mat<f64>>,
}

impl Substituted {
    pub(super) fn new(count: usize, depth: usize, inputs: usize) -> Self {
        Self { rows: Mat::zeros(count, inputs), constants: Vec::new(), products: vec![Mat::new(); depth] }
    }
}

impl Relaxed<'_> {
    /// A functional substituted back to the inputs; of `Rows::Products` with their `backward` side.
    pub(super) fn substituted(&self, rows: Rows, backward: Option<&Backward>, planes: Planes) -> Substituted {
        let (depth, inputs) = (self.stages.len(), self.base.ends.low.len());
        let mut found = match rows {
            Rows::Values(s, rows, constants) => {
                let found = Substituted::new(rows.nrows(), depth, inputs);
                let slack: Vec<f64> = constants.iter().map(|c| rounding(1) * c.abs()).collect();
                let mut work = Work { constants, slack, on_inputs: vec![Mat::new(); depth] };
                work.through_lines(&self.stages[s], s, &rows, false);
                (found, work)
            }
            Rows::Products(s, rows, slack) => {
                let mut found = Substituted::new(rows.nrows(), depth, inputs);
                let mut work = Work { constants: vec![0.0; rows.nrows()], slack, on_inputs: vec![Mat::new(); depth] };
                if let Some(backward) = backward {
                    work.through_products(self, s, rows, backward, planes, &mut found);
                }
                (found, work)
            }
        };
        let (found, work) = (&mut found.0, &mut found.1);
        for s in (0..depth).rev() {
            if work.on_inputs[s].nrows() == 0 {
                continue;
            }
            // The coefficients of z_s are complete, and z_s = W h + b.
            let stage = &self.stages[s];
            let coefficients = std::mem::replace(&mut work.on_inputs[s], Mat::new());
            let unit = rounding(coefficients.ncols());
            for (j, (bias, size)) in stage.bias.iter().zip(&stage.sizes).enumerate() {
                for (i, c) in coefficients.col(j).iter().enumerate() {
                    work.constants[i] += c * bias;
                    work.slack[i] += unit * c.abs() * size;
                }
            }
            let before = coefficients * stage.weight;
            if s == 0 {
                found.rows = before;
            } else {
                work.through_lines(&self.stages[s - 1], s - 1, &before, false);
            }
        }
        let unit = rounding(inputs);
        for (j, size) in self.base.ends.sizes().iter().enumerate() {
            for (i, a) in found.rows.col(j).iter().enumerate() {
                work.slack[i] += unit * a.abs() * size;
            }
        }
        found.constants = work.constants.iter().zip(&work.slack).map(|(constant, slack)| constant + slack).collect();
        std::mem::replace(found, Substituted::new(0, 0, 0))
    }
}

/// A substitution on its way.
struct Work {
    constants: Vec<f64>,
    slack: Vec<f64>,
    /// Coefficients of z_s so far; empty if there are none.
    on_inputs: Vec<Mat<f64>>,
}

impl Work {
    /// Puts lines of z_s in place of h_s, or of d_s, with these coefficients.
    fn through_lines(&mut self, stage: &Stage<'_>, s: usize, rows: &Mat<f64>, of_slopes: bool) {
        let around = if of_slopes { &stage.slope_lines } else { &stage.value_lines };
        if of_slopes && around.iter().all(|lines| lines.lower.slope == 0.0 && lines.upper.slope == 0.0) {
            return self.through_ranges(stage, rows);
        }
        if self.on_inputs[s].nrows() == 0 {
            self.on_inputs[s] = Mat::zeros(rows.nrows(), rows.ncols());
        }
        let unit = rounding(rows.ncols());
        for (j, (lines, size)) in around.iter().zip(stage.inputs.sizes()).enumerate() {
            for (i, &c) in rows.col(j).iter().enumerate() {
                let line = if c >= 0.0 { lines.upper } else { lines.lower };
                self.on_inputs[s][(i, j)] += c * line.slope;
                self.constants[i] += c * line.offset;
                self.slack[i] += unit * c.abs() * (line.offset.abs() + line.slope.abs() * size);
            }
        }
    }

    /// Puts the ends of ranges in place of d_s with these coefficients.
    fn through_ranges(&mut self, stage: &Stage<'_>, rows: &Mat<f64>) {
        let unit = rounding(rows.ncols());
        for (j, (least, most)) in stage.slopes.iter().enumerate() {
            for (i, &c) in rows.col(j).iter().enumerate() {
                let end = c * if c >= 0.0 { most } else { least };
                self.constants[i] += end;
                self.slack[i] += unit * end.abs();
            }
        }
    }

    /// Puts planes of a and d in place of y_s, y_{s+1}, …, and lines of z in place of each d.
    fn through_products(
        &mut self,
        relaxed: &Relaxed<'_>,
        first: usize,
        mut rows: Mat<f64>,
        backward: &Backward,
        planes: Planes,
        found: &mut Substituted,
    ) {
        for s in first..=backward.last() {
            let (stage, behind) = (&relaxed.stages[s], backward.behind(s));
            let (mut next, mut slopes) =
                (Mat::zeros(rows.nrows(), rows.ncols()), Mat::zeros(rows.nrows(), rows.ncols()));
            let (unit, mut any) = (rounding(8), false);
            for (j, (&(least, most), (p, q))) in stage.slopes.iter().zip(behind.ends()).enumerate() {
                let share = if planes == Planes::Middles { 0.5 } else { Plane::chord((p, q)) };
                let (steepest, largest) = (least.abs().max(most.abs()), p.abs().max(q.abs()));
                for (i, &c) in rows.col(j).iter().enumerate() {
                    if c == 0.0 {
                        continue;
                    }
                    let plane = match (least == most, p == q) {
                        (true, _) => Plane { by_input: least, by_slope: 0.0, offset: 0.0 },
                        (_, true) => Plane { by_input: 0.0, by_slope: p, offset: 0.0 },
                        _ => Plane::new(c >= 0.0, share, (least, most), (p, q)),
                    };
                    next[(i, j)] = c * plane.by_input;
                    slopes[(i, j)] = c * plane.by_slope;
                    any |= plane.by_slope != 0.0;
                    self.constants[i] += c * plane.offset;
                    self.slack[i] += unit * c.abs() * steepest * largest;
                }
            }
            found.products[s] = rows;
            if any {
                match planes {
                    Planes::Ranges => self.through_ranges(stage, &slopes),
                    Planes::Chords | Planes::Middles => self.through_lines(stage, s, &slopes, true),
                }
            }
            if s == backward.last() {
                // a_s is certain: its own entries.
                for (j, (p, _)) in behind.ends().enumerate() {
                    for (i, c) in next.col(j).iter().enumerate() {
                        self.constants[i] += c * p;
                        self.slack[i] += rounding(next.ncols()) * (c * p).abs();
                    }
                }
                return;
            }
            let unit = rounding(next.ncols());
            for (j, size) in backward.sizes(s).iter().enumerate() {
                for (i, c) in next.col(j).iter().enumerate() {
                    self.slack[i] += unit * c.abs() * size;
                }
            }
            rows = next * relaxed.stages[s + 1].weight.transpose();
        }
    }
}
