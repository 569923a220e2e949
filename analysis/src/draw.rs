//! Shapes on a canvas, written as SVG here and as PNG and PDF by `kuva`, so that all look alike.
//! `kuva` reads shapes of its own, not SVG.

use std::fmt::Write as _;
use std::path::Path;

use kuva::render::render::{PathData, Primitive, Scene, TextAnchor};
use liprl_logbook::write_output;
use maud::{Markup, html};

use crate::error::AnalysisError;

/// Width of a letter of size 1: the mean of DejaVu Sans, with a small reserve.
pub(crate) const LETTER: f64 = 0.62;
/// Most curves that a panel tells apart: each has a colour and a marker of its own.
pub(crate) const DISTINCT: usize = 8;
/// Colours of Okabe and Ito, which the colour-blind can tell apart. A grey that shows on white and
/// on black, and a brown, stand for their black and yellow.
const COLOURS: [&str; DISTINCT] =
    ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7A7A7A", "#A52A2A"];
/// Lengths of strokes and gaps, which tell curves apart on a grey print.
const DASHES: [&[f64]; 4] = [&[], &[9.0, 4.0], &[2.0, 3.0], &[9.0, 3.0, 2.0, 3.0]];

/// Format of a picture, by the ending of its file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// Pixels.
    Png,
    /// Shapes and text.
    Svg,
    /// Shapes and text with its font, as papers take it.
    Pdf,
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
            Some("pdf") => Ok(Self::Pdf),
            _ => Err(AnalysisError::UnknownFormat { path: path.to_path_buf() }),
        }
    }
}

/// Paint of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Letters and axes: black, or the colour of the page's text.
    Text,
    /// Grid lines.
    Faint,
    /// Curves behind the one that a panel is about.
    Behind,
    /// The colour of the curve of this number.
    Curve(usize),
}

/// Dashes of a curve. Colour, dashes and marker follow its number.
pub(crate) fn dashes(curve: usize) -> &'static [f64] {
    DASHES[curve % DASHES.len()]
}

/// Corners of the markers: disc, square, triangles up and down, diamond, cross, star, bar.
const MARKERS: [&[(f64, f64)]; DISTINCT] = [
    &[(-4.0, 0.0), (-2.8, -2.8), (0.0, -4.0), (2.8, -2.8), (4.0, 0.0), (2.8, 2.8), (0.0, 4.0), (-2.8, 2.8)],
    &[(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)],
    &[(-4.5, 3.5), (0.0, -4.5), (4.5, 3.5)],
    &[(0.0, -5.5), (4.2, 0.0), (0.0, 5.5), (-4.2, 0.0)],
    &[(-4.5, -3.5), (0.0, 4.5), (4.5, -3.5)],
    &[
        (-1.3, -4.5),
        (1.3, -4.5),
        (1.3, -1.3),
        (4.5, -1.3),
        (4.5, 1.3),
        (1.3, 1.3),
        (1.3, 4.5),
        (-1.3, 4.5),
        (-1.3, 1.3),
        (-4.5, 1.3),
        (-4.5, -1.3),
        (-1.3, -1.3),
    ],
    &[(0.0, -5.0), (1.3, -1.3), (5.0, 0.0), (1.3, 1.3), (0.0, 5.0), (-1.3, 1.3), (-5.0, 0.0), (-1.3, -1.3)],
    &[(-1.4, -5.0), (1.4, -5.0), (1.4, 5.0), (-1.4, 5.0)],
];

#[derive(Clone, Debug)]
enum Shape {
    Line { points: Vec<(f64, f64)>, ink: Ink, width: f64, dashes: &'static [f64] },
    Area { points: Vec<(f64, f64)>, ink: Ink, opacity: f64 },
    Text { at: (f64, f64), text: String, size: u32, anchor: TextAnchor, upright: bool },
}

/// Shapes with coordinates in pixels from the upper left.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    pub(crate) width: f64,
    pub(crate) height: f64,
    shapes: Vec<Shape>,
}

/// Surroundings of an SVG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Background {
    /// A file of its own: black on white.
    White,
    /// A page of HTML, whose colours it takes.
    Html,
}

