//! Drawing of one pair of axes with curves, bands and reference lines.

use kuva::render::render::TextAnchor;

use crate::axis::{log_ticks, share, ticks};
use crate::curve::{Curve, CurvePoint};
use crate::draw::{Canvas, Ink, LETTER, dashes, fitted};
use crate::number::{minus, short};
use crate::panel::Panel;
use crate::scale::{Frame, STRIP, Scale};

/// Markers on a curve.
const MARKERS: usize = 8;

impl Panel {
    /// True if a line is too far from the curves to set the range of the axis.
    pub(crate) fn is_broken(&self) -> bool {
        let scale = Scale::new(self, Frame { left: 0.0, top: 0.0, wide: 1.0, high: 1.0 }, 1.0);
        !scale.above.is_empty() || !scale.below.is_empty()
    }

    /// Draws the panel, with horizontal values divided by `unit`.
    pub(crate) fn draw(&self, canvas: &mut Canvas, frame: Frame, unit: f64, x_label: &str) {
        let scale = Scale::new(self, frame, unit);
        self.draw_axes(canvas, frame, &scale, if self.x_label.is_empty() { x_label } else { &self.x_label });
        self.draw_references(canvas, &scale);
        draw_beyond(canvas, frame, &scale);
        for curve in &self.behind {
            canvas.line(scale.shown(curve).map(|point| scale.place(point)).collect(), Ink::Behind, 1.0, &[]);
        }
        if self.scatter {
            for (index, curve) in &self.curves {
                scale.shown(curve).for_each(|point| canvas.marker(scale.place(point), *index));
            }
            return;
        }
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

    fn draw_axes(&self, canvas: &mut Canvas, whole: Frame, scale: &Scale, x_label: &str) {
        let Frame { left, top, wide, high } = scale.frame;
        let ((first, last), (least, most)) = (scale.x, scale.y);
        let y_ticks = if self.log { log_ticks(least, most) } else { ticks(least, most) };
        for (at, text) in y_ticks {
            let y = top + high - share(at, scale.y) * high;
            canvas.line(vec![(left, y), (left + wide, y)], Ink::Faint, 1.0, &[]);
            canvas.text((left - 7.0, y + 4.0), &minus(&text), 11, TextAnchor::End);
        }
        let floor = whole.top + whole.high;
        let x_ticks = if self.log_x { log_ticks(first, last) } else { ticks(first, last) };
        for (at, text) in x_ticks {
            let x = left + share(at, scale.x) * wide;
            canvas.line(vec![(x, floor), (x, floor + 5.0)], Ink::Text, 1.0, &[]);
            canvas.text((x, floor + 19.0), &minus(&text), 11, TextAnchor::Middle);
        }
        canvas.line(vec![(left, whole.top), (left, floor), (left + wide, floor)], Ink::Text, 1.0, &[]);
        let middle = left + wide / 2.0;
        canvas.text((middle, floor + 38.0), x_label, fitted(x_label, 12, wide + 60.0), TextAnchor::Middle);
        let upright = fitted(&self.y_label, 12, whole.high + 20.0);
        canvas.upright_text((left - 58.0, whole.top + whole.high / 2.0), &self.y_label, upright);
        canvas.text((middle, whole.top - 7.0), &self.title, fitted(&self.title, 13, wide + 40.0), TextAnchor::Middle);
    }

    /// Draws the reference lines, each with its label at the emptiest of six places.
    fn draw_references(&self, canvas: &mut Canvas, scale: &Scale) {
        let Frame { left, top, wide, high } = scale.frame;
        let references: Vec<(f64, &str)> =
            scale.within.iter().rev().map(|line| (scale.y_of(line.y), line.label.as_str())).collect();
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

/// Draws the lines beyond the axis, each in a strip with its value, and the breaks of the axis.
fn draw_beyond(canvas: &mut Canvas, whole: Frame, scale: &Scale) {
    let Frame { left, top, wide, high } = scale.frame;
    let places = scale.above.iter().enumerate().map(|(row, line)| (whole.top + row as f64 * STRIP, line));
    let places =
        places.chain(scale.below.iter().enumerate().map(|(row, line)| (top + high + row as f64 * STRIP, line)));
    for (y, line) in places {
        let middle = y + STRIP / 2.0;
        let label = minus(&format!("{} {}", line.label, short(line.y)));
        let reach = label.chars().count() as f64 * 11.0 * LETTER + 8.0;
        canvas.line(vec![(left, middle), (left + wide - reach, middle)], Ink::Text, 1.0, &[4.0, 4.0]);
        canvas.text((left + wide, middle + 4.0), &label, 11, TextAnchor::End);
    }
    let breaks = [(!scale.above.is_empty(), top), (!scale.below.is_empty(), top + high)];
    for (_, y) in breaks.into_iter().filter(|(is_broken, _)| *is_broken) {
        for shift in [-2.0, 2.0] {
            canvas.line(vec![(left - 5.0, y + shift + 3.0), (left + 5.0, y + shift - 3.0)], Ink::Text, 1.0, &[]);
        }
        canvas.line(vec![(left + 8.0, y), (left + wide, y)], Ink::Faint, 1.0, &[2.0, 3.0]);
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
