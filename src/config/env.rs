//! The `env:` part of a config: an id, an id with the task's options, or an environment in Python.

use std::borrow::Cow;

use liprl_envs::python::{self, PythonConfig};
use liprl_envs::{Env, EnvError, Options, registry};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::python::{PythonKeys, schemas};

/// A task and its options.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvConfig {
    /// Gymnasium's id; of an environment in Python perhaps a class, `module:Class`.
    pub id: String,
    /// Options given, by Gymnasium's names.
    pub options: Options,
    /// Process and code of an environment in Python; `None` for a native one.
    pub python: Option<PythonConfig>,
}

/// The id of a task that is known by demonstrations alone.
pub(crate) const RECORDED: &str = "demonstrations";

impl EnvConfig {
    /// True for `demonstrations`: the spaces are those of the demonstrations, and nothing is run.
    pub fn is_recorded(&self) -> bool {
        self.id == RECORDED
    }

    /// Makes the environment, with its time limit.
    pub fn make(&self) -> Result<Box<dyn Env>, EnvError> {
        if self.is_recorded() {
            let problem = "stands for the spaces of demonstrations; nothing can be run in it".to_owned();
            return Err(EnvError::Simulator { id: self.id.clone(), problem });
        }
        match &self.python {
            Some(config) => python::make(&self.id, &self.options, config),
            None => liprl_envs::make(&self.id, &self.options),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Id(String),
    Native {
        id: String,
        #[serde(flatten)]
        options: Options,
    },
    Python {
        python: String,
        #[serde(flatten)]
        rest: Map<String, Value>,
    },
    Entry {
        entry: String,
        #[serde(flatten)]
        rest: Map<String, Value>,
    },
}

impl<'de> Deserialize<'de> for EnvConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (id, rest, is_class) = match Form::deserialize(deserializer)? {
            Form::Id(id) => return Ok(Self { id, options: Options::new(), python: None }),
            Form::Native { id, options } => return Ok(Self { id, options, python: None }),
            Form::Python { python, rest } => (python, rest, false),
            Form::Entry { entry, rest } => (entry, rest, true),
        };
        let keys: PythonKeys = serde_json::from_value(Value::Object(rest)).map_err(serde::de::Error::custom)?;
        let (options, python) = keys.into_parts(is_class);
        Ok(Self { id, options, python: Some(python) })
    }
}

impl Serialize for EnvConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let id = json!(self.id);
        if let Some(python) = &self.python {
            let keys = PythonKeys::of_parts(&self.options, python);
            let keys = serde_json::to_value(keys).map_err(serde::ser::Error::custom)?;
            let name = if python.is_class { "entry" } else { "python" };
            let keys = keys.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value));
            return serializer.collect_map([(name, &id)].into_iter().chain(keys));
        }
        if self.options.is_empty() {
            return serializer.serialize_str(&self.id);
        }
        serializer.collect_map([("id", &id)].into_iter().chain(self.options.iter().map(|(k, v)| (k.as_str(), v))))
    }
}

impl JsonSchema for EnvConfig {
    fn schema_name() -> Cow<'static, str> {
        "EnvConfig".into()
    }

    /// Allows one of the registered ids, alone or in a mapping with that task's options, and
    /// environments in Python.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let entries = registry();
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id).chain([RECORDED]).collect();
        let mut natives = Vec::new();
        for entry in &entries {
            let mut properties = Map::new();
            properties.insert("id".to_owned(), json!({ "type": "string", "const": entry.id }));
            let time_limit = entry.time_limit_option();
            for option in entry.options.iter().chain([&time_limit]) {
                properties.insert(option.name.to_owned(), option.json_schema());
            }
            natives.push(json!({
                "type": "object",
                "description": entry.doc,
                "properties": properties,
                "required": ["id"],
                "additionalProperties": false,
            }));
        }
        let native = json!({ "type": "object", "required": ["id"], "oneOf": natives });
        let mut variants = vec![json!({ "type": "string", "enum": ids }), native];
        variants.extend(schemas(generator));
        json_schema!({ "oneOf": Value::Array(variants) })
    }
}
