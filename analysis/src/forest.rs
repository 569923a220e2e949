//! Forest plots: estimates with their intervals, a row for each, beside a line of no effect.

use std::path::Path;

use kuva::render::render::TextAnchor;

use crate::axis::{extent, few_ticks, share};
use crate::bootstrap::ConfidenceInterval;
use crate::draw::{Canvas, DISTINCT, Ink, LETTER, fitted};
use crate::error::AnalysisError;
use crate::number::{aligned, minus, signed};

/// Effects of several variants, one or more of each, in columns with axes of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forest {
    /// Title above all columns.
    pub title: String,
    /// Meaning of marks and lines, below the title.
    pub caption: String,
    /// Name of each row, with its place in the legend of the curves, whose colour and marker it has.
    pub rows: Vec<(usize, String)>,
    /// Columns, which have a cell for each row.
    pub columns: Vec<ForestColumn>,
}

/// One effect of each row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForestColumn {
    /// Name of the effect.
    pub title: String,
    /// Label of the axis: the unit.
    pub x_label: String,
    /// Differences from no effect; `None` and numbers beyond the range of f64 leave a row out.
    pub cells: Vec<Option<ConfidenceInterval>>,
    /// A second estimate of each row, in grey below the first; empty for none.
    pub also: Vec<Option<ConfidenceInterval>>,
}

/// Height of a row.
const ROW: f64 = 26.0;
/// Width of an axis alone, and of one of several.
const WIDTHS: (f64, f64) = (330.0, 190.0);
/// Most letters of a row's name at full size.
const NAME: usize = 44;
/// Most letters of names beside a single column; longer ones stand above their marks.
const BESIDE: usize = 16;
/// Height of a row with its name above, and of the name.
const TALL: (f64, f64) = (42.0, 17.0);
/// Most columns that have their numbers beside the marks.
const NUMBERED: usize = 2;

