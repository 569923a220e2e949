//! Identity of an environment in Python: its settings besides its id and the options of its
//! constructor, and its origin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

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
    pub kwargs: BTreeMap<String, Value>,
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
    pub(crate) fn interpreter(&self) -> PathBuf {
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

/// Origin of an environment in Python.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonSpec {
    /// The settings that it was made with.
    pub config: PythonConfig,
    /// The interpreter, as it names itself.
    pub interpreter: String,
    /// `sys.version`.
    pub version: String,
    /// Name → version of Python, gymnasium, numpy, MuJoCo and the modules imported.
    pub libraries: BTreeMap<String, String>,
    /// Gymnasium's own description, `env.spec.to_json()`; `None` if it has none in JSON.
    pub spec_json: Option<String>,
    /// `module:Class` of the environment; `None` if Gymnasium does not say.
    pub entry_point: Option<String>,
    /// The parts of an observation in their order.
    pub observation: Vec<ObservationPart>,
}

/// One Box of an observation.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservationPart {
    /// Its keys and indices, joined by dots; empty if the space is a single Box.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// NumPy's name of its type.
    pub dtype: String,
}

impl ObservationPart {
    /// Numbers in it.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True if there are no numbers in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PythonSpec {
    /// The part that a coordinate of the observation belongs to, and the coordinate's index in it.
    pub fn part_at(&self, index: usize) -> Option<(&ObservationPart, usize)> {
        let mut before = 0;
        self.observation.iter().find_map(|part| {
            let found = (index - before < part.len()).then_some((part, index - before));
            before += part.len();
            found
        })
    }

    /// The origin as JSON, for a run folder, which has the libraries apart.
    pub fn to_json(&self) -> Value {
        let parts = self.observation.iter();
        let parts = parts.map(|part| serde_json::json!({"name": part.name, "shape": part.shape, "dtype": part.dtype}));
        let spec = self.spec_json.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        serde_json::json!({
            "interpreter": self.interpreter,
            "version": self.version,
            "entry_point": self.entry_point,
            "observation": parts.collect::<Vec<_>>(),
            "spec": spec,
        })
    }
}
