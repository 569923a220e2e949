//! Faults of workers as errors: what happened, where, and what to do.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use serde_json::Value;

use super::process::{Fault, FaultKind};
use crate::error::EnvError;

/// The place of a fault.
pub(super) struct Place<'a> {
    /// The environment.
    pub(super) id: &'a str,
    /// The interpreter.
    pub(super) interpreter: &'a Path,
    /// The work at that time, such as `after 3 steps of the episode of seed 7`.
    pub(super) doing: String,
    /// The log, if it has a name.
    pub(super) log: Option<&'a Path>,
}

/// The error of a fault.
pub(super) fn explain(fault: Fault, place: &Place<'_>) -> EnvError {
    let Place { id, interpreter, doing, log } = place;
    let (python, printed) = (interpreter.display(), shown(&fault.printed));
    let log = log.map(|log| format!(" Its output is in {}.", log.display())).unwrap_or_default();
    let (setting, problem) = match fault.kind {
        FaultKind::Raised(json) => return raised(&json, place, &log),
        FaultKind::NotStarted(error) => (
            Some("interpreter"),
            format!(
                "`{python}` cannot be started: {error}. Name a Python with gymnasium by `interpreter:`, or activate its \
                 virtual environment"
            ),
        ),
        FaultKind::Ended(status) => (
            None,
            format!(
                "its Python process {} {doing}.{log}{printed}\n\
                 Run the same episode in Python alone to find the cause; `python -X faulthandler` shows where native \
                 code crashes",
                words(status)
            ),
        ),
        FaultKind::Late(limit) => (
            Some("time_limit"),
            format!(
                "no answer from Python within {} s {doing}; the process was ended.{log}{printed}\n\
                 If it needs longer, set `time_limit:` (seconds)",
                limit.as_secs_f64()
            ),
        ),
        FaultKind::Garbled => (
            Some("interpreter"),
            format!("`{python}` does not answer as a Python with liprl's worker does.{log}{printed}"),
        ),
        FaultKind::Gone => (None, format!("its Python process has ended {doing}; make the environment again")),
    };
    EnvError::Python { id: (*id).to_owned(), setting, problem }
}

/// The error of an exception in Python.
fn raised(json: &[u8], place: &Place<'_>, log: &str) -> EnvError {
    let all: Value = serde_json::from_slice(json).unwrap_or_default();
    let text = |key: &str| all[key].as_str().unwrap_or_default();
    let (last, at) = (text("last"), text("place"));
    let settings = ["interpreter", "import", "entry", "python", "wrappers"];
    let setting = settings.into_iter().find(|name| *name == text("setting"));
    let python = place.interpreter.display();
    let at = if at.is_empty() { String::new() } else { format!(", raised at {at}") };
    let problem = match (setting, text("kind")) {
        (Some("interpreter"), "ModuleNotFoundError" | "ImportError") => {
            let missing = if text("missing") == "numpy" { "numpy" } else { "gymnasium" };
            format!(
                "`{python}` has no {missing} ({last}). Install it (`{python} -m pip install {missing}`), name another \
                 Python by `interpreter:`, or activate its virtual environment"
            )
        }
        (Some("import"), _) => format!(
            "{last}{at}. `import:` names modules of `{python}` that register environments; `path:` adds folders in which \
             they are looked for"
        ),
        (Some("python"), "NameNotFound" | "NamespaceNotFound" | "VersionNotFound" | "UnregisteredEnv") => format!(
            "{last} Gymnasium in `{python}` does not know the id; if a package registers it, name its module: \
             `import: [module]`"
        ),
        (_, "Refused") if setting.is_none() => format!("{last} ({})", place.doing),
        (_, "Refused") => last.to_owned(),
        (Some(_), _) => format!("{last}{at}"),
        (None, _) => format!("{last}{at}, {}.{log} Mend the environment's code", place.doing),
    };
    EnvError::Python { id: place.id.to_owned(), setting, problem }
}

/// The last lines that were printed, for a message.
fn shown(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    format!("\nThe last that it printed:\n  {}", lines.join("\n  "))
}

/// Words for the end of a process.
fn words(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) => "was killed (signal 9), perhaps because memory ran out".to_owned(),
        (Some(11), _) => "crashed in native code (signal 11, SIGSEGV)".to_owned(),
        (Some(6), _) => "was aborted by native code (signal 6, SIGABRT)".to_owned(),
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, code) => format!("ended by itself with exit code {}", code.unwrap_or_default()),
    }
}
