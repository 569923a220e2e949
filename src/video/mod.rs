//! Films of greedy episodes: MP4 by an `ffmpeg` of this machine, GIF by ourselves.
//!
//! | file | content |
//! | --- | --- |
//! | `film` | pictures of an episode, in real time |
//! | `gif` | GIF within a budget of bytes |
//! | `mp4` | MP4 by `ffmpeg` |

mod film;
mod gif;
mod mp4;

use std::path::{Path, PathBuf};

use liprl_envs::EnvError;
use liprl_logbook::{check_output, write_output_by};

use crate::task::TaskError;
use crate::usage::Usage;

pub use film::{Clip, Film};
pub use gif::GifLimits;

/// The size of a GIF file.
const GIF_FILE: GifLimits = GifLimits { bytes: 4_000_000, side: 320, fps: 25 };

/// A film that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// A picture cannot be drawn.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The episode failed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The file cannot be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The pictures cannot be encoded.
    #[error("the video cannot be encoded: {0}")]
    Encoder(String),
    /// There is no program for MP4.
    #[error(
        "MP4 is made by the program `ffmpeg`, which is not on the PATH: install it (apt-get install ffmpeg), \
         or let IMAGEIO_FFMPEG_EXE name one (such as that of `pip install imageio-ffmpeg`), or write a .gif"
    )]
    NoFfmpeg,
}

/// A video file to be written.
#[derive(Clone, Debug)]
pub struct VideoFile {
    path: PathBuf,
    /// The program for MP4; `None` for a GIF.
    ffmpeg: Option<PathBuf>,
}

impl VideoFile {
    /// Checks, before any work, that a video can be written to this path.
    ///
    /// # Errors
    /// A usage error for a name that ends neither in .mp4 nor in .gif; [`VideoError`] if the file
    /// cannot be written, or without an `ffmpeg` for .mp4.
    pub fn check(path: &Path) -> anyhow::Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let mp4 = match ending.as_deref() {
            Some("mp4") => true,
            Some("gif") => false,
            _ => return Err(Usage(format!("{}: the name of a video ends in .mp4 or .gif", path.display())).into()),
        };
        check_output(path)?;
        let ffmpeg = if mp4 { Some(mp4::find_ffmpeg().ok_or(VideoError::NoFfmpeg)?) } else { None };
        Ok(Self { path: path.to_owned(), ffmpeg })
    }

    /// Has `work` film an episode of an environment with so many steps a second, and writes the
    /// file once that is done. Nothing is left of a film that fails.
    ///
    /// # Errors
    /// Those of `work`, and [`VideoError`].
    pub fn film<T>(&self, fps: f64, work: impl FnOnce(&mut Film) -> anyhow::Result<T>) -> anyhow::Result<(T, Clip)> {
        let mut result = None;
        write_output_by(&self.path, |beside| -> anyhow::Result<()> {
            let mut film = match &self.ffmpeg {
                Some(ffmpeg) => Film::mp4(fps, ffmpeg, beside),
                None => Film::gif(fps, GIF_FILE),
            };
            let done = work(&mut film)?;
            let (clip, gif) = film.finish()?;
            if self.ffmpeg.is_none() {
                fs_err::write(beside, gif)?;
            }
            result = Some((done, clip));
            Ok(())
        })?;
        result.ok_or_else(|| VideoError::Encoder("it was not finished".to_owned()).into())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line that tells a user about it.
    pub fn tell(&self, clip: &Clip) -> String {
        format!("{}: {clip}", self.path.display())
    }
}
