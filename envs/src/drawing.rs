//! Pictures of tasks in the plane: a canvas in metres, and the figures that several tasks share.
//! Sizes, colours and scales are those of Gymnasium's drawings.

use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};

use crate::env::Frame;

/// Red, green and blue.
pub(crate) type Colour = [u8; 3];

pub(crate) const BLACK: Colour = [0, 0, 0];
pub(crate) const GREY: Colour = [128, 128, 128];
pub(crate) const RED: Colour = [204, 77, 77];
const WOOD: Colour = [202, 152, 101];
const BLUE: Colour = [129, 132, 203];

/// Pixels beyond which a coordinate is drawn at this distance.
const FAR: f64 = 1e5;

/// A white picture whose coordinates are metres: x to the right, y upwards.
pub(crate) struct Canvas {
    pixels: Pixmap,
    /// Pixels per metre.
    scale: f64,
    /// Pixel of the point (0, 0), from the upper left corner.
    origin: [f64; 2],
}

impl Canvas {
    /// A canvas of these pixels, with the point (0, 0) at the pixel `origin` from the upper left
    /// corner.
    ///
    /// # Errors
    /// If a side is 0.
    pub(crate) fn new([width, height]: [u32; 2], scale: f64, origin: [f64; 2]) -> Result<Self, String> {
        let mut pixels = Pixmap::new(width, height).ok_or("a picture needs pixels")?;
        pixels.fill(Color::WHITE);
        Ok(Self { pixels, scale, origin })
    }

    /// Draws a line of this width with round ends.
    pub(crate) fn line(&mut self, points: &[[f64; 2]], width: f64, colour: Colour) {
        let Some(path) = self.path(points, false) else { return };
        let width = (width * self.scale) as f32;
        let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        self.pixels.stroke_path(&path, &paint(colour), &stroke, Transform::identity(), None);
    }

    /// Fills a polygon.
    pub(crate) fn polygon(&mut self, points: &[[f64; 2]], colour: Colour) {
        let Some(path) = self.path(points, true) else { return };
        self.pixels.fill_path(&path, &paint(colour), FillRule::Winding, Transform::identity(), None);
    }

    /// Fills a disc.
    pub(crate) fn disc(&mut self, centre: [f64; 2], radius: f64, colour: Colour) {
        self.line(&[centre, centre], 2.0 * radius, colour);
    }

    /// The picture.
    pub(crate) fn finish(self) -> Frame {
        let rgb = self.pixels.pixels().iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]).collect();
        Frame { width: self.pixels.width(), height: self.pixels.height(), rgb }
    }

    /// The path through these points; `None` without two points or with one that is not finite.
    fn path(&self, points: &[[f64; 2]], closed: bool) -> Option<Path> {
        let mut path = PathBuilder::new();
        for (index, [x, y]) in points.iter().enumerate() {
            let pixel = |offset: f64| offset.clamp(-FAR, FAR) as f32;
            let (x, y) = (pixel(self.origin[0] + self.scale * x), pixel(self.origin[1] - self.scale * y));
            if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
        }
        if closed {
            path.close();
        }
        path.finish()
    }
}

fn paint([red, green, blue]: Colour) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, 255);
    paint
}

/// The point at a distance from another; the angle is from upright, positive to the right.
pub(crate) fn towards([x, y]: [f64; 2], angle: f64, distance: f64) -> [f64; 2] {
    [x + distance * angle.sin(), y + distance * angle.cos()]
}

/// A pendulum that is `angle` from upright, positive to the left as in Gymnasium; its length fills
/// the picture.
pub(crate) fn pendulum(angle: f64) -> Result<Frame, String> {
    const SIDE: f64 = 500.0;
    let mut canvas = Canvas::new([SIDE as u32; 2], SIDE / 4.4, [SIDE / 2.0; 2])?;
    canvas.line(&[[0.0; 2], towards([0.0; 2], -angle, 1.0)], 0.2, RED);
    canvas.disc([0.0; 2], 0.05, BLACK);
    Ok(canvas.finish())
}

/// A cart at `position` with a pole that is `angle` from upright, positive to the right; both
/// lengths in metres.
pub(crate) fn cart_pole(position: f64, angle: f64, pole: f64) -> Result<Frame, String> {
    // 4.8 m across, the track 100 pixels above the lower edge.
    const SCALE: f64 = 600.0 / 4.8;
    let mut canvas = Canvas::new([600, 400], SCALE, [300.0, 300.0])?;
    let (half_width, half_height) = (25.0 / SCALE, 15.0 / SCALE);
    canvas.line(&[[-3.0, 0.0], [3.0, 0.0]], 1.0 / SCALE, BLACK);
    let (left, right) = (position - half_width, position + half_width);
    canvas.polygon(&[[left, -half_height], [left, half_height], [right, half_height], [right, -half_height]], BLACK);
    let axle = [position, half_height / 2.0];
    canvas.line(&[axle, towards(axle, angle, pole)], 10.0 / SCALE, WOOD);
    canvas.disc(axle, 5.0 / SCALE, BLUE);
    Ok(canvas.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean place, across and down, of the pixels of a colour.
    fn place(frame: &Frame, colour: Colour) -> [f64; 2] {
        let pixels = frame.rgb.chunks_exact(3).enumerate().filter(|(_, pixel)| **pixel == colour);
        let places: Vec<[f64; 2]> = pixels
            .map(|(index, _)| [(index as u32 % frame.width).into(), (index as u32 / frame.width).into()])
            .collect();
        assert!(places.len() > 20, "{} pixels of {colour:?}", places.len());
        [0, 1].map(|i| places.iter().map(|place| place[i]).sum::<f64>() / places.len() as f64)
    }

    #[test]
    fn figures_are_where_their_states_are() {
        // The rod's middle: half its length, 500 / 4.4 pixels, from the picture's centre.
        for (angle, wanted) in [(0.0, [250.0, 193.0]), (0.5 * std::f64::consts::PI, [193.0, 250.0])] {
            let [x, y] = place(&pendulum(angle).unwrap(), RED);
            assert!((x - wanted[0]).abs() < 4.0 && (y - wanted[1]).abs() < 4.0, "{x} {y}, not {wanted:?}");
        }
        let frame = cart_pole(1.2, 0.0, 1.0).unwrap();
        let [x, y] = place(&frame, BLUE);
        assert!((x - 450.0).abs() < 2.0 && (y - 292.0).abs() < 2.0, "{x} {y}");
        assert!(place(&cart_pole(1.2, 0.2, 1.0).unwrap(), WOOD)[0] > place(&frame, WOOD)[0] + 5.0);
    }

    #[test]
    fn far_and_broken_states_are_drawn_without_a_panic() {
        for x in [1e300, -1e300, f64::NAN, f64::INFINITY] {
            assert_eq!(cart_pole(x, x, 1.0).unwrap().rgb.len(), 600 * 400 * 3);
            assert_eq!(pendulum(x).unwrap().rgb.len(), 500 * 500 * 3);
        }
    }
}