impl Forest {
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
        let names = if self.names_above() { 10.0 } else { self.letters().min(NAME) as f64 * 12.0 * LETTER + 16.0 };
        let row_high = self.row_high();
        let wide = if self.columns.len() == 1 { WIDTHS.0 } else { WIDTHS.1 };
        let numbers: Vec<Vec<String>> = self.columns.iter().map(|column| self.numbers(column)).collect();
        let beside = |texts: &Vec<String>| {
            let most = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
            most as f64 * 11.0 * LETTER + 10.0
        };
        let cells: Vec<f64> = numbers.iter().map(|texts| wide + beside(texts) + 24.0).collect();
        let heads = [!self.title.is_empty(), !self.caption.is_empty()].iter().filter(|&&is| is).count() as f64 * 22.0;
        let top = heads + 28.0;
        let high = self.rows.len() as f64 * row_high;
        let mut canvas = Canvas::new(names + cells.iter().sum::<f64>(), top + high + 50.0);
        let width = canvas.width;
        canvas.text((width / 2.0, 18.0), &self.title, fitted(&self.title, 16, width), TextAnchor::Middle);
        canvas.text((width / 2.0, heads - 7.0), &self.caption, fitted(&self.caption, 11, width), TextAnchor::Middle);
        for (row, (_, name)) in self.rows.iter().enumerate() {
            let y = top + row as f64 * row_high;
            if self.names_above() {
                canvas.text((names + 6.0, y + 15.0), name, fitted(name, 12, width - 20.0), TextAnchor::Start);
            } else {
                canvas.text((names - 10.0, y + ROW / 2.0 + 4.0), name, fitted(name, 12, names - 10.0), TextAnchor::End);
            }
        }
        let mut left = names;
        for ((column, texts), cell) in self.columns.iter().zip(&numbers).zip(&cells) {
            self.draw_column(&mut canvas, column, texts, (left + 6.0, top, wide));
            left += cell;
        }
        canvas
    }

    /// Letters of the longest name.
    fn letters(&self) -> usize {
        self.rows.iter().map(|(_, name)| name.chars().count()).max().unwrap_or(0)
    }

    /// True if names stand above their marks, so that the figure stays narrow.
    fn names_above(&self) -> bool {
        self.columns.len() == 1 && self.letters() > BESIDE
    }

    fn row_high(&self) -> f64 {
        if self.names_above() { TALL.0 } else { ROW }
    }

    /// Height of a row's marks.
    fn y_of(&self, top: f64, row: usize) -> f64 {
        let above = if self.names_above() { TALL.1 } else { 0.0 };
        top + row as f64 * self.row_high() + (self.row_high() + above) / 2.0
    }

    /// Numbers beside the marks of a column; empty if there are too many columns.
    fn numbers(&self, column: &ForestColumn) -> Vec<String> {
        if self.columns.len() > NUMBERED {
            return Vec::new();
        }
        let values: Vec<String> =
            column.cells.iter().map(|cell| cell.map_or(String::new(), |found| signed(found.value))).collect();
        let ends = |cell: &Option<ConfidenceInterval>| {
            cell.filter(|found| found.low < found.high)
                .map_or(String::new(), |found| minus(&format!(" [{}, {}]", signed(found.low), signed(found.high))))
        };
        aligned(&values).into_iter().zip(&column.cells).map(|(value, cell)| value + &ends(cell)).collect()
    }

    fn draw_column(&self, canvas: &mut Canvas, column: &ForestColumn, texts: &[String], place: (f64, f64, f64)) {
        let (left, top, wide) = place;
        let floor = top + self.rows.len() as f64 * self.row_high();
        let drawn = |found: &&ConfidenceInterval| found.low.is_finite() && found.high.is_finite();
        let found = || column.cells.iter().chain(&column.also).flatten().filter(drawn);
        let range = extent(found().flat_map(|found| [found.value, found.low, found.high]).chain([0.0]), 0.06);
        let x = |value: f64| left + share(value, range) * wide;
        for (at, text) in few_ticks(range.0, range.1) {
            canvas.line(vec![(x(at), top), (x(at), floor)], Ink::Faint, 1.0, &[]);
            canvas.text((x(at), floor + 17.0), &minus(&text), 11, TextAnchor::Middle);
        }
        canvas.line(vec![(left, floor), (left + wide, floor)], Ink::Text, 1.0, &[]);
        canvas.line(vec![(x(0.0), top), (x(0.0), floor)], Ink::Text, 1.2, &[4.0, 3.0]);
        let middle = left + wide / 2.0;
        canvas.text((middle, top - 9.0), &column.title, fitted(&column.title, 12, wide + 16.0), TextAnchor::Middle);
        canvas.text(
            (middle, floor + 36.0),
            &column.x_label,
            fitted(&column.x_label, 11, wide + 16.0),
            TextAnchor::Middle,
        );
        for (row, (cell, (place, _))) in column.cells.iter().zip(&self.rows).enumerate() {
            let y = self.y_of(top, row);
            if let Some(second) = column.also.get(row).and_then(Option::as_ref).filter(drawn) {
                let below = y + 7.0;
                canvas.line(vec![(x(second.low), below), (x(second.high), below)], Ink::Behind, 2.0, &[]);
                canvas.line(vec![(x(second.value), below - 3.0), (x(second.value), below + 3.0)], Ink::Text, 1.4, &[]);
            }
            let Some(found) = cell.as_ref().filter(drawn) else {
                canvas.text((middle, y + 4.0), "–", 11, TextAnchor::Middle);
                continue;
            };
            // Colours of more curves than there are would repeat.
            let place = if *place < DISTINCT { *place } else { 0 };
            canvas.line(vec![(x(found.low), y), (x(found.high), y)], Ink::Curve(place), 2.2, &[]);
            for end in [found.low, found.high] {
                canvas.line(vec![(x(end), y - 4.0), (x(end), y + 4.0)], Ink::Curve(place), 1.6, &[]);
            }
            canvas.marker((x(found.value), y), place);
            if let Some(text) = texts.get(row) {
                canvas.text((left + wide + 12.0, y + 4.0), text, 11, TextAnchor::Start);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Background;

    #[test]
    fn rows_have_marks_and_numbers_on_both_sides_of_no_effect() {
        let found = |value: f64, low: f64, high: f64| Some(ConfidenceInterval { value, low, high });
        let column = |title: &str| ForestColumn {
            title: title.to_owned(),
            x_label: "return".to_owned(),
            cells: vec![found(100.0, 50.0, 150.0), found(-4.2, -10.0, 2.0), None],
            also: Vec::new(),
        };
        let rows = ["a=1", "a=2", "a=3"].into_iter().enumerate().map(|(at, name)| (at, name.to_owned())).collect();
        let forest = Forest { rows, columns: vec![column("difference")], ..Forest::default() };
        let svg = forest.canvas().svg("", Background::White).into_string();
        for part in [">difference<", ">return<", ">a=2<", "+100", "[+50.0, +150]", "[−10.0, +2.00]", ">–<"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        // The axis holds −10 to 150 with 6 % on both sides: 0 is at 19.6 of 179.2.
        let left = 3.0 * 12.0 * LETTER + 16.0 + 6.0;
        let zero = left + (10.0 + 0.06 * 160.0) / (160.0 * 1.12) * 330.0;
        assert!(svg.contains(&format!("M{zero:.1} 28.0L{zero:.1} 106.0")), "{zero}: {svg}");
        // A second estimate widens the axis; long names stand above the marks.
        let long = "agent.shaping=potential".to_owned();
        let also = ForestColumn { also: vec![found(300.0, 200.0, 400.0)], ..column("difference") };
        let tall = Forest { rows: vec![(0, long.clone())], columns: vec![also], ..forest.clone() };
        let svg = tall.canvas().svg("", Background::White).into_string();
        assert!(svg.contains(&format!(">{long}</text>")) && svg.contains(">400</text>") && tall.canvas().width < 560.0);
        let wide = Forest { columns: vec![column("a"), column("b"), column("c")], ..forest };
        assert!(!wide.canvas().svg("", Background::White).into_string().contains("[+50.0"));
    }
}
