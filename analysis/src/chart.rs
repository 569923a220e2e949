//! Lines with bands over any horizontal axis, such as a return against a disturbance's size.

use std::path::Path;

use kuva::{
    plot::LegendPosition,
    render::layout::{Layout, TickFormat},
};

use crate::figure::{line_style, reference_lines, write_scene};
use crate::{AnalysisError, Line};

/// One line with its band.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// Each point: x, centre, the band's low and high end; ascending in x.
    pub points: Vec<[f64; 4]>,
}

/// Series over one axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// Above the axes.
    pub title: String,
    /// Below the title: what line and band are.
    pub caption: String,
    /// The horizontal axis.
    pub x_label: String,
    /// The vertical axis.
    pub y_label: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Horizontal lines.
    pub references: Vec<Line>,
}

impl Chart {
    /// Refuses a file name that says no format that can be written.
    ///
    /// # Errors
    /// [`AnalysisError::UnknownFormat`].
    pub fn check_path(path: &Path) -> Result<(), AnalysisError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("png" | "svg") => Ok(()),
            _ => Err(AnalysisError::UnknownFormat { path: path.to_path_buf() }),
        }
    }

    /// Writes the chart as PNG or SVG, by the file name's ending.
    ///
    /// # Errors
    /// [`AnalysisError::UnknownFormat`], [`AnalysisError::Drawing`], and files that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), AnalysisError> {
        let plots = || {
            let line = |(index, series): (usize, &Series)| {
                let column = |i: usize| series.points.iter().map(move |point| point[i]);
                line_style(column(0).zip(column(1)), index, series.label.clone(), column(2), column(3)).into()
            };
            self.series.iter().enumerate().map(line).collect::<Vec<_>>()
        };
        let layout = Layout::auto_from_plots(&plots())
            .with_title(&self.title)
            .with_subtitle(&self.caption)
            .with_x_label(&self.x_label)
            .with_y_label(&self.y_label)
            .with_x_tick_format(TickFormat::Auto)
            .with_legend_position(LegendPosition::OutsideBottomColumns)
            .with_legend_box(false)
            .with_width(760.0)
            .with_height(520.0);
        write_scene(plots(), reference_lines(layout, &self.references), path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_shows_its_series_and_refuses_other_formats() {
        let folder = tempfile::tempdir().unwrap();
        let points = vec![[0.0, -150.0, -160.0, -140.0], [0.1, -200.0, -230.0, -170.0]];
        let chart = Chart {
            x_label: "epsilon".into(),
            series: vec![
                Series { label: "attacked".into(), points: points.clone() },
                Series { label: "noisy".into(), points },
            ],
            references: vec![Line { label: "expert".into(), y: -141.0 }],
            ..Chart::default()
        };
        let path = folder.path().join("chart.svg");
        chart.write(&path).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        for word in ["epsilon", "attacked", "noisy", "expert"] {
            assert!(text.contains(word), "{word}");
        }
        chart.write(&folder.path().join("chart.png")).unwrap();
        assert!(Chart::check_path(Path::new("x.gif")).is_err() && chart.write(Path::new("x.gif")).is_err());
    }
}
