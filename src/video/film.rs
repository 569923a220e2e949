//! A film of one episode: every k-th step, so that it plays in real time.

use std::fmt;
use std::path::Path;

use super::VideoError;
use super::gif::{Gif, GifLimits, Room};
use super::mp4::Mp4;
use crate::task::Task;

/// Most pictures a second of an MP4.
const FASTEST_MP4: f64 = 50.0;
/// Fewest pictures a second of a GIF that runs out of room.
const SLOWEST_GIF: f64 = 10.0;

/// A film under construction.
pub struct Film {
    encoder: Encoder,
    /// Steps a second.
    fps: f64,
    /// Steps from one picture to the next.
    stride: u64,
    steps: u64,
    full: bool,
}

enum Encoder {
    Gif(Gif),
    Mp4(Mp4),
}

/// A finished film.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// Pictures across and down.
    pub size: (u32, u32),
    /// Pictures.
    pub frames: usize,
    /// Pictures a second.
    pub fps: f64,
    /// Seconds of the episode, of which a GIF that ran out of room shows the first.
    pub episode_s: f64,
}

impl Film {
    /// A GIF of an environment with `fps` steps a second.
    pub fn gif(fps: f64, limits: GifLimits) -> Self {
        Self::new(fps, limits.fps.into(), |_| Encoder::Gif(Gif::new(limits)))
    }

    /// An MP4 that `ffmpeg` writes to this path.
    pub fn mp4(fps: f64, ffmpeg: &Path, path: &Path) -> Self {
        Self::new(fps, FASTEST_MP4, |rate| Encoder::Mp4(Mp4::new(ffmpeg, path, rate)))
    }

    fn new(fps: f64, fastest: f64, encoder: impl FnOnce(f64) -> Encoder) -> Self {
        let fps = if fps.is_finite() && fps > 0.0 { fps } else { fastest };
        // A rate that is above the limit by rounding alone is within it.
        let stride = (fps / fastest - 1e-9).ceil().max(1.0);
        Self { encoder: encoder(fps / stride), fps, stride: stride as u64, steps: 0, full: false }
    }

    /// Looks at the task after a reset or a step, and takes a picture if one is due.
    pub fn watch(&mut self, task: &mut Task) -> Result<(), VideoError> {
        let due = self.steps.is_multiple_of(self.stride) && !self.full;
        self.steps += 1;
        if !due {
            return Ok(());
        }
        let (frame, rate) = (task.render()?, self.rate());
        match &mut self.encoder {
            Encoder::Mp4(mp4) => mp4.push(&frame)?,
            Encoder::Gif(gif) => match gif.push(&frame)? {
                Room::Left => {}
                Room::None if rate / 2.0 >= SLOWEST_GIF => {
                    gif.halve();
                    self.stride *= 2;
                }
                Room::None => {
                    gif.drop_last();
                    self.full = true;
                }
            },
        }
        Ok(())
    }

    fn rate(&self) -> f64 {
        self.fps / self.stride as f64
    }

    /// Ends the film. Returns the bytes of a GIF; an MP4 is in its file.
    pub fn finish(self) -> Result<(Clip, Vec<u8>), VideoError> {
        let rate = self.rate();
        let (size, frames, bytes) = match self.encoder {
            Encoder::Gif(gif) => (gif.size(), gif.len(), gif.finish(rate)?),
            Encoder::Mp4(mp4) => {
                let (size, frames) = mp4.finish()?;
                (size, frames, Vec::new())
            }
        };
        Ok((Clip { size, frames, fps: rate, episode_s: self.steps as f64 / self.fps }, bytes))
    }
}

impl Clip {
    /// Seconds that it plays.
    pub fn seconds(&self) -> f64 {
        self.frames as f64 / self.fps
    }
}

impl fmt::Display for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((width, height), seconds, whole) = (self.size, self.seconds(), self.episode_s);
        write!(f, "{width}×{height}, {} pictures, {seconds:.1} s", self.frames)?;
        // The last picture may stand longer than the steps after it.
        if seconds + 1.0 / self.fps < whole { write!(f, ", the first of {whole:.1} s") } else { Ok(()) }
    }
}
