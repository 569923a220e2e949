//! An environment in Python in a config: `env: {python: ID, …}` or `env: {entry: "module:Class", …}`.

use std::path::PathBuf;
use std::time::Duration;

use liprl_envs::Options;
use liprl_envs::python::{DEFAULT_TIME_LIMIT, PythonConfig, PythonWrapper};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The option that holds the time limit of every environment.
const TIME_LIMIT: &str = "max_episode_steps";

/// Descriptions of the two keys that name an environment.
const NAMES: [(&str, &str); 2] = [
    (
        "python",
        "The id of an environment in Python, by Gymnasium's registry: `Hopper-v5`, `dm_control/cheetah-run-v0`. It runs in a \
         worker process of its own, and needs a Python with gymnasium.",
    ),
    (
        "entry",
        "An environment in Python by its class, `module:Class`, which has Gymnasium's API and need not be registered. It \
         runs in a worker process of its own.",
    ),
];

/// The keys beside the name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PythonKeys {
    /// Modules that are imported first; those of packages register their environments. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    import: Vec<String>,
    /// Arguments of the environment's constructor. Relative files in them begin at the config's
    /// folder. Default: none.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    kwargs: Options,
    /// Gymnasium wrappers around it, the innermost first, each `module:Class`, or a name of
    /// `gymnasium.wrappers`; with arguments `{wrapper: …, kwargs: {…}}`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wrappers: Vec<WrapperForm>,
    /// Steps after which the episode is truncated. Default: the registered limit, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), extend("type" = "integer"))]
    max_episode_steps: Option<u32>,
    /// The Python to run: a path, from the config's folder if it is relative, or the name of a
    /// program. Default: that of the active virtual environment (`$VIRTUAL_ENV`), else `python3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "string"))]
    interpreter: Option<PathBuf>,
    /// The folder in which the environment is made: Python looks for modules there first, and
    /// relative files in `kwargs` begin there. Default: the config's own folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "string"))]
    folder: Option<PathBuf>,
    /// Further folders in which Python looks for modules, before its own. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    path: Vec<PathBuf>,
    /// Seconds that a step, a reset or the making of the environment may take. Default `60`.
    #[serde(default = "default_time_limit", skip_serializing_if = "is_default_time_limit")]
    #[schemars(range(min = 0.001, max = 86400.0))]
    time_limit: f64,
    /// Numbers of `info` to keep; `liprl record` writes them. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    info: Vec<String>,
}

/// A wrapper, with arguments or without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum WrapperForm {
    /// Its class.
    Class(String),
    /// Its class and arguments.
    Full(FullWrapper),
}

/// A wrapper with arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FullWrapper {
    /// `module:Class`, or a name of `gymnasium.wrappers`.
    wrapper: String,
    /// Arguments besides the environment. Default: none.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    kwargs: Options,
}

fn default_time_limit() -> f64 {
    DEFAULT_TIME_LIMIT.as_secs_f64()
}

fn is_default_time_limit(seconds: &f64) -> bool {
    *seconds == default_time_limit()
}

impl PythonKeys {
    /// Splits into the options and the rest.
    pub(super) fn into_parts(self, is_class: bool) -> (Options, PythonConfig) {
        let Self { import, kwargs: mut options, wrappers, max_episode_steps, interpreter, folder, path, .. } = self;
        let (time_limit, info) = (self.time_limit, self.info);
        if let Some(steps) = max_episode_steps {
            options.insert(TIME_LIMIT.to_owned(), steps.into());
        }
        let wrappers = wrappers.into_iter().map(|form| match form {
            WrapperForm::Class(class) => PythonWrapper { class, kwargs: Options::new() },
            WrapperForm::Full(FullWrapper { wrapper, kwargs }) => PythonWrapper { class: wrapper, kwargs },
        });
        let (wrappers, time_limit) = (wrappers.collect(), Duration::from_secs_f64(time_limit));
        (options, PythonConfig { is_class, import, folder, path, wrappers, interpreter, time_limit, info })
    }

    /// The reverse of [`into_parts`](Self::into_parts).
    pub(super) fn of_parts(options: &Options, config: &PythonConfig) -> Self {
        let mut kwargs = options.clone();
        let steps = kwargs.remove(TIME_LIMIT).and_then(|steps| u32::try_from(steps.as_u64()?).ok());
        let wrappers = config.wrappers.iter().cloned().map(|PythonWrapper { class, kwargs }| {
            if kwargs.is_empty() {
                WrapperForm::Class(class)
            } else {
                WrapperForm::Full(FullWrapper { wrapper: class, kwargs })
            }
        });
        Self {
            import: config.import.clone(),
            kwargs,
            wrappers: wrappers.collect(),
            max_episode_steps: steps,
            interpreter: config.interpreter.clone(),
            folder: config.folder.clone(),
            path: config.path.clone(),
            time_limit: config.time_limit.as_secs_f64(),
            info: config.info.clone(),
        }
    }
}

/// The schemas of both forms.
pub(super) fn schemas(generator: &mut SchemaGenerator) -> Vec<Value> {
    let keys = PythonKeys::json_schema(generator).to_value();
    let form = |(name, description): (&str, &str)| {
        let mut properties = serde_json::Map::new();
        properties.insert(name.to_owned(), json!({ "type": "string", "description": description }));
        properties.extend(keys["properties"].as_object().cloned().unwrap_or_default());
        json!({
            "type": "object",
            "description": description,
            "properties": properties,
            "required": [name],
            "additionalProperties": false,
        })
    };
    NAMES.map(form).to_vec()
}
