//! MP4 by a child process: pictures go into `ffmpeg`'s standard input as they are.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;

use liprl_envs::Frame;

use super::VideoError;
use super::gif::check_size;

/// The program that IMAGEIO_FFMPEG_EXE names, or the first `ffmpeg` on the PATH.
pub(super) fn find_ffmpeg() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("IMAGEIO_FFMPEG_EXE") {
        return Some(named.into());
    }
    let places = std::env::var_os("PATH")?;
    std::env::split_paths(&places).map(|place| place.join("ffmpeg")).find(|program| program.is_file())
}

/// An MP4 under construction.
pub(super) struct Mp4 {
    ffmpeg: PathBuf,
    path: PathBuf,
    /// Pictures a second.
    rate: f64,
    frames: usize,
    /// The process, from the first picture on.
    running: Option<Running>,
}

struct Running {
    child: Child,
    input: Option<ChildStdin>,
    words: Option<JoinHandle<String>>,
    size: (u32, u32),
}

impl Mp4 {
    pub(super) fn new(ffmpeg: &Path, path: &Path, rate: f64) -> Self {
        Self { ffmpeg: ffmpeg.to_owned(), path: path.to_owned(), rate, frames: 0, running: None }
    }

    /// Appends a picture.
    pub(super) fn push(&mut self, frame: &Frame) -> Result<(), VideoError> {
        let running = match &mut self.running {
            Some(running) => running,
            None => {
                let size = (frame.width, frame.height);
                check_size(size, frame)?;
                self.running.insert(Running::start(&self.ffmpeg, &self.path, self.rate, size)?)
            }
        };
        check_size(running.size, frame)?;
        self.frames += 1;
        let written = running.input.as_mut().map_or(Ok(()), |input| input.write_all(&frame.rgb));
        // A process that has ended tells why.
        if written.is_err() { running.end() } else { Ok(()) }
    }

    /// Ends the file. Returns its size and number of pictures.
    pub(super) fn finish(mut self) -> Result<((u32, u32), usize), VideoError> {
        let Some(running) = &mut self.running else { return Err(VideoError::Encoder("it has no pictures".to_owned())) };
        running.end()?;
        Ok((running.size, self.frames))
    }
}

impl Running {
    fn start(ffmpeg: &Path, path: &Path, rate: f64, (width, height): (u32, u32)) -> Result<Self, VideoError> {
        let mut target = std::ffi::OsString::from("file:");
        target.push(path);
        let mut child = Command::new(ffmpeg)
            .args(["-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"])
            .args(["-video_size", &format!("{width}x{height}"), "-framerate", &format!("{rate:.6}"), "-i", "pipe:0"])
            // Players want 4:2:0, which needs even sides, and the index in front.
            .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-movflags", "+faststart"])
            // One thread leaves the machine to others, and gives the same file on every machine.
            .args(["-threads", "1", "-f", "mp4"])
            .arg(target)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| VideoError::Encoder(format!("{} cannot be started: {error}", ffmpeg.display())))?;
        let input = child.stdin.take();
        let words = child.stderr.take().map(|mut errors| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                // The first words tell the cause. The rest is read so that the process does not wait.
                let _ = errors.by_ref().take(600).read_to_end(&mut text);
                let _ = std::io::copy(&mut errors, &mut std::io::sink());
                String::from_utf8_lossy(&text).trim().to_owned()
            })
        });
        Ok(Self { child, input, words, size: (width, height) })
    }

    /// Closes the input and waits for the process to end its file.
    fn end(&mut self) -> Result<(), VideoError> {
        self.input = None;
        let status = self.child.wait()?;
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        if status.success() { Ok(()) } else { Err(VideoError::Encoder(format!("ffmpeg: {status}: {words}"))) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A process that has ended already is left as it is.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
