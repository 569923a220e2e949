//! The `env:` part of a config: an id, or an id with the task's options.

use std::borrow::Cow;

use liprl_envs::{Env, EnvError, Options, registry};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

/// A task and its options.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvConfig {
    /// Gymnasium's id.
    pub id: String,
    /// Options given, by Gymnasium's names.
    pub options: Options,
}

impl EnvConfig {
    /// Makes the environment, with its time limit.
    pub fn make(&self) -> Result<Box<dyn Env>, EnvError> {
        liprl_envs::make(&self.id, &self.options)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum IdOrOptions {
    Id(String),
    Full {
        id: String,
        #[serde(flatten)]
        options: Options,
    },
}

impl<'de> Deserialize<'de> for EnvConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match IdOrOptions::deserialize(deserializer)? {
            IdOrOptions::Id(id) => Self { id, options: Options::new() },
            IdOrOptions::Full { id, options } => Self { id, options },
        })
    }
}

impl Serialize for EnvConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.options.is_empty() {
            return serializer.serialize_str(&self.id);
        }
        let id = json!(self.id);
        serializer.collect_map([("id", &id)].into_iter().chain(self.options.iter().map(|(k, v)| (k.as_str(), v))))
    }
}

impl JsonSchema for EnvConfig {
    fn schema_name() -> Cow<'static, str> {
        "EnvConfig".into()
    }

    /// Allows one of the registered ids, alone or in a mapping with that task's options.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let entries = registry();
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id).collect();
        let mut variants = vec![json!({ "type": "string", "enum": ids })];
        for entry in &entries {
            let mut properties = Map::new();
            properties.insert("id".to_owned(), json!({ "type": "string", "const": entry.id }));
            let time_limit = entry.time_limit_option();
            for option in entry.options.iter().chain([&time_limit]) {
                properties.insert(option.name.to_owned(), option.json_schema());
            }
            variants.push(json!({
                "type": "object",
                "description": entry.doc,
                "properties": properties,
                "required": ["id"],
                "additionalProperties": false,
            }));
        }
        json_schema!({ "oneOf": Value::Array(variants) })
    }
}
