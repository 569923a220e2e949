//! Child processes: their start, and the wait for their pipes.

use std::io;
use std::process::{Child, ChildStdout, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Waits until the pipe can be read or has closed; false if the time passes first.
pub(super) fn readable(pipe: &ChildStdout, limit: Duration) -> io::Result<bool> {
    let time = Timespec::try_from(limit).ok();
    loop {
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], time.as_ref()) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

type Job = (Command, Sender<io::Result<Child>>);

/// Starts a process from a thread that lives as long as the program: a worker is told to end with its
/// parent, which for the kernel is the thread that started it.
pub(super) fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Option<Sender<Job>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, inbox) = channel::<Job>();
        let serve = move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(command.spawn());
            }
        };
        thread::Builder::new().name("python-workers".to_owned()).spawn(serve).ok().map(|_| jobs)
    });
    let gone = || io::Error::other("the thread that starts workers cannot be started");
    let (answer, reply) = channel();
    spawner.as_ref().ok_or_else(gone)?.send((command, answer)).map_err(|_| gone())?;
    reply.recv().map_err(|_| gone())?
}
