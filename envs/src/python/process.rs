//! The worker process: its start, requests and replies within a time limit, and its end.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::log::Log;
use super::spawn::{readable, spawn};
use super::wire::{ERROR, MAGIC, Operation, PAYLOAD, WORD, request, word};

/// The worker's program.
const PROGRAM: &str = include_str!("worker.py");
/// Reads the program from the request pipe, so that lists of processes show one line of it.
const LOADER: &str = "import os,sys\n\
    n,s=int(sys.argv[2]),b''\n\
    while len(s)<n: s+=os.read(0,n-len(s)) or os._exit(0)\n\
    __file__='<liprl worker>'\n\
    exec(compile(s,__file__,'exec'))";
/// The most bytes that an interpreter may print before the worker's program begins.
const MOST_CHATTER: usize = 1 << 16;
/// Time that a worker has to close its environment.
const CLOSING: Duration = Duration::from_secs(3);
/// Time beyond the limit that a worker has after both were suspended and go on.
const GRACE: Duration = Duration::from_secs(1);
/// Time that a worker has to write the place where it hangs.
const DUMPING: Duration = Duration::from_millis(300);
/// Lines of the log that a message may show.
const SHOWN: usize = 12;

/// A reply that did not come, with the last lines that the worker printed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) printed: Vec<String>,
}

/// The reason why no reply came.
#[derive(Debug)]
pub(super) enum FaultKind {
    /// The interpreter could not be started.
    NotStarted(io::Error),
    /// The environment or the worker's program raised an exception: its JSON.
    Raised(Vec<u8>),
    /// The process ended.
    Ended(ExitStatus),
    /// The time limit passed.
    Late(Duration),
    /// The bytes are not a worker's.
    Garbled,
    /// The worker has ended after an earlier fault.
    Gone,
}

/// A running worker. After a fault it has ended.
pub(super) struct Worker {
    child: Child,
    /// `None` once the worker was told to end.
    requests: Option<ChildStdin>,
    replies: ChildStdout,
    limit: Duration,
    log: Log,
}

impl Worker {
    /// Starts the interpreter in a folder, has it make the environment of `order`, and returns the
    /// payload of its first reply too.
    pub(super) fn start(
        interpreter: &Path,
        folder: Option<&Path>,
        order: &[u8],
        limit: Duration,
    ) -> Result<(Self, Vec<u8>), Fault> {
        let not_started = |error| Fault { kind: FaultKind::NotStarted(error), printed: Vec::new() };
        let mut worker = Self::launch(interpreter, folder, limit).map_err(not_started)?;
        let mut first = PROGRAM.as_bytes().to_vec();
        first.extend((order.len() as u64).to_ne_bytes());
        first.extend(order);
        worker.send(&first)?;
        worker.skip_chatter()?;
        let payload = worker.payload()?;
        Ok((worker, payload))
    }

