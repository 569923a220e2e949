//! Settings of an environment in Python besides its id and the options of its constructor.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::env::Options;

/// The process and the code of an environment in Python.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonConfig {
    /// True if the id names a class, `module:Class`, and not an environment that Gymnasium has
    /// registered.
    pub is_class: bool,
    /// Modules imported first, which register environments.
    pub import: Vec<String>,
    /// The folder in which the environment is made: Python looks for modules there first, and
    /// relative files begin there. `None`: the current one.
    pub folder: Option<PathBuf>,
    /// Further folders in which Python looks for modules, before its own.
    pub path: Vec<PathBuf>,
    /// Gymnasium wrappers, the innermost first.
    pub wrappers: Vec<PythonWrapper>,
    /// The interpreter: a path, or a name on the search path. Default: `python` of
    /// `$VIRTUAL_ENV`, else `python3`.
    pub interpreter: Option<PathBuf>,
    /// The longest time that the environment may take to be made, reset or stepped.
    pub time_limit: Duration,
    /// Numbers of `info` to keep.
    pub info: Vec<String>,
}

/// A wrapper of Gymnasium's API.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonWrapper {
    /// `module:Class`, or a class of `gymnasium.wrappers`.
    pub class: String,
    /// Arguments besides the environment.
    pub kwargs: Options,
}

/// The longest time for an answer, unless another is set.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(60);

impl Default for PythonConfig {
    fn default() -> Self {
        Self {
            is_class: false,
            import: Vec::new(),
            folder: None,
            path: Vec::new(),
            wrappers: Vec::new(),
            interpreter: None,
            time_limit: DEFAULT_TIME_LIMIT,
            info: Vec::new(),
        }
    }
}

impl PythonConfig {
    /// The interpreter to start.
    pub(super) fn interpreter(&self) -> PathBuf {
        if let Some(interpreter) = &self.interpreter {
            return interpreter.clone();
        }
        let active = std::env::var_os("VIRTUAL_ENV").map(|folder| Path::new(&folder).join("bin/python"));
        active.filter(|python| python.is_file()).unwrap_or_else(|| PathBuf::from("python3"))
    }
}

impl PythonWrapper {
    /// The class's own name.
    pub fn name(&self) -> &str {
        self.class.rsplit([':', '.']).next().unwrap_or(&self.class)
    }
}