impl Canvas {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self { width, height, shapes: Vec::new() }
    }

    pub(crate) fn line(&mut self, points: Vec<(f64, f64)>, ink: Ink, width: f64, dashes: &'static [f64]) {
        self.shapes.push(Shape::Line { points, ink, width, dashes });
    }

    pub(crate) fn area(&mut self, points: Vec<(f64, f64)>, ink: Ink, opacity: f64) {
        self.shapes.push(Shape::Area { points, ink, opacity });
    }

    pub(crate) fn text(&mut self, at: (f64, f64), text: &str, size: u32, anchor: TextAnchor) {
        self.shapes.push(Shape::Text { at, text: text.to_owned(), size, anchor, upright: false });
    }

    pub(crate) fn upright_text(&mut self, at: (f64, f64), text: &str, size: u32) {
        self.shapes.push(Shape::Text { at, text: text.to_owned(), size, anchor: TextAnchor::Middle, upright: true });
    }

    /// Adds the marker of a curve: a filled shape around a point.
    pub(crate) fn marker(&mut self, (x, y): (f64, f64), curve: usize) {
        self.area(MARKERS[curve % DISTINCT].iter().map(|(dx, dy)| (x + dx, y + dy)).collect(), Ink::Curve(curve), 1.0);
    }

    /// The canvas as SVG; screen readers read `label`.
    pub(crate) fn svg(&self, label: &str, background: Background) -> Markup {
        html! {
            svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (self.width) " " (self.height) }
                width=(self.width) height=(self.height) role="img" aria-label=(label)
                font-family="DejaVu Sans, Verdana, sans-serif" {
                @if background == Background::White { rect width="100%" height="100%" fill="#ffffff" {} }
                @for shape in &self.shapes { (shape.svg(background)) }
            }
        }
    }

    /// The canvas as PNG, two pixels for one.
    pub(crate) fn png(&self) -> Result<Vec<u8>, String> {
        kuva::PngBackend::new().with_scale(2.0).render_scene(&self.scene())
    }

    /// The canvas as PDF: shapes, and text with its font.
    pub(crate) fn pdf(&self) -> Result<Vec<u8>, String> {
        let mut scene = self.scene();
        // Without a name its reader of SVG takes Times, and leaves text out where that is missing.
        scene.font_family = Some("DejaVu Sans".into());
        kuva::PdfBackend::new().render_scene(&scene)
    }

    /// Writes the canvas as PNG, SVG or PDF, by the ending of the file's name; screen readers read
    /// `label`.
    ///
    /// # Errors
    /// [`AnalysisError::UnknownFormat`], [`AnalysisError::Drawing`], and files that cannot be
    /// written.
    pub(crate) fn write(&self, path: &Path, label: &str) -> Result<(), AnalysisError> {
        let failed = |problem| AnalysisError::Drawing { path: path.to_path_buf(), problem };
        let bytes = match PictureFormat::of(path)? {
            PictureFormat::Png => self.png().map_err(failed)?,
            PictureFormat::Pdf => self.pdf().map_err(failed)?,
            PictureFormat::Svg => self.svg(label, Background::White).into_string().into_bytes(),
        };
        Ok(write_output(path, &bytes)?)
    }

    fn scene(&self) -> Scene {
        let mut scene = Scene::new(self.width, self.height);
        for shape in &self.shapes {
            match shape {
                Shape::Line { points, ink, width, dashes } => {
                    for part in dashed(points, dashes) {
                        scene.elements.push(Primitive::PolyLine {
                            points: part,
                            stroke: hex(*ink).into(),
                            stroke_width: *width,
                            stroke_dasharray: None,
                        });
                    }
                }
                Shape::Area { points, ink, opacity } => scene.elements.push(Primitive::Path(Box::new(PathData {
                    d: format!("{}Z", path(points)),
                    fill: Some(hex(*ink).into()),
                    stroke: "none".into(),
                    stroke_width: 0.0,
                    opacity: Some(*opacity),
                    stroke_dasharray: None,
                }))),
                Shape::Text { at: (x, y), text, size, anchor, upright } => scene.elements.push(Primitive::Text {
                    x: *x,
                    y: *y,
                    // The rasteriser sets what stands between dollars as mathematics.
                    content: text.replace('$', "\\$"),
                    size: *size,
                    anchor: *anchor,
                    rotate: upright.then_some(-90.0),
                    bold: false,
                    color: Some(hex(Ink::Text).into()),
                }),
            }
        }
        scene
    }
}

impl Shape {
    fn svg(&self, background: Background) -> Markup {
        html! {
            @match self {
                Self::Line { points, ink, width, dashes } => {
                    @let (colour, opacity) = paint(*ink, background);
                    path d=(path(points)) fill="none" stroke-width=(width) stroke-linejoin="round" stroke=(colour)
                        stroke-opacity=[opacity] stroke-dasharray=[(!dashes.is_empty()).then(|| list(dashes))] {}
                }
                Self::Area { points, ink, opacity } => {
                    path d={ (path(points)) "Z" } fill-opacity=(opacity) fill=(paint(*ink, background).0) {}
                }
                Self::Text { at: (x, y), text, size, anchor, upright } => {
                    @let anchor = match anchor {
                        TextAnchor::Start => "start",
                        TextAnchor::Middle => "middle",
                        TextAnchor::End => "end",
                    };
                    @let turn = upright.then(|| format!("rotate(-90 {x:.1} {y:.1})"));
                    text x=(format!("{x:.1}")) y=(format!("{y:.1}")) font-size=(size) text-anchor=(anchor)
                        transform=[turn] fill=(paint(Ink::Text, background).0) { (text) }
                }
            }
        }
    }
}

