//! Lines with bands over any horizontal axis, such as a return against a disturbance's size.

use std::path::Path;

use crate::{AnalysisError, Curve, CurvePoint, Figure, Panel, ReferenceLine};

/// One line with its band.
#[derive(Clone, Debug, PartialEq)]
pub struct ChartSeries {
    /// Its name in the legend.
    pub label: String,
    /// Each point: x, centre, the band's low and high end; ascending in x.
    pub points: Vec<[f64; 4]>,
}

/// ChartSeries over one axis.
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
    pub series: Vec<ChartSeries>,
    /// Horizontal lines.
    pub references: Vec<ReferenceLine>,
}

impl Chart {
    /// Writes the chart as PNG or SVG, by the file name's ending.
    ///
    /// # Errors
    /// [`AnalysisError::UnknownFormat`], [`AnalysisError::Drawing`], and files that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), AnalysisError> {
        let curve = |series: &ChartSeries| {
            let points =
                series.points.iter().map(|&[x, centre, low, high]| CurvePoint { x, centre, low, high, seeds: 1 });
            Curve { label: series.label.clone(), points: points.collect(), seeds: 1, interpolated: false }
        };
        let panel = Panel {
            y_label: self.y_label.clone(),
            curves: self.series.iter().map(curve).enumerate().collect(),
            references: self.references.clone(),
            ..Panel::default()
        };
        let figure = Figure {
            title: self.title.clone(),
            caption: self.caption.clone(),
            x_label: self.x_label.clone(),
            legend: self.series.iter().map(|series| series.label.clone()).collect(),
            panels: vec![panel],
        };
        figure.write(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PictureFormat;

    #[test]
    fn a_chart_shows_its_series_and_refuses_other_formats() {
        let folder = tempfile::tempdir().unwrap();
        let points = vec![[0.0, -150.0, -160.0, -140.0], [0.1, -200.0, -230.0, -170.0]];
        let chart = Chart {
            x_label: "epsilon".into(),
            series: vec![
                ChartSeries { label: "attacked".into(), points: points.clone() },
                ChartSeries { label: "noisy".into(), points },
            ],
            references: vec![ReferenceLine { label: "expert".into(), y: -141.0 }],
            ..Chart::default()
        };
        let path = folder.path().join("chart.svg");
        chart.write(&path).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        for word in ["epsilon", "attacked", "noisy", "expert"] {
            assert!(text.contains(word), "{word}");
        }
        chart.write(&folder.path().join("chart.png")).unwrap();
        assert!(PictureFormat::of(Path::new("x.gif")).is_err() && chart.write(Path::new("x.gif")).is_err());
    }
}
