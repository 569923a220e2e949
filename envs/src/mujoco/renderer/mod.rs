//! Pictures of MuJoCo tasks, drawn by a child process ([`worker`]): an error of OpenGL ends that
//! process alone.

mod messages;
mod worker;

use std::ffi::OsString;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::env::Frame;
use crate::mujoco::camera::Camera;
use messages::{SIZE, Setup, read_answer, receive, send, to_bytes};

pub use worker::serve_render_worker;

/// Time for one picture; the first has to load drivers, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of the process's last words that an error repeats.
const WORDS: usize = 600;

/// The program to start, and its arguments.
static PROGRAM: RwLock<Option<(PathBuf, Vec<OsString>)>> = RwLock::new(None);

/// Chooses the program that draws MuJoCo tasks: it is started with these arguments and has to call
/// [`serve_render_worker`] on its standard input and output. `liprl::main` names itself.
pub fn set_render_worker(program: impl Into<PathBuf>, arguments: &[&str]) {
    let arguments = arguments.iter().map(OsString::from).collect();
    *PROGRAM.write().unwrap_or_else(PoisonError::into_inner) = Some((program.into(), arguments));
}

/// A running process that draws one model.
pub(super) struct Renderer {
    child: Child,
    /// Its standard input; `None` once it has been ended.
    input: Option<ChildStdin>,
    answers: Receiver<Vec<u8>>,
    /// Reader of the process's standard error.
    words: Option<JoinHandle<String>>,
}

impl Renderer {
    /// Starts the process for a model in MuJoCo's binary form.
    pub(super) fn start(camera: Camera, model: &[u8]) -> Result<Self, String> {
        let program = PROGRAM.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (program, arguments) = program.ok_or(
            "no program is named that draws MuJoCo tasks; `liprl::main` names itself, \
             other programs call `liprl_envs::set_render_worker`",
        )?;
        let mut command = Command::new(&program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Mesa's software renderer would take every core.
        if std::env::var_os("LP_NUM_THREADS").is_none() {
            command.env("LP_NUM_THREADS", "1");
        }
        // Ctrl-C is for the program, which ends this process by closing its input.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let cannot = |problem: &dyn std::fmt::Display| format!("{} cannot be started: {problem}", program.display());
        let mut child = command.spawn().map_err(|error| cannot(&error))?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(cannot(&"it has no pipes"));
        };
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Ok(Some(answer)) = receive(&mut output)
                && sender.send(answer).is_ok()
            {}
        });
        let words = Some(std::thread::spawn(move || last_words(errors)));
        let mut renderer = Self { child, input: Some(input), answers, words };
        renderer.ask(&Setup { camera, model }.encode())?;
        Ok(renderer)
    }

    /// Draws a state.
    pub(super) fn picture(&mut self, state: &[f64]) -> Result<Frame, String> {
        let ([width, height], rgb) = (SIZE, self.ask(&to_bytes(state))?);
        if rgb.len() != (3 * width * height) as usize {
            return Err(format!("the renderer sent {} bytes for {width}×{height} pixels", rgb.len()));
        }
        Ok(Frame { width, height, rgb })
    }

    fn ask(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        // A process that is gone is reported by its missing answer.
        let _ = self.input.as_mut().map(|input| send(input, &[message]));
        match self.answers.recv_timeout(PATIENCE) {
            Ok(answer) => read_answer(answer),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("the renderer did not answer for {} s: {}", PATIENCE.as_secs(), self.end()))
            }
            Err(RecvTimeoutError::Disconnected) => Err(format!(
                "the renderer ended by itself: {}; MuJoCo does so when OpenGL fails, so look at the graphics drivers \
                 (apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri)",
                self.end()
            )),
        }
    }

    /// Ends the process; returns its status and last words.
    fn end(&mut self) -> String {
        // Closed first, for processes that a script may have started: they read it, and hold the last
        // words open.
        self.input = None;
        // One that has ended of itself keeps its status.
        let _ = self.child.kill();
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        if words.is_empty() { status } else { format!("{status}: {words}") }
    }
}

impl Drop for Renderer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads to the end and returns the last lines in one.
fn last_words(mut errors: impl Read) -> String {
    let mut kept = Vec::new();
    let mut block = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut block) {
        kept.extend_from_slice(&block[..count]);
        let excess = kept.len().saturating_sub(WORDS);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
