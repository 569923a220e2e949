//! Figures of curves: panels side by side, one legend, reference lines.

use std::path::Path;

use fs_err as fs;

use crate::draw::{Anchor, Ground, Ink, Page, dashes};
use crate::{AnalysisError, Curve, CurvePoint, stats};

/// A horizontal reference, such as an expert's return.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceLine {
    /// What it is.
    pub label: String,
    /// Where it is.
    pub y: f64,
}

/// Format of a picture, by the ending of its file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// Pixels.
    Png,
    /// Shapes and text.
    Svg,
}

impl PictureFormat {
    /// Format of the file at `path`.
    ///
    /// # Errors
    /// [`AnalysisError::UnknownFormat`] for another ending.
    pub fn of(path: &Path) -> Result<Self, AnalysisError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("png") => Ok(Self::Png),
            Some("svg") => Ok(Self::Svg),
            _ => Err(AnalysisError::UnknownFormat { path: path.to_path_buf() }),
        }
    }
}

/// One pair of axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// Above the axes: the task, where there are several.
    pub title: String,
    /// The vertical axis.
    pub y_label: String,
    /// Whether the vertical axis is logarithmic; points that are not positive are left out.
    pub log: bool,
    /// Whether the horizontal axis is logarithmic; points that are not positive are left out.
    pub log_x: bool,
    /// Whether a horizontal axis that is not logarithmic may begin at 0 where its first point comes soon after.
    pub from_zero: bool,
    /// One line with its band each, by its place in the legend.
    pub curves: Vec<(usize, Curve)>,
    /// Horizontal lines.
    pub references: Vec<ReferenceLine>,
}

/// Panels of curves over one kind of horizontal axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// Above all.
    pub title: String,
    /// Below the title: what line and band are.
    pub caption: String,
    /// The horizontal axis. Default, when empty: environment steps, in a unit that keeps its numbers short.
    pub x_label: String,
    /// The legend: a name for each number in the panels.
    pub legend: Vec<String>,
    /// The axes.
    pub panels: Vec<Panel>,
}

/// Pixels of a panel, its margins, and a row of the legend.
const PANEL: (f64, f64) = (560.0, 340.0);
const SMALL: (f64, f64) = (370.0, 250.0);
const LEFT: f64 = 76.0;
const BELOW: f64 = 50.0;
const ROW: f64 = 22.0;
/// Room a letter of size 1 takes: DejaVu Sans on average, a little more to be safe.
const LETTER: f64 = 0.62;
/// Markers on a curve.
const MARKERS: usize = 8;

impl Figure {
    /// Writes the figure as PNG or SVG, by the file name's ending.
    ///
    /// # Errors
    /// For another ending, and when drawing or writing fails.
    pub fn write(&self, path: &Path) -> Result<(), AnalysisError> {
        let page = self.page();
        let bytes = match PictureFormat::of(path)? {
            PictureFormat::Png => {
                page.png().map_err(|problem| AnalysisError::Drawing { path: path.to_path_buf(), problem })?
            }
            PictureFormat::Svg => page.svg(&self.title, Ground::White).into_bytes(),
        };
        Ok(fs::write(path, bytes)?)
    }

    /// The figure for a page of HTML.
    pub(crate) fn inline_svg(&self) -> String {
        let label = if self.title.is_empty() { &self.caption } else { &self.title };
        self.page().svg(label, Ground::Html)
    }

    fn page(&self) -> Page {
        let columns = self.panels.len().clamp(1, if self.panels.len() == 4 { 2 } else { 3 });
        let rows = self.panels.len().div_ceil(columns);
        let (wide, high) = if columns == 1 { PANEL } else { SMALL };
        let (cell_wide, cell_high) = (wide + LEFT + 18.0, high + BELOW + 26.0);
        let width = columns as f64 * cell_wide;
        let head = [!self.title.is_empty(), !self.caption.is_empty()].iter().filter(|&&is| is).count() as f64 * 22.0;
        let legend = self.legend_rows(width);
        let height = head + rows as f64 * cell_high + legend.len() as f64 * ROW + 10.0;
        let mut page = Page::new(width, height);
        page.text((width / 2.0, 18.0), &self.title, 16, Anchor::Middle);
        if !self.caption.is_empty() {
            page.text((width / 2.0, head - 7.0), &self.caption, 11, Anchor::Middle);
        }
        let unit = self.step_unit();
        let x_label = if self.x_label.is_empty() { unit.1 } else { &self.x_label };
        for (index, panel) in self.panels.iter().enumerate() {
            let left = (index % columns) as f64 * cell_wide + LEFT;
            let top = head + (index / columns) as f64 * cell_high + 22.0;
            panel.draw(&mut page, (left, top, wide, high), (unit.0, x_label));
        }
        let mut y = height - legend.len() as f64 * ROW + 4.0;
        for row in &legend {
            let mut x = (width - row.iter().map(|index| self.entry_width(*index)).sum::<f64>()) / 2.0;
            for &index in row {
                let ink = Ink::Curve(index);
                page.line(vec![(x, y), (x + 34.0, y)], ink, 2.2, dashes(index));
                page.marker((x + 17.0, y), index);
                page.text((x + 41.0, y + 4.0), &self.legend[index], 12, Anchor::Start);
                x += self.entry_width(index);
            }
            y += ROW;
        }
        page
    }

