//! The config as a flat table, for TensorBoard's HPARAMS and for comparing two configs.

use serde_json::Value;

use super::Config;

/// Dotted path and value of each setting, in the config's order.
pub(crate) fn flatten(config: &Config) -> Vec<(String, Value)> {
    let mut table = Vec::new();
    walk("", &serde_json::to_value(config).unwrap_or_default(), &mut table);
    table
}

fn walk(path: &str, value: &Value, table: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&path, value, table);
            }
        }
        _ => table.push((path.to_owned(), value.clone())),
    }
}

/// The first setting in which two configs differ, with both values.
pub(crate) fn difference(ours: &Config, theirs: &Config) -> Option<(String, String, String)> {
    let (ours, theirs) = (flatten(ours), flatten(theirs));
    let find = |table: &[(String, Value)], path: &str| {
        table.iter().find(|(name, _)| name == path).map_or("nothing".to_owned(), |(_, value)| value.to_string())
    };
    ours.iter().chain(&theirs).map(|(path, _)| path).find_map(|path| {
        let (a, b) = (find(&ours, path), find(&theirs, path));
        (a != b).then(|| (path.clone(), a, b))
    })
}
