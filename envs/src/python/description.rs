//! A worker's description of its environment: spaces, versions and origin.

use std::collections::BTreeMap;

use serde_json::Value;

use super::config::PythonConfig;
use crate::space::BoxSpace;

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

/// All that a worker says about its environment.
pub(super) struct Description {
    pub(super) spec: PythonSpec,
    pub(super) max_episode_steps: Option<u32>,
    pub(super) observation_space: BoxSpace,
    pub(super) action_space: BoxSpace,
    /// True if the environment saves its own state.
    pub(super) saves_state: bool,
    /// True if it was made to draw pictures.
    pub(super) renders: bool,
}

impl Description {
    /// Reads a worker's JSON; `None` if it is not a description.
    pub(super) fn parse(payload: &[u8], config: &PythonConfig) -> Option<Self> {
        let all: Value = serde_json::from_slice(payload).ok()?;
        let text = |key: &str| all[key].as_str().map(str::to_owned);
        let libraries = all["libraries"].as_object()?.iter();
        let libraries = libraries.filter_map(|(name, version)| Some((name.clone(), version.as_str()?.to_owned())));
        let spec = PythonSpec {
            config: config.clone(),
            interpreter: text("interpreter")?,
            version: text("version")?,
            libraries: libraries.collect(),
            spec_json: text("spec"),
            entry_point: text("entry_point"),
            observation: all["parts"].as_array()?.iter().map(part).collect::<Option<_>>()?,
        };
        Some(Self {
            spec,
            max_episode_steps: all["max_episode_steps"].as_u64().and_then(|steps| u32::try_from(steps).ok()),
            observation_space: space(&all["observation"])?,
            action_space: space(&all["action"])?,
            saves_state: all["saves_state"].as_bool()?,
            renders: all["renders"].as_bool()?,
        })
    }
}

fn part(part: &Value) -> Option<ObservationPart> {
    let sizes = part["shape"].as_array()?.iter().map(|size| size.as_u64().map(|size| size as usize));
    Some(ObservationPart {
        name: part["name"].as_str()?.to_owned(),
        shape: sizes.collect::<Option<_>>()?,
        dtype: part["type"].as_str()?.to_owned(),
    })
}

/// Bounds as the worker writes them: null is unbounded.
fn space(bounds: &Value) -> Option<BoxSpace> {
    let side = |index: usize, unbounded: f64| {
        let values = bounds[index].as_array()?.iter();
        values.map(|x| if x.is_null() { Some(unbounded) } else { x.as_f64() }).collect::<Option<Vec<f64>>>()
    };
    Some(BoxSpace { low: side(0, f64::NEG_INFINITY)?, high: side(1, f64::INFINITY)? })
}
