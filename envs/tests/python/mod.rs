//! The Python side of the tests: `parity.py` as a child process, asked line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running `parity.py`.
pub(crate) struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Python {
    /// Starts it in the virtual environment that setup made, or in LIPRL_PYTHON.
    pub(crate) fn start() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python =
            std::env::var_os("LIPRL_PYTHON").map_or_else(|| here.join("../.deps/venv/bin/python"), PathBuf::from);
        assert!(python.is_file(), "no {}: run `cargo xtask setup --test`", python.display());
        let mut child = Command::new(python)
            .arg(here.join("tests/parity.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { input: child.stdin.take(), output, child }
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.input.as_mut().unwrap(), "{request}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "parity.py failed on {} (its message is above)", request["id"]);
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.input.take();
        let _ = self.child.wait();
    }
}
