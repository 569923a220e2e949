//! Changes to a config, for tests and benchmarks.

use serde_json::Value;

/// Puts `changes` over `config`: objects key by key, anything else as a whole.
pub(crate) fn merge(config: &mut Value, changes: &Value) {
    match (config, changes) {
        (Value::Object(config), Value::Object(changes)) => {
            changes.iter().for_each(|(key, value)| merge(config.entry(key).or_insert(Value::Null), value));
        }
        (config, changes) => *config = changes.clone(),
    }
}
