//! Map from a panel's values to pixels, and the ranges of its axes.

use crate::axis::{extent, share};
use crate::curve::{Curve, CurvePoint};
use crate::panel::{Panel, ReferenceLine};

/// Place of a panel's axes on the canvas, in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) wide: f64,
    pub(crate) high: f64,
}

/// Height of the strip of a line beyond the break of an axis.
pub(crate) const STRIP: f64 = 20.0;
/// A line this far from the curves, as a share of their range, still sets the range of the axis.
const NEAR: f64 = 0.3;

/// Map from a panel's values to pixels.
pub(crate) struct Scale<'p> {
    /// Frame without the strips beyond a break.
    pub(crate) frame: Frame,
    unit: f64,
    log: bool,
    log_x: bool,
    /// Ends of the horizontal axis, in units or as exponents of ten.
    pub(crate) x: (f64, f64),
    /// Ends of the vertical axis, as numbers or as exponents of ten.
    pub(crate) y: (f64, f64),
    /// Lines within the range of the axis.
    pub(crate) within: Vec<&'p ReferenceLine>,
    /// Lines above it, highest first.
    pub(crate) above: Vec<&'p ReferenceLine>,
    /// Lines below it, highest first.
    pub(crate) below: Vec<&'p ReferenceLine>,
}

impl<'p> Scale<'p> {
    pub(crate) fn new(panel: &'p Panel, frame: Frame, unit: f64) -> Self {
        let (log, log_x) = (panel.log, panel.log_x);
        let none = Vec::new;
        let (within, above, below) = (none(), none(), none());
        let scale = Self { frame, unit, log, log_x, x: (0.0, 1.0), y: (0.0, 1.0), within, above, below };
        let points = || panel.all().flat_map(|curve| scale.shown(curve));
        let edges = points().flat_map(|point| [point.low, point.centre, point.high]);
        let mut heights: Vec<f64> = edges.filter(|y| scale.is_usable(*y)).map(|y| scale.up(y)).collect();
        let mut lines: Vec<&ReferenceLine> = panel.references.iter().filter(|line| scale.is_usable(line.y)).collect();
        lines.sort_by(|a, b| b.y.total_cmp(&a.y));
        let (low, high) = extent(heights.iter().copied(), NEAR);
        let far = |line: &&ReferenceLine| !heights.is_empty() && !(low..=high).contains(&scale.up(line.y));
        let (far, within): (Vec<_>, Vec<_>) = lines.into_iter().partition(far);
        heights.extend(within.iter().map(|line| scale.up(line.y)));
        let y = extent(heights.into_iter(), 0.05);
        let (above, below): (Vec<_>, Vec<_>) = far.into_iter().partition(|line| scale.up(line.y) > y.1);
        let (first, last) = extent(points().map(|point| scale.along(point.x)), if panel.scatter { 0.05 } else { 0.0 });
        // Steps are counted from 0, if that wastes little of the axis.
        let spare = panel.from_zero && !panel.log_x && first > 0.0 && first < 0.25 * last;
        let (over, under) = (above.len() as f64 * STRIP, below.len() as f64 * STRIP);
        let frame = Frame { top: frame.top + over, high: frame.high - over - under, ..frame };
        Self { frame, x: (if spare { 0.0 } else { first }, last), y, within, above, below, ..scale }
    }

    /// Position on the horizontal axis.
    fn along(&self, x: f64) -> f64 {
        if self.log_x { x.log10() } else { x / self.unit }
    }

    /// Position on the vertical axis.
    fn up(&self, y: f64) -> f64 {
        if self.log { y.log10() } else { y }
    }

    pub(crate) fn is_usable(&self, y: f64) -> bool {
        self.up(y).is_finite()
    }

    /// Points of a curve that the axes can show.
    pub(crate) fn shown<'c>(&self, curve: &'c Curve) -> impl Iterator<Item = &'c CurvePoint> {
        curve.points.iter().filter(|point| self.is_usable(point.centre) && self.along(point.x).is_finite())
    }

    pub(crate) fn x_of(&self, x: f64) -> f64 {
        self.frame.left + share(self.along(x), self.x) * self.frame.wide
    }

    pub(crate) fn y_of(&self, y: f64) -> f64 {
        let (least, most) = self.y;
        self.frame.top + self.frame.high - share(self.up(y).clamp(least, most), self.y) * self.frame.high
    }

    /// Pixels of a point of a curve.
    pub(crate) fn place(&self, point: &CurvePoint) -> (f64, f64) {
        (self.x_of(point.x), self.y_of(point.centre))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_far_from_the_curves_does_not_set_the_range() {
        let curve = Curve::of_points("a", [[0.0, 0.0, 0.0, 0.0], [1.0, 100.0, 90.0, 110.0]]);
        let line = |y: f64| ReferenceLine { label: y.to_string(), y };
        let panel = Panel {
            curves: vec![(0, curve)],
            references: [9000.0, 130.0, -500.0].map(line).into(),
            ..Panel::default()
        };
        let frame = Frame { left: 0.0, top: 0.0, wide: 100.0, high: 240.0 };
        let scale = Scale::new(&panel, frame, 1.0);
        // The curve spans 0 to 110; 130 is within 30 % of it, and sets the end with a margin of 5 %.
        assert_eq!(scale.y, (-6.5, 136.5));
        let names = |lines: &[&ReferenceLine]| lines.iter().map(|line| line.y).collect::<Vec<_>>();
        assert_eq!(
            (names(&scale.above), names(&scale.within), names(&scale.below)),
            (vec![9000.0], vec![130.0], vec![-500.0])
        );
        assert_eq!((scale.frame.top, scale.frame.high), (20.0, 200.0));
        // Without curves the lines are all there is.
        let bare = Panel { references: panel.references.clone(), ..Panel::default() };
        assert_eq!(Scale::new(&bare, frame, 1.0).within.len(), 3);
    }
}
