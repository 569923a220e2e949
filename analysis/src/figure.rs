//! A thin drawing interface, so that the library behind it can be replaced. Today that is `kuva`.

use std::path::Path;

use fs_err as fs;
use kuva::{
    backend::svg::SvgBackend,
    plot::{LegendPosition, line::LinePlot},
    render::{
        annotations::ReferenceLine,
        layout::{Layout, TickFormat},
        plots::Plot,
        render::render_multiple,
    },
};

use crate::{AnalysisError, Curve};

/// Okabe and Ito's colours, told apart by the colour-blind; ordered so that neighbours also differ in grey.
const COLOURS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"];

/// A horizontal reference, such as an expert's return.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it is.
    pub label: String,
    /// Where it is.
    pub y: f64,
}

/// Curves over environment steps, with axis names and reference lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// Above the axes.
    pub title: String,
    /// Below the title: what line and band are.
    pub caption: String,
    /// The vertical axis.
    pub y_label: String,
    /// One line with its band each.
    pub curves: Vec<Curve>,
    /// Horizontal lines.
    pub references: Vec<Line>,
}

impl Figure {
    /// Writes the figure as PNG or SVG, by the file name's ending.
    pub fn write(&self, path: &Path) -> Result<(), AnalysisError> {
        write_scene(self.plots(), self.layout(), path)
    }

    fn plots(&self) -> Vec<Plot> {
        let unit = self.step_unit().0;
        self.curves.iter().enumerate().map(|(index, curve)| line(curve, index, unit).into()).collect()
    }

    /// Steps are shown in a unit that keeps the axis numbers short.
    fn step_unit(&self) -> (f64, &'static str) {
        let last = self.curves.iter().filter_map(|curve| curve.points.last()).map(|point| point.step).max();
        match last.unwrap_or(0) {
            0..10_000 => (1.0, "environment steps"),
            10_000..2_000_000 => (1e3, "environment steps (thousands)"),
            _ => (1e6, "environment steps (millions)"),
        }
    }

    /// The last step, in its unit, and the vertical range, with margins (to the right for the last number); none for a
    /// flat line, whose range the library chooses better.
    fn extent(&self) -> Option<(f64, f64, f64)> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let edges = points().flat_map(|point| [point.low, point.high]).chain(self.references.iter().map(|line| line.y));
        let (low, high) = edges.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), y| (l.min(y), h.max(y)));
        let margin = 0.04 * (high - low);
        let last = 1.02 * points().map(|point| point.step).max()? as f64 / self.step_unit().0;
        (margin > 0.0 && margin.is_finite() && last > 0.0).then_some((last, low - margin, high + margin))
    }

    fn layout(&self) -> Layout {
        let layout = Layout::auto_from_plots(&self.plots())
            .with_title(&self.title)
            .with_subtitle(&self.caption)
            .with_x_label(self.step_unit().1)
            .with_y_label(&self.y_label)
            .with_x_tick_format(TickFormat::Auto)
            .with_legend_position(LegendPosition::OutsideBottomColumns)
            .with_legend_box(false)
            .with_width(760.0)
            .with_height(520.0);
        let layout = match self.extent() {
            Some((last, low, high)) => layout.with_x_axis_max(last).with_y_axis_min(low).with_y_axis_max(high),
            None => layout,
        };
        reference_lines(layout, &self.references)
    }
}

fn line(curve: &Curve, index: usize, unit: f64) -> LinePlot {
    let points = curve.points.iter().map(|point| (point.step as f64 / unit, point.centre));
    let (low, high) = (curve.points.iter().map(|point| point.low), curve.points.iter().map(|point| point.high));
    line_style(points, index, format!("{} (n={})", curve.label, curve.seeds), low, high)
}

/// The `index`-th line of a figure with its band. Line styles change with the colour, so that curves differ in a grey print too.
pub(crate) fn line_style(
    points: impl Iterator<Item = (f64, f64)>,
    index: usize,
    label: String,
    low: impl Iterator<Item = f64>,
    high: impl Iterator<Item = f64>,
) -> LinePlot {
    let plot = LinePlot::new()
        .with_data(points)
        .with_color(COLOURS[index % COLOURS.len()])
        .with_stroke_width(2.0)
        .with_legend(label)
        .with_band(low, high);
    match index % 4 {
        0 => plot,
        1 => plot.with_dashed(),
        2 => plot.with_dashdot(),
        _ => plot.with_dotted(),
    }
}

/// Adds horizontal lines.
pub(crate) fn reference_lines(layout: Layout, references: &[Line]) -> Layout {
    references.iter().fold(layout, |layout, reference| {
        layout.with_reference_line(ReferenceLine::horizontal(reference.y).with_label(&reference.label))
    })
}

/// Draws as PNG or SVG, by the file name's ending.
pub(crate) fn write_scene(plots: Vec<Plot>, layout: Layout, path: &Path) -> Result<(), AnalysisError> {
    let scene = render_multiple(plots, layout);
    let bytes = match path.extension().and_then(|ending| ending.to_str()) {
        Some("png") => kuva::PngBackend::new()
            .with_scale(2.0)
            .render_scene(&scene)
            .map_err(|problem| AnalysisError::Drawing { path: path.to_path_buf(), problem })?,
        Some("svg") => SvgBackend::default().render_scene(&scene).into_bytes(),
        _ => return Err(AnalysisError::UnknownFormat { path: path.to_path_buf() }),
    };
    Ok(fs::write(path, bytes)?)
}
