//! Configs as lists of dotted paths and values, and the paths in which they differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Dotted path → value as short text. A list is one value.
pub(super) type Settings = BTreeMap<String, String>;

/// Settings of a config.
pub(super) fn flatten(config: &Value) -> Settings {
    let mut settings = Settings::new();
    walk("", config, &mut settings);
    settings
}

fn walk(path: &str, value: &Value, settings: &mut Settings) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(&path, value, settings);
            }
        }
        Value::String(text) => {
            settings.insert(path.to_owned(), text.clone());
        }
        other => {
            settings.insert(path.to_owned(), other.to_string());
        }
    }
}

/// Paths in which any two configs differ, apart from the seed. A path that some lack counts as
/// different.
pub(super) fn differing<'a>(all: &[&'a Settings]) -> Vec<&'a str> {
    let paths: BTreeSet<&str> = all.iter().flat_map(|settings| settings.keys().map(String::as_str)).collect();
    let differs = |path: &&str| all.iter().map(|settings| settings.get(*path)).collect::<BTreeSet<_>>().len() > 1;
    paths.into_iter().filter(|path| *path != "seed").filter(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        let of = |yaml: &str| flatten(&serde_saphyr::from_str(yaml).unwrap());
        let a = of("seed: 0\nagent: {kind: gail, shaping: null, hidden: [4, 4], penalty: {scale: 1}}\n");
        let b = of("seed: 1\nagent: {kind: gail, shaping: {kind: purple}, hidden: [4, 5], penalty: {scale: 1}}\n");
        assert_eq!(differing(&[&a, &b]), ["agent.hidden", "agent.shaping", "agent.shaping.kind"]);
        assert_eq!((a["agent.hidden"].as_str(), a["agent.penalty.scale"].as_str()), ("[4,4]", "1"));
    }
}
