//! SIGINT and SIGTERM: the first asks for a checkpoint and an orderly end, the second ends the
//! process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// The signal received, if any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    received: Arc<AtomicUsize>,
}

impl Signals {
    /// Installs the handlers.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (signals, second) = (Self::default(), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the shutdown is armed by the first signal and fires at the second.
            signal_hook::flag::register_conditional_shutdown(signal, exit_code(signal).into(), Arc::clone(&second))?;
            signal_hook::flag::register(signal, Arc::clone(&second))?;
            signal_hook::flag::register_usize(signal, Arc::clone(&signals.received), signal as usize)?;
        }
        Ok(signals)
    }

    /// Treats the end of standard input as a SIGTERM. Its contents are ignored.
    ///
    /// # Errors
    /// If no thread can be started to read it.
    pub(crate) fn watch_stdin(&self) -> std::io::Result<()> {
        let received = Arc::clone(&self.received);
        let watch = move || {
            // A standard input that cannot be read has ended too.
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            // Not by a signal: one that came at the same time would count as the second.
            let _ = received.compare_exchange(0, SIGTERM as usize, Ordering::Relaxed, Ordering::Relaxed);
        };
        std::thread::Builder::new().name("stdin".to_owned()).spawn(watch).map(drop)
    }

    /// The exit code of the signal received, if any.
    pub(crate) fn pending(&self) -> Option<u8> {
        match self.received.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(exit_code(signal as i32)),
        }
    }
}

/// 128 + the signal's number, as shells report it.
fn exit_code(signal: i32) -> u8 {
    128 + signal as u8
}
