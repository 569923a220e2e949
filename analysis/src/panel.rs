//! One pair of axes with curves, bands and reference lines.

use kuva::render::render::TextAnchor;

use crate::axis::{extent, log_ticks, share, ticks};
use crate::curve::{Curve, CurvePoint};
use crate::draw::{Canvas, Ink, dashes};

/// A horizontal line, such as an expert's return.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceLine {
    /// Name beside the line.
    pub label: String,
    /// Height of the line.
    pub y: f64,
}

/// One pair of axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// Title above the axes: the task, if there are several.
    pub title: String,
    /// Label of the vertical axis.
    pub y_label: String,
    /// True for a logarithmic vertical axis, which leaves out points that are not positive.
    pub log: bool,
    /// True for a logarithmic horizontal axis, which leaves out points that are not positive.
    pub log_x: bool,
    /// True if a linear horizontal axis may begin at 0 when its first point comes soon after.
    pub from_zero: bool,
    /// Curves with their places in the legend.
    pub curves: Vec<(usize, Curve)>,
    /// Horizontal lines.
    pub references: Vec<ReferenceLine>,
}

/// Place of a panel's axes on the canvas, in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) wide: f64,
    pub(crate) high: f64,
}

/// Width of a letter of size 1: the mean of DejaVu Sans, with a small reserve.
pub(crate) const LETTER: f64 = 0.62;
/// Markers on a curve.
const MARKERS: usize = 8;

impl Panel {
    /// Draws the panel, with horizontal values divided by `unit`.
    pub(crate) fn draw(&self, canvas: &mut Canvas, frame: Frame, unit: f64, x_label: &str) {
        let scale = Scale::new(self, frame, unit);
        self.draw_axes(canvas, &scale, x_label);
        self.draw_references(canvas, &scale);
        for (index, curve) in &self.curves {
            draw_band(canvas, &scale, *index, curve);
        }
        for (index, curve) in &self.curves {
            let line: Vec<(f64, f64)> = scale.shown(curve).map(|point| scale.place(point)).collect();
            // Markers of different curves stand apart.
            let every = line.len().div_ceil(MARKERS).max(1);
            for at in line.iter().skip(index % every).step_by(every) {
                canvas.marker(*at, *index);
            }
            canvas.line(line, Ink::Curve(*index), 2.2, dashes(*index));
        }
    }

    fn draw_axes(&self, canvas: &mut Canvas, scale: &Scale, x_label: &str) {
        let Frame { left, top, wide, high } = scale.frame;
        let ((first, last), (least, most)) = (scale.x, scale.y);
        let y_ticks = if self.log { log_ticks(least, most) } else { ticks(least, most) };
        for (at, text) in y_ticks {
            let y = top + high - share(at, scale.y) * high;
            canvas.line(vec![(left, y), (left + wide, y)], Ink::Faint, 1.0, &[]);
            canvas.text((left - 7.0, y + 4.0), &text, 11, TextAnchor::End);
        }
        let x_ticks = if self.log_x { log_ticks(first, last) } else { ticks(first, last) };
        for (at, text) in x_ticks {
            let x = left + share(at, scale.x) * wide;
            canvas.line(vec![(x, top + high), (x, top + high + 5.0)], Ink::Text, 1.0, &[]);
            canvas.text((x, top + high + 19.0), &text, 11, TextAnchor::Middle);
        }
        canvas.line(vec![(left, top), (left, top + high), (left + wide, top + high)], Ink::Text, 1.0, &[]);
        canvas.text((left + wide / 2.0, top + high + 38.0), x_label, 12, TextAnchor::Middle);
        canvas.upright_text((left - 58.0, top + high / 2.0), &self.y_label, 12);
        canvas.text((left + wide / 2.0, top - 7.0), &self.title, 13, TextAnchor::Middle);
    }

