//! GIF within a budget of bytes. Pictures are kept encoded, so that a long episode needs little
//! memory.

use gif::{Encoder, Repeat};
use liprl_envs::Frame;

use super::VideoError;

/// Distance between two levels of a colour. It is hardly seen, and a picture then often has fewer
/// than 256 colours and takes a quarter less.
const LEVELS: f64 = 8.0;
/// Speed of the search for 256 colours, from 1 (best) to 30.
const SPEED: i32 = 10;

/// The size of a GIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GifLimits {
    /// Bytes.
    pub bytes: usize,
    /// Pixels of the longer side; larger pictures are reduced by a whole factor.
    pub side: u32,
    /// Pictures a second.
    pub fps: u32,
}

/// Room for further pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is some.
    Left,
    /// The last picture went beyond the budget.
    None,
}

/// A GIF under construction.
pub(super) struct Gif {
    limits: GifLimits,
    /// Pixels of the pictures given.
    given: Option<(u32, u32)>,
    frames: Vec<gif::Frame<'static>>,
}

impl Gif {
    pub(super) fn new(limits: GifLimits) -> Self {
        Self { limits, given: None, frames: Vec::new() }
    }

    /// Pixels across and down; 0 without a picture.
    pub(super) fn size(&self) -> (u32, u32) {
        self.frames.first().map_or((0, 0), |frame| (frame.width.into(), frame.height.into()))
    }

    /// Number of pictures.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Appends a picture.
    pub(super) fn push(&mut self, frame: &Frame) -> Result<Room, VideoError> {
        let given = *self.given.get_or_insert((frame.width, frame.height));
        check_size(given, frame)?;
        let (width, height, rgb) = reduced(frame, frame.width.max(frame.height).div_ceil(self.limits.side).max(1));
        let mut encoded = gif::Frame::from_rgb_speed(width as u16, height as u16, &rgb, SPEED);
        encoded.make_lzw_pre_encoded();
        self.frames.push(encoded);
        // Ten bytes of the image's place, eight of its delay, and a few of blocks.
        let bytes =
            |frame: &gif::Frame| frame.buffer.len() * 256 / 255 + frame.palette.as_ref().map_or(0, Vec::len) + 24;
        let total: usize = self.frames.iter().map(bytes).sum();
        Ok(if total + 64 > self.limits.bytes { Room::None } else { Room::Left })
    }

    /// Drops every second picture.
    pub(super) fn halve(&mut self) {
        let mut index = 0;
        self.frames.retain(|_| {
            index += 1;
            index % 2 == 1
        });
    }

    /// Drops the last picture.
    pub(super) fn drop_last(&mut self) {
        self.frames.pop();
    }

    /// The file, playing `fps` pictures a second for ever.
    pub(super) fn finish(mut self, fps: f64) -> Result<Vec<u8>, VideoError> {
        let fault = |error: gif::EncodingError| VideoError::Encoder(error.to_string());
        let (width, height) = self.size();
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, width as u16, height as u16, &[]).map_err(fault)?;
        encoder.set_repeat(Repeat::Infinite).map_err(fault)?;
        // Delays are whole hundredths of a second; rounding each picture's time keeps real time.
        let time = |index: usize| (100.0 * index as f64 / fps).round();
        for (index, frame) in self.frames.iter_mut().enumerate() {
            frame.delay = (time(index + 1) - time(index)) as u16;
            encoder.write_lzw_pre_encoded_frame(frame).map_err(fault)?;
        }
        drop(encoder);
        Ok(bytes)
    }
}

/// Refuses a picture of another size than the first.
pub(super) fn check_size((width, height): (u32, u32), frame: &Frame) -> Result<(), VideoError> {
    let whole = frame.rgb.len() as u64 == 3 * u64::from(frame.width) * u64::from(frame.height);
    if (frame.width, frame.height) == (width, height) && whole && width > 0 && height > 0 {
        return Ok(());
    }
    Err(VideoError::Encoder(format!(
        "a picture of {}×{} pixels and {} bytes came where {width}×{height} were expected",
        frame.width,
        frame.height,
        frame.rgb.len()
    )))
}

/// The picture with both sides divided by `factor`, in fewer colours: means over squares of pixels,
/// rounded to [`LEVELS`]. What does not fill a square, on the right and below, is left out.
fn reduced(frame: &Frame, factor: u32) -> (u32, u32, Vec<u8>) {
    let (width, height) = ((frame.width / factor).max(1), (frame.height / factor).max(1));
    let (across, down) = (factor.min(frame.width), factor.min(frame.height));
    let mut rgb = Vec::with_capacity((3 * width * height) as usize);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let pixels = (0..down).flat_map(|dy| (0..across).map(move |dx| (y * factor + dy, x * factor + dx)));
                let values = pixels.map(|(y, x)| frame.rgb[(3 * (y * frame.width + x) + channel) as usize]);
                let sum = values.map(u32::from).sum::<u32>();
                let mean = f64::from(sum) / f64::from(across * down);
                rgb.push(((mean / LEVELS).round() * LEVELS).min(255.0) as u8);
            }
        }
    }
    (width, height, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GifLimits = GifLimits { bytes: 1_000_000, side: 320, fps: 25 };

    fn frame(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Frame {
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(|x| pixel(x, y)).collect::<Vec<_>>()).collect();
        Frame { width, height, rgb }
    }

    #[test]
    fn reduced_pictures_are_means() {
        let picture = frame(5, 4, |x, y| [(10 * x + y) as u8, 255 * (x % 2) as u8, 7]);
        // The first square: 0, 10, 1, 11, whose mean of 5.5 is nearest to 8. The fifth column is left out.
        assert_eq!(reduced(&picture, 2), (2, 2, vec![8, 128, 8, 24, 128, 8, 8, 128, 8, 24, 128, 8]));
        assert_eq!(reduced(&picture, 1).2[..9], [0, 0, 8, 8, 255, 8, 24, 0, 8]);
    }

    #[test]
    fn files_keep_the_budget_and_real_time() {
        let noise =
            |seed: u32| move |x: u32, y: u32| [x, y, seed].map(|v| (v.wrapping_mul(2_654_435_761 ^ seed) >> 13) as u8);
        let mut gif = Gif::new(GifLimits { bytes: 60_000, ..LIMITS });
        let mut pushed = 0;
        while gif.push(&frame(100, 80, noise(pushed))).unwrap() == Room::Left {
            pushed += 1;
        }
        assert!(pushed > 3, "{pushed}");
        gif.drop_last();
        assert_eq!(gif.len() as u32, pushed);
        let bytes = gif.finish(125.0 / 3.0).unwrap();
        assert!(bytes.len() <= 60_000 && bytes.len() > 50_000, "{}", bytes.len());
        let mut reader = gif::DecodeOptions::new().read_info(&*bytes).unwrap();
        let mut delays = Vec::new();
        while let Some(frame) = reader.read_next_frame().unwrap() {
            delays.push(frame.delay);
        }
        // 2.4 hundredths each.
        assert_eq!(delays[..5], [2, 3, 2, 3, 2]);
    }

    #[test]
    fn pictures_of_changing_size_are_refused() {
        let mut gif = Gif::new(LIMITS);
        gif.push(&frame(4, 4, |_, _| [0; 3])).unwrap();
        let problem = gif.push(&frame(4, 5, |_, _| [0; 3])).unwrap_err().to_string();
        assert!(problem.contains("4×5 pixels and 60 bytes came where 4×4"), "{problem}");
        assert!(Gif::new(LIMITS).push(&Frame { width: 2, height: 2, rgb: vec![0; 3] }).is_err());
    }
}
