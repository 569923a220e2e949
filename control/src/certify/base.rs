//! The inputs over which bounds hold: a box, restricted by half-spaces.
//!
//! For half-spaces g·x + h ≥ 0 any β ≥ 0 gives max a·x ≤ max over the box of (a + Σ β g)·x + Σ β h
//! (Lagrange; β-CROWN, Wang et al. 2021, arXiv 2103.06624). The β are chosen one after the other.

use super::interval::{Interval, rounding};

/// All x with slope·x + offset ≥ 0.
struct HalfSpace {
    slope: Vec<f64>,
    offset: f64,
}

/// A box and half-spaces.
pub(super) struct Base {
    pub(super) ends: Interval,
    half_spaces: Vec<HalfSpace>,
}

/// Rounds over all half-spaces in choosing their multipliers.
const ROUNDS: usize = 2;

impl Base {
    pub(super) fn new(ends: Interval) -> Self {
        Self { ends, half_spaces: Vec::new() }
    }

    /// Restricts x to where slope·x + offset ≥ 0. False if that is nowhere.
    pub(super) fn constrain(&mut self, slope: Vec<f64>, offset: f64) -> bool {
        let (mut most, mut size) = (offset, offset.abs());
        for (a, (low, high)) in slope.iter().zip(self.ends.ends()) {
            most += (a * low).max(a * high);
            size += a.abs() * low.abs().max(high.abs());
        }
        most += rounding(slope.len()) * size;
        if most < 0.0 {
            return false;
        }
        // Even with all other coordinates at their best, slope·x may fall by no more than `most`.
        for (j, a) in slope.iter().enumerate().filter(|(_, a)| **a != 0.0) {
            let (reach, (low, high)) = (most / a.abs(), (self.ends.low[j], self.ends.high[j]));
            let spare = 4.0 * f64::EPSILON * (reach + low.abs().max(high.abs()));
            if *a > 0.0 {
                self.ends.low[j] = low.max(high - reach - spare);
            } else {
                self.ends.high[j] = high.min(low + reach + spare);
            }
        }
        self.half_spaces.push(HalfSpace { slope, offset });
        !self.ends.is_empty()
    }

    /// An upper bound on `row`·x.
    pub(super) fn most(&self, row: &[f64]) -> f64 {
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
        for ((a, size), (low, high)) in row.iter().zip(&sizes).zip(self.ends.ends()) {
            constant += (a * low).max(a * high);
            slack += size * low.abs().max(high.abs());
        }
        constant + rounding(row.len() + ROUNDS * self.half_spaces.len()) * slack
    }

    /// The β ≥ 0 with the least max over the box of (row + β g)·x + β h.
    fn multiplier(&self, row: &[f64], HalfSpace { slope, offset }: &HalfSpace) -> f64 {
        let end = |a: f64, g: f64, (low, high): (f64, f64)| {
            let rises = a > 0.0 || (a == 0.0 && g > 0.0);
            if rises { high } else { low }
        };
        let terms = row.iter().zip(slope).zip(self.ends.ends());
        let mut rate: f64 = offset + terms.map(|((a, g), ends)| g * end(*a, *g, ends)).sum::<f64>();
        if rate >= 0.0 {
            return 0.0;
        }
        // The rate rises where a coefficient changes its sign.
        let turns = row.iter().zip(slope).zip(self.ends.ends());
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
}