    fn entry_width(&self, index: usize) -> f64 {
        self.legend[index].chars().count() as f64 * 12.0 * LETTER + 60.0
    }

    /// The legend's entries, as many in a row as fit.
    fn legend_rows(&self, width: f64) -> Vec<Vec<usize>> {
        let mut rows: Vec<Vec<usize>> = Vec::new();
        let mut used = f64::INFINITY;
        for index in 0..self.legend.len() {
            if used + self.entry_width(index) > width {
                rows.push(Vec::new());
                used = 0.0;
            }
            used += self.entry_width(index);
            if let Some(row) = rows.last_mut() {
                row.push(index);
            }
        }
        rows
    }

    /// Steps are shown in a unit that keeps the axis numbers short.
    fn step_unit(&self) -> (f64, &'static str) {
        if !self.x_label.is_empty() {
            return (1.0, "");
        }
        let curves = self.panels.iter().flat_map(|panel| &panel.curves);
        match curves.filter_map(|(_, curve)| curve.points.last()).map(|point| point.x).fold(0.0, f64::max) {
            last if last < 1e4 => (1.0, "environment steps"),
            last if last < 2e6 => (1e3, "environment steps (thousands)"),
            _ => (1e6, "environment steps (millions)"),
        }
    }
}

impl Panel {
    fn draw(&self, page: &mut Page, (left, top, wide, high): (f64, f64, f64, f64), (unit, x_label): (f64, &str)) {
        let scaled = |y: f64| if self.log { y.log10() } else { y };
        let usable = |y: f64| scaled(y).is_finite();
        let along = |x: f64| if self.log_x { x.log10() } else { x / unit };
        let points =
            || self.curves.iter().flat_map(|(_, curve)| &curve.points).filter(|point| along(point.x).is_finite());
        let heights = points()
            .flat_map(|point| [point.low, point.centre, point.high])
            .chain(self.references.iter().map(|line| line.y))
            .filter(|y| usable(*y))
            .map(scaled);
        let (low, high_y) = extent(heights, 0.05);
        let (first, last) = extent(points().map(|point| along(point.x)), 0.0);
        // Steps are counted from 0, where that wastes little of the axis.
        let spare = self.from_zero && !self.log_x && first > 0.0 && first < 0.25 * last;
        let first = if spare { 0.0 } else { first };
        let x_of = |x: f64| left + (along(x) - first) / (last - first) * wide;
        let y_of = |y: f64| top + high - (scaled(y).clamp(low, high_y) - low) / (high_y - low) * high;

        let y_ticks = if self.log { log_ticks(low, high_y) } else { ticks(low, high_y) };
        for (at, text) in y_ticks {
            let y = top + high - (at - low) / (high_y - low) * high;
            page.line(vec![(left, y), (left + wide, y)], Ink::Faint, 1.0, &[]);
            page.text((left - 7.0, y + 4.0), &text, 11, Anchor::End);
        }
        let x_ticks = if self.log_x { log_ticks(first, last) } else { ticks(first, last) };
        for (at, text) in x_ticks {
            let x = left + (at - first) / (last - first) * wide;
            page.line(vec![(x, top + high), (x, top + high + 5.0)], Ink::Text, 1.0, &[]);
            page.text((x, top + high + 19.0), &text, 11, Anchor::Middle);
        }
        page.line(vec![(left, top), (left, top + high), (left + wide, top + high)], Ink::Text, 1.0, &[]);
        page.text((left + wide / 2.0, top + high + 38.0), x_label, 12, Anchor::Middle);
        page.upright_text((left - 58.0, top + high / 2.0), &self.y_label, 12);
        page.text((left + wide / 2.0, top - 7.0), &self.title, 13, Anchor::Middle);

        let mut references: Vec<(f64, &str)> = self
            .references
            .iter()
            .filter(|line| usable(line.y))
            .map(|line| (y_of(line.y), line.label.as_str()))
            .collect();
        references.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Points along the curves, and where labels are.
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for (_, curve) in &self.curves {
            let places = || curve.points.iter().map(|point| (x_of(point.x), y_of(point.centre)));
            taken.extend(places());
            for ((x0, y0), (x1, y1)) in places().zip(places().skip(1)) {
                taken.extend((0..=8).map(|k| f64::from(k) / 8.0).map(|t| (x0 + t * (x1 - x0), y0 + t * (y1 - y0))));
            }
        }
        for &(y, label) in &references {
            page.line(vec![(left, y), (left + wide, y)], Ink::Text, 1.0, &[4.0, 4.0]);
            let reach = label.chars().count() as f64 * 11.0 * LETTER + 8.0;
            // Above or below, at either end or between them: where least is in the way.
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
                page.text((start + 4.0, baseline), label, 11, Anchor::Start);
                taken.extend((0..32).map(|k| (start + reach * f64::from(k) / 31.0, baseline - 4.0)));
            }
        }
        for (index, curve) in &self.curves {
            let drawn = |point: &&CurvePoint| usable(point.centre) && along(point.x).is_finite();
            let shown: Vec<_> = curve.points.iter().filter(drawn).collect();
            let edge = |y: f64, centre: f64| if usable(y) { y_of(y) } else { y_of(centre) };
            let upper = shown.iter().map(|point| (x_of(point.x), edge(point.high, point.centre)));
            let lower = shown.iter().rev().map(|point| (x_of(point.x), edge(point.low, point.centre)));
            if let [only] = shown[..] {
                let x = x_of(only.x);
                page.line(
                    vec![(x, edge(only.low, only.centre)), (x, edge(only.high, only.centre))],
                    Ink::Curve(*index),
                    1.5,
                    &[],
                );
            }
            page.area(upper.chain(lower).collect(), Ink::Curve(*index), 0.18);
        }
        for (index, curve) in &self.curves {
            let line: Vec<(f64, f64)> = curve
                .points
                .iter()
                .filter(|point| usable(point.centre) && along(point.x).is_finite())
                .map(|point| (x_of(point.x), y_of(point.centre)))
                .collect();
            // Curves' markers stand apart from each other.
            let every = line.len().div_ceil(MARKERS).max(1);
            for at in line.iter().skip(index % every).step_by(every) {
                page.marker(*at, *index);
            }
            page.line(line, Ink::Curve(*index), 2.2, dashes(*index));
        }
    }
}

