//! Figures: panels side by side under one title, with one legend.

use std::path::Path;

use kuva::render::render::TextAnchor;
use liprl_logbook::write_output;
use maud::Markup;

use crate::curve::Curve;
use crate::draw::{Background, Canvas, Ink, dashes};
use crate::error::AnalysisError;
use crate::panel::{Frame, LETTER, Panel};

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

/// Panels of curves over one kind of horizontal axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// Title above all panels.
    pub title: String,
    /// Meaning of lines and bands, below the title.
    pub caption: String,
    /// Label of the horizontal axis. Default, if empty: environment steps, in a unit that keeps the
    /// numbers short.
    pub x_label: String,
    /// Name of each curve, by its place.
    pub legend: Vec<String>,
    /// Panels, row by row.
    pub panels: Vec<Panel>,
}

/// Width and height of a single panel, in pixels.
const LARGE: (f64, f64) = (560.0, 340.0);
/// Width and height of one of several panels.
const SMALL: (f64, f64) = (370.0, 250.0);
/// Margin to the left of a panel, for the axis and its label.
const LEFT: f64 = 76.0;
/// Margin below a panel.
const BELOW: f64 = 50.0;
/// Height of a row of the legend, and of a line above the panels.
const ROW: f64 = 22.0;

impl Figure {
    /// A figure of one panel, whose legend has the curves' labels.
    pub fn single(y_label: impl Into<String>, curves: impl IntoIterator<Item = Curve>) -> Self {
        let curves: Vec<(usize, Curve)> = curves.into_iter().enumerate().collect();
        let legend = curves.iter().map(|(_, curve)| curve.label.clone()).collect();
        let panels = vec![Panel { y_label: y_label.into(), curves, ..Panel::default() }];
        Self { legend, panels, ..Self::default() }
    }

    /// Writes the figure as PNG or SVG, by the ending of the file's name.
    ///
    /// # Errors
    /// [`AnalysisError::UnknownFormat`], [`AnalysisError::Drawing`], and files that cannot be
    /// written.
    pub fn write(&self, path: &Path) -> Result<(), AnalysisError> {
        let canvas = self.canvas();
        let bytes = match PictureFormat::of(path)? {
            PictureFormat::Png => {
                canvas.png().map_err(|problem| AnalysisError::Drawing { path: path.to_path_buf(), problem })?
            }
            PictureFormat::Svg => canvas.svg(&self.title, Background::White).into_string().into_bytes(),
        };
        Ok(write_output(path, &bytes)?)
    }

    /// The figure for a page of HTML.
    pub(crate) fn inline_svg(&self) -> Markup {
        let label = if self.title.is_empty() { &self.caption } else { &self.title };
        self.canvas().svg(label, Background::Html)
    }

    fn canvas(&self) -> Canvas {
        let columns = self.panels.len().clamp(1, if self.panels.len() == 4 { 2 } else { 3 });
        let rows = self.panels.len().div_ceil(columns);
        let (wide, high) = if columns == 1 { LARGE } else { SMALL };
        let (cell_wide, cell_high) = (wide + LEFT + 18.0, high + BELOW + 26.0);
        let width = columns as f64 * cell_wide;
        let head = [!self.title.is_empty(), !self.caption.is_empty()].iter().filter(|&&is| is).count() as f64 * ROW;
        let legend = self.legend_rows(width);
        let height = head + rows as f64 * cell_high + legend.len() as f64 * ROW + 10.0;
        let mut canvas = Canvas::new(width, height);
        canvas.text((width / 2.0, 18.0), &self.title, 16, TextAnchor::Middle);
        if !self.caption.is_empty() {
            canvas.text((width / 2.0, head - 7.0), &self.caption, 11, TextAnchor::Middle);
        }
        let (unit, steps) = self.step_unit();
        let x_label = if self.x_label.is_empty() { steps } else { &self.x_label };
        for (index, panel) in self.panels.iter().enumerate() {
            let left = (index % columns) as f64 * cell_wide + LEFT;
            let top = head + (index / columns) as f64 * cell_high + 22.0;
            panel.draw(&mut canvas, Frame { left, top, wide, high }, unit, x_label);
        }
        self.draw_legend(&mut canvas, &legend);
        canvas
    }

    fn draw_legend(&self, canvas: &mut Canvas, rows: &[Vec<usize>]) {
        let mut y = canvas.height - rows.len() as f64 * ROW + 4.0;
        for row in rows {
            let mut x = (canvas.width - row.iter().map(|index| self.entry_width(*index)).sum::<f64>()) / 2.0;
            for &index in row {
                let ink = Ink::Curve(index);
                canvas.line(vec![(x, y), (x + 34.0, y)], ink, 2.2, dashes(index));
                canvas.marker((x + 17.0, y), index);
                canvas.text((x + 41.0, y + 4.0), &self.legend[index], 12, TextAnchor::Start);
                x += self.entry_width(index);
            }
            y += ROW;
        }
    }

    fn entry_width(&self, index: usize) -> f64 {
        self.legend[index].chars().count() as f64 * 12.0 * LETTER + 60.0
    }

    /// Entries of the legend, as many in a row as fit.
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

    /// Unit that keeps the numbers of a step axis short, and the label that names it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::ReferenceLine;
    use fs_err as fs;

    #[test]
    fn a_figure_shows_its_curves_and_refuses_other_formats() {
        let folder = tempfile::tempdir().unwrap();
        let points = [[0.0, -150.0, -160.0, -140.0], [0.1, -200.0, -230.0, -170.0]];
        let curves = ["attacked", "noisy"].map(|label| Curve::of_points(label, points));
        let mut figure = Figure { x_label: "epsilon".into(), ..Figure::single("return", curves) };
        figure.panels[0].references = vec![ReferenceLine { label: "expert".into(), y: -141.0 }];
        let path = folder.path().join("figure.svg");
        figure.write(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for word in ["epsilon", "attacked", "noisy", "expert"] {
            assert!(text.contains(word), "{word}");
        }
        figure.write(&folder.path().join("figure.png")).unwrap();
        assert!(PictureFormat::of(Path::new("x.gif")).is_err() && figure.write(Path::new("x.gif")).is_err());
    }
}
