//! Signals that end a job: the first asks for a checkpoint and an orderly end.
//!
//! | signal | sender |
//! | --- | --- |
//! | SIGINT | Ctrl-C |
//! | SIGTERM | `kill`, `timeout`, Slurm before a job's time limit |
//! | SIGHUP | a closed terminal or connection; ignored under `nohup` |
//! | SIGUSR1, SIGUSR2 | Slurm's `--signal`, submitit |
//! | SIGXCPU | a limit on processor time |
//!
//! Further signals change nothing, so that a hasty sender does not spoil the checkpoint. Only the
//! third Ctrl-C ends the process at once. A write beyond the limit on file sizes (SIGXFSZ) is an
//! error of that write.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};

/// Signals that ask for a checkpoint.
const STOPS: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU];
/// Number of the Ctrl-C that ends the process at once.
const LAST_INTERRUPT: u32 = 3;

/// The signal received, if any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    received: Arc<AtomicUsize>,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// If the system refuses them, or the thread that waits for signals.
    pub(crate) fn listen() -> io::Result<Self> {
        let signals = Self::default();
        // With any handler the write returns an error.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let wanted = STOPS.into_iter().filter(|&signal| signal != SIGHUP || !is_ignored(SIGHUP));
        let mut incoming = signal_hook::iterator::Signals::new(wanted)?;
        let received = signals.clone();
        let wait = move || {
            let mut interrupts = 0;
            for signal in incoming.forever() {
                received.receive(signal);
                interrupts += u32::from(signal == SIGINT);
                if interrupts == LAST_INTERRUPT {
                    signal_hook::low_level::exit(exit_code(SIGINT).into());
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(signals)
    }

    /// Treats the end of standard input as a SIGTERM. Its contents are ignored.
    ///
    /// # Errors
    /// If no thread can be started to read it.
    pub(crate) fn watch_stdin(&self) -> io::Result<()> {
        let received = self.clone();
        let watch = move || {
            // A standard input that cannot be read has ended too.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            received.receive(SIGTERM);
        };
        std::thread::Builder::new().name("stdin".to_owned()).spawn(watch).map(drop)
    }

    /// The exit code of the first signal received, if any.
    pub(crate) fn pending(&self) -> Option<u8> {
        match self.received.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(exit_code(signal as i32)),
        }
    }

    fn receive(&self, signal: i32) {
        let _ = self.received.compare_exchange(0, signal as usize, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// True for the exit code of a run that a signal stopped, after a checkpoint.
pub(crate) fn is_stop(code: i32) -> bool {
    STOPS.iter().any(|&signal| i32::from(exit_code(signal)) == code)
}

/// True if the process was started with the signal ignored, as far as the system tells.
fn is_ignored(signal: i32) -> bool {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

/// 128 + the signal's number, as shells report it.
fn exit_code(signal: i32) -> u8 {
    128 + signal as u8
}
