//! Data of one pair of axes: curves and reference lines.

use crate::curve::Curve;

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
    /// Label of the horizontal axis. Default, if empty: the figure's.
    pub x_label: String,
    /// True for a logarithmic vertical axis, which leaves out points that are not positive.
    pub log: bool,
    /// True for a logarithmic horizontal axis, which leaves out points that are not positive.
    pub log_x: bool,
    /// True if a linear horizontal axis may begin at 0 when its first point comes soon after.
    pub from_zero: bool,
    /// True to draw points alone, without lines and bands.
    pub scatter: bool,
    /// Curves with their places in the legend.
    pub curves: Vec<(usize, Curve)>,
    /// Curves in grey, behind the others.
    pub behind: Vec<Curve>,
    /// Horizontal lines. One far from all curves stands beyond a break of the axis.
    pub references: Vec<ReferenceLine>,
}

impl Panel {
    /// All curves, those behind first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Curve> {
        self.behind.iter().chain(self.curves.iter().map(|(_, curve)| curve))
    }
}