    /// Draws the reference lines, each with its label at the emptiest of six places.
    fn draw_references(&self, canvas: &mut Canvas, scale: &Scale) {
        let Frame { left, top, wide, high } = scale.frame;
        let usable = self.references.iter().filter(|line| scale.is_usable(line.y));
        let mut references: Vec<(f64, &str)> = usable.map(|line| (scale.y_of(line.y), line.label.as_str())).collect();
        references.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Points along the curves, and along the labels so far.
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for (_, curve) in &self.curves {
            let places = || curve.points.iter().map(|point| scale.place(point));
            taken.extend(places());
            for ((x0, y0), (x1, y1)) in places().zip(places().skip(1)) {
                taken.extend((0..=8).map(|k| f64::from(k) / 8.0).map(|t| (x0 + t * (x1 - x0), y0 + t * (y1 - y0))));
            }
        }
        for &(y, label) in &references {
            canvas.line(vec![(left, y), (left + wide, y)], Ink::Text, 1.0, &[4.0, 4.0]);
            let reach = label.chars().count() as f64 * 11.0 * LETTER + 8.0;
            let starts = [left + wide - reach, left, left + (wide - reach) / 2.0];
            let places = [y - 4.0, y + 13.0].into_iter().flat_map(|baseline| starts.map(|start| (start, baseline)));
            let crowd = |(start, baseline): &(f64, f64)| {
                let near =
                    |(x, at): &&(f64, f64)| (*start..=start + reach).contains(x) && (at - baseline + 4.0).abs() < 9.0;
                let outside = *baseline < top + 9.0 || *baseline > top + high;
                let crossed = references.iter().filter(|(at, _)| (at - baseline + 4.0).abs() < 7.0).count();
                taken.iter().filter(near).count() + 20 * crossed + 100 * usize::from(outside)
            };
            if let Some((start, baseline)) = places.min_by_key(crowd) {
                canvas.text((start + 4.0, baseline), label, 11, TextAnchor::Start);
                taken.extend((0..32).map(|k| (start + reach * f64::from(k) / 31.0, baseline - 4.0)));
            }
        }
    }
}

/// Draws a curve's band, as an upright line if the curve has one point.
fn draw_band(canvas: &mut Canvas, scale: &Scale, index: usize, curve: &Curve) {
    let edge = |x: f64, y: f64, centre: f64| (scale.x_of(x), scale.y_of(if scale.is_usable(y) { y } else { centre }));
    let shown: Vec<&CurvePoint> = scale.shown(curve).collect();
    if shown.iter().all(|point| point.low == point.high) {
        return;
    }
    let upper = shown.iter().map(|point| edge(point.x, point.high, point.centre));
    let lower = shown.iter().rev().map(|point| edge(point.x, point.low, point.centre));
    if let [only] = shown[..] {
        let ends = vec![edge(only.x, only.low, only.centre), edge(only.x, only.high, only.centre)];
        canvas.line(ends, Ink::Curve(index), 1.5, &[]);
    }
    canvas.area(upper.chain(lower).collect(), Ink::Curve(index), 0.18);
}

/// Map from a panel's values to pixels.
struct Scale {
    frame: Frame,
    unit: f64,
    log: bool,
    log_x: bool,
    /// Ends of the horizontal axis, in units or as exponents of ten.
    x: (f64, f64),
    /// Ends of the vertical axis, as numbers or as exponents of ten.
    y: (f64, f64),
}

impl Scale {
    fn new(panel: &Panel, frame: Frame, unit: f64) -> Self {
        let scale = Self { frame, unit, log: panel.log, log_x: panel.log_x, x: (0.0, 1.0), y: (0.0, 1.0) };
        let points = || {
            let all = panel.curves.iter().flat_map(|(_, curve)| &curve.points);
            all.filter(|point| scale.along(point.x).is_finite())
        };
        let heights = points()
            .flat_map(|point| [point.low, point.centre, point.high])
            .chain(panel.references.iter().map(|line| line.y))
            .filter(|y| scale.is_usable(*y))
            .map(|y| scale.up(y));
        let y = extent(heights, 0.05);
        let (first, last) = extent(points().map(|point| scale.along(point.x)), 0.0);
        // Steps are counted from 0, if that wastes little of the axis.
        let spare = panel.from_zero && !panel.log_x && first > 0.0 && first < 0.25 * last;
        Self { x: (if spare { 0.0 } else { first }, last), y, ..scale }
    }

    /// Position on the horizontal axis.
    fn along(&self, x: f64) -> f64 {
        if self.log_x { x.log10() } else { x / self.unit }
    }

    /// Position on the vertical axis.
    fn up(&self, y: f64) -> f64 {
        if self.log { y.log10() } else { y }
    }

    fn is_usable(&self, y: f64) -> bool {
        self.up(y).is_finite()
    }

    /// Points of a curve that the axes can show.
    fn shown<'c>(&self, curve: &'c Curve) -> impl Iterator<Item = &'c CurvePoint> {
        curve.points.iter().filter(|point| self.is_usable(point.centre) && self.along(point.x).is_finite())
    }

    fn x_of(&self, x: f64) -> f64 {
        self.frame.left + share(self.along(x), self.x) * self.frame.wide
    }

    fn y_of(&self, y: f64) -> f64 {
        let (least, most) = self.y;
        self.frame.top + self.frame.high - share(self.up(y).clamp(least, most), self.y) * self.frame.high
    }

    /// Pixels of a point of a curve.
    fn place(&self, point: &CurvePoint) -> (f64, f64) {
        (self.x_of(point.x), self.y_of(point.centre))
    }
}
