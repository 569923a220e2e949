//! Drawings of the systems.

use crate::drawing::{Canvas, GREY, RED, cart_pole, pendulum};
use crate::env::Frame;

/// The drawing of a system's state.
pub(super) enum Picture {
    /// A pendulum whose angle from upright is the first coordinate.
    Pendulum,
    /// A cart and its pole, of this length in metres: coordinates x and θ are the first and third.
    CartPole(f64),
    /// A slide for each coordinate: 0 in the middle, and at the ends the start's mean and three
    /// times its width. A coordinate beyond is drawn at the end.
    Slides,
}

impl Picture {
    /// Draws a state. `reach` is the size of each coordinate at the ends of its slide.
    pub(super) fn draw(&self, state: &[f64], reach: &[f64]) -> Result<Frame, String> {
        match self {
            Self::Pendulum => pendulum(state[0]),
            Self::CartPole(pole) => cart_pole(state[0], state[2], *pole),
            Self::Slides => slides(state, reach),
        }
    }
}

/// One slide below the other, the first coordinate's on top.
fn slides(state: &[f64], reach: &[f64]) -> Result<Frame, String> {
    let (width, height) = (500.0, 200.0);
    // From −1 to 1 with a margin.
    let mut canvas = Canvas::new([width as u32, height as u32], width / 2.4, [width / 2.0, height / 2.0])?;
    let gap = 2.4 * height / width / state.len() as f64;
    let size = (gap / 4.0).min(0.06);
    for (row, (x, reach)) in state.iter().zip(reach).enumerate() {
        let y = (0.5 * (state.len() - 1) as f64 - row as f64) * gap;
        canvas.line(&[[-1.0, y], [1.0, y]], size / 6.0, GREY);
        canvas.line(&[[0.0, y - size], [0.0, y + size]], size / 6.0, GREY);
        canvas.disc([(x / reach.max(f64::MIN_POSITIVE)).clamp(-1.0, 1.0), y], size, RED);
    }
    Ok(canvas.finish())
}
