//! The config's JSON Schema, for editors and for the check before a run.

use serde_json::Value;

use super::Config;

/// JSON Schema (draft 2020-12) of a config file, with the registered environments and their options.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".to_owned(), "liprl config".into());
    }
    schema
}
