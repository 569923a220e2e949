//! Figures: panels side by side under one title, with one legend.

use std::borrow::Cow;
use std::path::Path;

use kuva::render::render::TextAnchor;

use crate::curve::Curve;
use crate::draw::{Canvas, DISTINCT, Ink, LETTER, dashes, fitted};
use crate::error::AnalysisError;
use crate::panel::Panel;
use crate::scale::Frame;

/// Panels of curves over one kind of horizontal axis. If there are more than eight curves, whose
/// colours and markers would repeat, each is drawn in a panel of its own before all others in grey.
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
    /// Panels in a row. Default, if 0: three, two of four, and four of more than nine.
    pub columns: usize,
}

/// Width and height of a single panel, in pixels.
const LARGE: (f64, f64) = (560.0, 340.0);
/// Width and height of one of several panels.
const SMALL: (f64, f64) = (370.0, 250.0);
/// Width and height of one of many panels.
const TINY: (f64, f64) = (250.0, 160.0);
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

    /// Writes the figure as PNG, SVG or PDF, by the ending of the file's name.
    ///
    /// # Errors
    /// [`AnalysisError::UnknownFormat`], [`AnalysisError::Drawing`], and files that cannot be
    /// written.
    pub fn write(&self, path: &Path) -> Result<(), AnalysisError> {
        self.canvas().write(path, self.label())
    }

    /// Words for those who cannot see the figure.
    pub(crate) fn label(&self) -> &str {
        if self.title.is_empty() { &self.caption } else { &self.title }
    }

    /// The figure as shapes.
    pub(crate) fn canvas(&self) -> Canvas {
        self.spread().draw()
    }

    /// The figure with a panel for each curve, if colours and markers would repeat otherwise.
    fn spread(&self) -> Cow<'_, Self> {
        if self.legend.len() <= DISTINCT {
            return Cow::Borrowed(self);
        }
        let mut panels = Vec::new();
        for panel in &self.panels {
            for (at, (place, curve)) in panel.curves.iter().enumerate() {
                let name = self.legend.get(*place).unwrap_or(&curve.label);
                let title = if panel.title.is_empty() { name.clone() } else { format!("{}: {name}", panel.title) };
                let others = panel.curves.iter().enumerate().filter(|(other, _)| *other != at);
                let behind = others.map(|(_, (_, other))| other.clone()).collect();
                panels.push(Panel { title, curves: vec![(0, curve.clone())], behind, ..panel.clone() });
            }
        }
        let caption = [self.caption.as_str(), "grey: the other curves"];
        let caption = caption.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        Cow::Owned(Self { caption, legend: Vec::new(), panels, columns: 0, ..self.clone() })
    }

    fn draw(&self) -> Canvas {
        let most = match (self.columns, self.panels.len()) {
            (0, 4) => 2,
            (0, 10..) => 4,
            (0, _) => 3,
            (columns, _) => columns,
        };
        let columns = self.panels.len().clamp(1, most);
        let rows = self.panels.len().div_ceil(columns);
        let (wide, high) = match columns.max(self.columns) {
            0 | 1 => LARGE,
            2 | 3 => SMALL,
            _ => TINY,
        };
        let (cell_wide, cell_high) = (wide + LEFT + 18.0, high + BELOW + 26.0);
        let width = columns as f64 * cell_wide;
        let broken = self.panels.iter().any(Panel::is_broken);
        let broken = if broken { "axis broken: a line beyond the break is not to scale" } else { "" };
        let caption = [self.caption.as_str(), broken];
        let caption = caption.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        let head = [!self.title.is_empty(), !caption.is_empty()].iter().filter(|&&is| is).count() as f64 * ROW;
        let legend = self.legend_rows(width);
        let height = head + rows as f64 * cell_high + legend.len() as f64 * ROW + 10.0;
        let mut canvas = Canvas::new(width, height);
        canvas.text((width / 2.0, 18.0), &self.title, fitted(&self.title, 16, width), TextAnchor::Middle);
        canvas.text((width / 2.0, head - 7.0), &caption, fitted(&caption, 11, width), TextAnchor::Middle);
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
    use crate::draw::PictureFormat;
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
        figure.write(&folder.path().join("figure.pdf")).unwrap();
        let bytes = fs::read(folder.path().join("figure.pdf")).unwrap();
        assert!(bytes.starts_with(b"%PDF-"));
        assert!(PictureFormat::of(Path::new("x.gif")).is_err() && figure.write(Path::new("x.gif")).is_err());
    }
    #[test]
    fn more_than_eight_curves_become_a_panel_each_and_colours_do_not_repeat() {
        let curves = |n: usize| (0..n).map(|at| Curve::of_points(format!("c{at}"), [[0.0, at as f64, 0.0, 9.0]; 2]));
        let eight = Figure::single("y", curves(8));
        assert_eq!(eight.spread().panels.len(), 1);
        let places: Vec<usize> = eight.panels[0].curves.iter().map(|(place, _)| *place).collect();
        assert!(places.iter().all(|place| *place < DISTINCT), "{places:?}");
        let nine = Figure::single("y", curves(9));
        let spread = nine.spread();
        assert_eq!((spread.panels.len(), spread.legend.len()), (9, 0));
        let panel = &spread.panels[4];
        assert_eq!((panel.title.as_str(), panel.curves.len(), panel.behind.len()), ("c4", 1, 8));
        assert!(spread.caption.contains("grey"));
    }

    #[test]
    fn a_broken_axis_is_said_on_the_figure() {
        let curve = Curve::of_points("a", [[0.0, 1.0, 1.0, 1.0], [1.0, 2.0, 2.0, 2.0]]);
        let mut figure = Figure::single("return", [curve]);
        figure.panels[0].references = vec![ReferenceLine { label: "expert".into(), y: 9360.0 }];
        let svg = figure.canvas().svg("", crate::draw::Background::White).into_string();
        assert!(svg.contains("axis broken") && svg.contains(">expert 9360<"), "{svg}");
        figure.panels[0].references[0].y = 2.1;
        let svg = figure.canvas().svg("", crate::draw::Background::White).into_string();
        assert!(!svg.contains("axis broken") && svg.contains(">expert<"), "{svg}");
    }
}