/// Size of letters, `size` or less and at least 8, at which a text fits a width.
pub(crate) fn fitted(text: &str, size: u32, width: f64) -> u32 {
    let letters = text.chars().count().max(1) as f64;
    size.min((width / (letters * LETTER)) as u32).max(8)
}

fn hex(ink: Ink) -> &'static str {
    match ink {
        Ink::Text => "#1a1a1a",
        Ink::Faint => "#d9d9d9",
        Ink::Behind => "#bdbdbd",
        Ink::Curve(curve) => COLOURS[curve % COLOURS.len()],
    }
}

/// Colour and opacity: in HTML, axes and grid take the colour of the page's text.
fn paint(ink: Ink, background: Background) -> (&'static str, Option<f64>) {
    match (ink, background) {
        (Ink::Text, Background::Html) => ("currentColor", None),
        (Ink::Faint, Background::Html) => ("currentColor", Some(0.18)),
        (Ink::Behind, Background::Html) => ("currentColor", Some(0.3)),
        _ => (hex(ink), None),
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut d = String::with_capacity(points.len() * 14);
    for (index, (x, y)) in points.iter().enumerate() {
        let _ = write!(d, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    d
}

fn list(numbers: &[f64]) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}

/// Strokes of a dashed line. The rasteriser restarts its dashes at every point, so on a curve of
/// many points they would run together.
fn dashed(points: &[(f64, f64)], dashes: &[f64]) -> Vec<Vec<(f64, f64)>> {
    let Some(&first) = dashes.first() else { return vec![points.to_vec()] };
    let (mut strokes, mut stroke) = (Vec::new(), points.first().map_or(Vec::new(), |&point| vec![point]));
    let (mut index, mut left) = (0, first);
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if length <= left {
                left -= length;
                if index % 2 == 0 {
                    stroke.push(to);
                }
                break;
            }
            from = (from.0 + (to.0 - from.0) * left / length, from.1 + (to.1 - from.1) * left / length);
            if index % 2 == 0 {
                stroke.push(from);
                strokes.push(std::mem::take(&mut stroke));
            } else {
                stroke = vec![from];
            }
            index = (index + 1) % dashes.len();
            left = dashes[index];
        }
    }
    if stroke.len() > 1 {
        strokes.push(stroke);
    }
    strokes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_markers_are_different() {
        let colours: std::collections::BTreeSet<&str> = COLOURS.into_iter().collect();
        assert_eq!(colours.len(), DISTINCT);
        assert!((0..DISTINCT).all(|a| (0..a).all(|b| MARKERS[a] != MARKERS[b])));
    }

    #[test]
    fn dashes_run_on_over_many_points() {
        // 30 px in steps of 1: strokes of 9 and gaps of 4 from 0, 13 and 26.
        let points: Vec<(f64, f64)> = (0..=30).map(|x| (f64::from(x), 0.0)).collect();
        let ends: Vec<(f64, f64)> =
            dashed(&points, &[9.0, 4.0]).iter().map(|stroke| (stroke[0].0, stroke[stroke.len() - 1].0)).collect();
        assert_eq!(ends, [(0.0, 9.0), (13.0, 22.0), (26.0, 30.0)]);
        assert_eq!(dashed(&points, &[]).len(), 1);
    }

    #[test]
    fn a_pdf_has_its_text_and_font() {
        let mut canvas = Canvas::new(90.0, 20.0);
        let bare = canvas.pdf().unwrap().len();
        canvas.text((1.0, 12.0), "‖∇Q‖ of γ", 9, TextAnchor::Start);
        let written = canvas.pdf().unwrap();
        // The outlines of its letters take more than a kilobyte.
        assert!(written.len() > bare + 1000, "{bare} {}", written.len());
    }

    #[test]
    fn names_cannot_break_out_of_the_page() {
        let mut canvas = Canvas::new(10.0, 10.0);
        canvas.text((1.0, 1.0), "<script>\"&", 9, TextAnchor::Start);
        let svg = canvas.svg("a\"b", Background::White).into_string();
        assert!(svg.contains("&lt;script&gt;&quot;&amp;") && svg.contains("aria-label=\"a&quot;b\""), "{svg}");
    }
}