    fn launch(interpreter: &Path, folder: Option<&Path>, limit: Duration) -> io::Result<Self> {
        let log = Log::nameless()?;
        let mut command = Command::new(interpreter);
        command.args(["-c", LOADER, "liprl-worker", &PROGRAM.len().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log.handle()?);
        // A group of its own, so that Ctrl-C does not reach it before it can ignore it.
        command.process_group(0);
        if let Some(folder) = folder.filter(|folder| folder.is_dir()) {
            command.current_dir(folder);
        }
        let mut child = spawn(command)?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(requests), Some(replies)) => Ok(Self { child, requests: Some(requests), replies, limit, log }),
            _ => Err(io::Error::other("it has no pipes")),
        }
    }

    /// Sends a frame.
    pub(super) fn send(&mut self, frame: &[u8]) -> Result<(), Fault> {
        let Some(requests) = &mut self.requests else { return Err(self.fault(FaultKind::Gone)) };
        match requests.write_all(frame) {
            Ok(()) => Ok(()),
            // A closed pipe: the worker has ended.
            Err(_) => Err(self.ended()),
        }
    }

    /// Waits for a reply of fixed size.
    pub(super) fn row(&mut self, into: &mut [u8]) -> Result<(), Fault> {
        let mut filled = self.read_some(into)?;
        while filled < WORD {
            filled += self.read_some(&mut into[filled..])?;
        }
        if word(into, 0) == ERROR {
            return Err(self.raised(into[..filled].to_vec()));
        }
        while filled < into.len() {
            filled += self.read_some(&mut into[filled..])?;
        }
        Ok(())
    }

    /// Makes a request that is answered by a payload.
    pub(super) fn ask(&mut self, operation: Operation, payload: &[u8]) -> Result<Vec<u8>, Fault> {
        self.send(&request(operation, payload))?;
        self.payload()
    }

    /// Goes to a run folder, and prints to its log from there on.
    pub(super) fn work_in(&mut self, folder: &Path) -> Result<(), Fault> {
        // Without a log the worker still goes there.
        let moved = self.log.move_to(folder);
        self.ask(Operation::WorkIn, folder.as_os_str().as_encoded_bytes())?;
        if let Err(error) = moved {
            self.log.note(format!("{}: {error}\n", folder.display()).as_bytes());
        }
        Ok(())
    }

    /// All that the worker printed.
    pub(super) fn printed(&self) -> String {
        self.log.text()
    }

    /// The place of the log, if it has one.
    pub(super) fn log_file(&self) -> Option<&Path> {
        self.log.path()
    }

    fn payload(&mut self) -> Result<Vec<u8>, Fault> {
        let mut head = [0; 2 * WORD];
        self.fill(&mut head)?;
        let length = usize::try_from(word(&head, 1)).unwrap_or(usize::MAX);
        match word(&head, 0) {
            PAYLOAD => {
                let mut payload = vec![0; length];
                self.fill(&mut payload)?;
                Ok(payload)
            }
            ERROR => Err(self.raised(head.to_vec())),
            _ => Err(self.fault(FaultKind::Garbled)),
        }
    }

    /// Reads the rest of an error that begins with these bytes, and ends the worker.
    fn raised(&mut self, mut bytes: Vec<u8>) -> Fault {
        let begun = bytes.len();
        if begun < 2 * WORD {
            bytes.resize(2 * WORD, 0);
            if let Err(fault) = self.fill(&mut bytes[begun..]) {
                return fault;
            }
        }
        let (length, begun) = (usize::try_from(word(&bytes, 1)).unwrap_or_default(), bytes.len());
        bytes.resize((2 * WORD).saturating_add(length), 0);
        if begun < bytes.len()
            && let Err(fault) = self.fill(&mut bytes[begun..])
        {
            return fault;
        }
        self.end();
        self.fault(FaultKind::Raised(bytes.split_off(2 * WORD)))
    }

    /// Passes over what the interpreter's start-up prints, up to the worker's first word.
    fn skip_chatter(&mut self) -> Result<(), Fault> {
        let mut seen = Vec::new();
        while !seen.ends_with(MAGIC) {
            let mut byte = [0];
            self.fill(&mut byte)?;
            seen.push(byte[0]);
            if seen.len() > MOST_CHATTER {
                self.end();
                return Err(self.fault(FaultKind::Garbled));
            }
        }
        seen.truncate(seen.len() - MAGIC.len());
        self.log.note(&seen);
        Ok(())
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), Fault> {
        let mut filled = 0;
        while filled < into.len() {
            filled += self.read_some(&mut into[filled..])?;
        }
        Ok(())
    }

    /// Waits for bytes within the time limit, and reads at least one.
    fn read_some(&mut self, into: &mut [u8]) -> Result<usize, Fault> {
        if self.requests.is_none() {
            return Err(self.fault(FaultKind::Gone));
        }
        match readable(&self.replies, self.limit) {
            Ok(true) => {}
            // Both processes may have been suspended for longer.
            Ok(false) if matches!(readable(&self.replies, GRACE), Ok(true)) => {}
            Ok(false) => return Err(self.late()),
            Err(error) => return Err(self.fault(FaultKind::NotStarted(error))),
        }
        loop {
            match self.replies.read(into) {
                Ok(0) => return Err(self.ended()),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fault(FaultKind::NotStarted(error))),
            }
        }
    }

    /// Has the worker write the place where it hangs, and ends it.
    fn late(&mut self) -> Fault {
        // A child of the worker's can hold its pipe open.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return self.ended();
        }
        if kill_process(Pid::from_child(&self.child), Signal::USR1).is_ok() {
            thread::sleep(DUMPING);
        }
        let _ = self.child.kill();
        self.end();
        self.fault(FaultKind::Late(self.limit))
    }

    /// The fault of a worker whose pipe has closed.
    fn ended(&mut self) -> Fault {
        self.requests = None;
        match self.reap(CLOSING) {
            Ok(status) => self.fault(FaultKind::Ended(status)),
            Err(error) => self.fault(FaultKind::NotStarted(error)),
        }
    }

    /// Waits for the end of the process, and ends it if the time passes first.
    fn reap(&mut self, time: Duration) -> io::Result<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                self.child.kill()?;
                return self.child.wait();
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn fault(&self, kind: FaultKind) -> Fault {
        Fault { kind, printed: self.log.tail(SHOWN) }
    }

    /// Lets the worker close its environment, or kills it. Does nothing if it has ended.
    pub(super) fn end(&mut self) {
        self.requests = None;
        // The end of its pipe is its own end. What it still writes is not read.
        let (mut rest, mut closed) = ([0; 4096], false);
        while !closed && readable(&self.replies, CLOSING).is_ok_and(|ready| ready) {
            closed = self.replies.read(&mut rest).map_or(true, |count| count == 0);
        }
        let _ = self.reap(if closed { CLOSING } else { Duration::ZERO });
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}
