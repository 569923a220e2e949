//! A process with a limit on its time and its memory.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Seconds that no command on a small or damaged input may take.
const SECONDS: u64 = 20;
/// Memory in kB that none may use.
const MEMORY_KB: u64 = 2 << 20;

/// The end of a process that kept the limits.
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

/// Runs a command to its end. An error says which limit it broke, or that it panicked.
pub(crate) fn run(mut command: Command) -> Result<End, String> {
    let told = format!("{command:?}");
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut pipe = child.stderr.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks ends the text.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let outcome = watch(&mut child);
    let stderr = reader.join().expect("the reader ends");
    let code = outcome.map_err(|problem| format!("{told}: {problem}\n{stderr}"))?;
    match ["internal error", "panicked at"].iter().find(|sign| stderr.contains(**sign)) {
        Some(sign) => Err(format!("{told}: {sign}\n{stderr}")),
        None => Ok(End { code, stderr }),
    }
}

/// Waits for the end; kills what breaks a limit.
fn watch(child: &mut Child) -> Result<Option<i32>, String> {
    let started = Instant::now();
    // The limit is on the process's own work: a busy machine only stretches it.
    while started.elapsed() < Duration::from_secs(6 * SECONDS) {
        if let Some(status) = child.try_wait().expect("it can be asked") {
            return Ok(status.code());
        }
        let (memory, seconds) = usage(child.id()).unwrap_or((0, 0.0));
        if memory > MEMORY_KB || seconds > SECONDS as f64 {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{memory} kB and {seconds:.1} s of work, beyond {MEMORY_KB} kB or {SECONDS} s"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    let _ = child.wait();
    Err("it hangs".to_owned())
}

/// Largest resident memory in kB and seconds of processor time of a process; `None` once it is gone.
fn usage(pid: u32) -> Option<(u64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; 11 fields lie between it and the times.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some((memory.unwrap_or(0), ticks as f64 / 100.0))
}