/// The range of numbers with a margin on both sides, never empty.
fn extent(numbers: impl Iterator<Item = f64>, margin: f64) -> (f64, f64) {
    let (low, high) = stats::range(numbers);
    if low > high {
        return (0.0, 1.0);
    }
    let wide = high - low;
    if wide <= 1e-12 * low.abs().max(high.abs()).max(1e-300) {
        let around = 0.1 * low.abs().max(1.0);
        return (low - around, high + around);
    }
    (low - margin * wide, high + margin * wide)
}

/// Round numbers within a range, 1, 2 or 5 times a power of ten apart.
fn ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / 8.0;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let from = (low / step - 1e-9).ceil() as i64;
    let to = (high / step + 1e-9).floor() as i64;
    (from..=to).map(|n| (n as f64 * step, number(n as f64 * step, decimals))).collect()
}

fn number(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e6 || (decimals > 4 && value != 0.0) {
        format!("{value:.1e}")
    } else {
        format!("{value:.decimals$}")
    }
}

/// Powers of ten within a range of exponents, or round numbers where there are too few of them.
fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let every = ((high - low) / 6.0).ceil().max(1.0) as usize;
    let powers: Vec<i64> = (low.ceil() as i64..=high.floor() as i64).step_by(every).collect();
    let text = |value: f64| if (1e-3..1e5).contains(&value) { format!("{value}") } else { format!("{value:.0e}") };
    if powers.len() >= 3 {
        return powers.into_iter().map(|power| (power as f64, text(10.0_f64.powi(power as i32)))).collect();
    }
    let from = low.floor() as i32;
    let candidates = (from..=high.ceil() as i32).flat_map(|power| [1.0, 2.0, 5.0].map(|times| (times, power)));
    candidates
        .map(|(times, power)| format!("{times}e{power}").parse().unwrap_or(f64::NAN))
        .map(|value: f64| (value.log10(), text(value)))
        .filter(|(at, _)| (low..=high).contains(at))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let texts = |low, high| ticks(low, high).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(-1200.0, 900.0), ["-1000", "-500", "0", "500"]);
        let powers = log_ticks(-2.3, 3.9).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(powers, ["0.01", "1", "100"]);
        let near = log_ticks(0.0, 1.0).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(near, ["1", "2", "5", "10"]);
    }

    #[test]
    fn a_flat_line_and_no_line_have_axes() {
        assert_eq!(extent([3.0, 3.0].into_iter(), 0.1), (2.7, 3.3));
        assert_eq!(extent(std::iter::empty(), 0.1), (0.0, 1.0));
    }
}
