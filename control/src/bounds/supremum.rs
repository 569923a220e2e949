//! The largest value of a function with a known Lipschitz constant over a box, or over a region
//! within one.

use std::{cmp::Ordering, collections::BinaryHeap};

use super::constant::Constant;
use crate::error::ControlError;

/// A supremum between two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Supremum {
    /// Lower bound (observed); 0 if the region is so thin that it contains no cell's centre.
    pub lower: f64,
    /// Upper bound (proven), for use in other bounds.
    pub upper: f64,
}

impl Supremum {
    /// The upper end, certified if `slope` is.
    pub fn constant(&self, slope: Constant) -> Constant {
        Constant::from(self.upper, &[slope])
    }
}

struct Cell {
    upper: f64,
    centre: Vec<f64>,
    half: Vec<f64>,
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cell {}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cell {
    fn cmp(&self, other: &Self) -> Ordering {
        self.upper.total_cmp(&other.upper)
    }
}

/// sup f over the box `low` … `high` by branch and bound, for an f with a Lipschitz constant of at
/// most `slope`.
///
/// In a cell f is at most its value at the centre plus `slope` times half the diagonal. The cell
/// with the largest such bound is halved along its longest side. The search stops once both ends
/// are within `tolerance` of each other (relative), or after `cells` cells; `upper` is valid either
/// way.
///
/// # Errors
/// [`ControlError::BadInput`] for an empty or unbounded box, or a slope that is negative or not
/// finite.
pub fn supremum(
    f: impl FnMut(&[f64]) -> f64,
    slope: f64,
    low: &[f64],
    high: &[f64],
    tolerance: f64,
    cells: usize,
) -> Result<Supremum, ControlError> {
    supremum_within(f, slope, |_, _| false, low, high, tolerance, cells)
}

/// sup f of an f ≥ 0 over the part of the box in a region; 0 if that is empty. `misses(centre,
/// radius)` is true if no point of that ball is in the region; such cells are dropped. `slope` has
/// to hold in the whole box.
///
/// # Errors
/// As [`supremum`].
pub fn supremum_within(
    mut f: impl FnMut(&[f64]) -> f64,
    slope: f64,
    misses: impl Fn(&[f64], f64) -> bool,
    low: &[f64],
    high: &[f64],
    tolerance: f64,
    cells: usize,
) -> Result<Supremum, ControlError> {
    let n = low.len();
    let ordered = low.iter().zip(high).all(|(low, high)| low.is_finite() && high.is_finite() && low <= high);
    if n == 0 || high.len() != n || !ordered {
        return Err(ControlError::bad("the box", format!("from {low:?} to {high:?} is not a bounded box")));
    }
    Constant::certified(slope).at_least_zero("the slope")?;
    let mut cell = |centre: Vec<f64>, half: Vec<f64>| {
        let radius = half.iter().map(|h| h * h).sum::<f64>().sqrt();
        if misses(&centre, radius) {
            return None;
        }
        let value = f(&centre);
        let observed = if misses(&centre, 0.0) { f64::NEG_INFINITY } else { value };
        Some((observed, Cell { upper: value + slope * radius, centre, half }))
    };
    let middle = low.iter().zip(high).map(|(low, high)| 0.5 * (low + high)).collect();
    let (mut lower, mut heap) = (f64::NEG_INFINITY, BinaryHeap::new());
    if let Some((value, first)) = cell(middle, low.iter().zip(high).map(|(low, high)| 0.5 * (high - low)).collect()) {
        lower = value;
        heap.push(first);
    }
    for _ in 0..cells {
        let Some(Cell { upper, centre, mut half }) = heap.pop() else { break };
        let longest = (0..n).max_by(|&i, &j| half[i].total_cmp(&half[j])).unwrap_or(0);
        if upper - lower <= tolerance * upper || half[longest] == 0.0 {
            heap.push(Cell { upper, centre, half });
            break;
        }
        half[longest] *= 0.5;
        for side in [-1.0, 1.0] {
            let mut moved = centre.clone();
            moved[longest] += side * half[longest];
            let Some((value, mut part)) = cell(moved, half.clone()) else { continue };
            lower = lower.max(value);
            part.upper = part.upper.min(upper);
            heap.push(part);
        }
    }
    let upper = heap.peek().map_or(lower, |cell| cell.upper);
    // No centre was in the region, or the region is empty.
    let (lower, upper) = if lower == f64::NEG_INFINITY { (0.0, upper.max(0.0)) } else { (lower, upper) };
    // Values are sums and a root of a few rounded numbers.
    Ok(Supremum { lower, upper: upper.max(lower) * (1.0 + 1e-12) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_maximum_lies_between_both_ends() {
        // |sin 3x − y| over [0, 1] × [−1, 0]: 2 at x = π/6, y = −1; slope at most √10.
        let f = |x: &[f64]| ((3.0 * x[0]).sin() - x[1]).abs();
        for (cells, gap) in [(5, 3.0), (20_000, 0.01)] {
            let found = supremum(f, 10f64.sqrt(), &[0.0, -1.0], &[1.0, 0.0], 1e-3, cells).unwrap();
            assert!(found.lower <= 2.0 && 2.0 <= found.upper && found.upper - found.lower < gap, "{found:?}");
        }
        assert!(supremum(f, f64::NAN, &[0.0, -1.0], &[1.0, 0.0], 0.1, 10).is_err());
        assert!(supremum(f, 1.0, &[1.0, 0.0], &[0.0, 0.0], 0.1, 10).is_err());
        // x + y over the disc of radius 1 around the origin: √2; and over what the disc leaves of a
        // far corner, nothing.
        let disc = |x: &[f64], radius: f64| x.iter().map(|x| x * x).sum::<f64>().sqrt() > 1.0 + radius;
        let sum = |x: &[f64]| (x[0] + x[1]).max(0.0);
        let found = supremum_within(sum, 2f64.sqrt(), disc, &[-1.5; 2], &[2.0; 2], 1e-3, 20_000).unwrap();
        assert!(found.lower <= 2f64.sqrt() && 2f64.sqrt() <= found.upper && found.upper < 1.42, "{found:?}");
        let none = supremum_within(sum, 2f64.sqrt(), disc, &[1.5; 2], &[2.0; 2], 1e-3, 20_000).unwrap();
        assert_eq!(none, Supremum { lower: 0.0, upper: 0.0 });
        let slope = Constant::estimated(10f64.sqrt());
        assert_eq!(Supremum { lower: 1.0, upper: 2.0 }.constant(slope), Constant::estimated(2.0));
    }
}
