//! A worker's description of its environment: spaces, versions and origin.

use serde_json::Value;

use crate::python_spec::{ObservationPart, PythonConfig, PythonSpec};
use crate::space::BoxSpace;

/// The rate of a task whose metadata have none.
const UNKNOWN_FPS: f64 = 30.0;

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
    /// Steps a second of a film in real time.
    pub(super) render_fps: f64,
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
            render_fps: all["render_fps"].as_f64().filter(|fps| *fps > 0.0).unwrap_or(UNKNOWN_FPS),
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
