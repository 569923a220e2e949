//! Short names for variants: `scale=10,spectral_norm=true`. They are folder names, so they do not
//! change when values or runs are added.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

/// A longer name ends in a hash of the whole.
const LONGEST: usize = 120;

/// Maps each dotted path to its shortest unique ending.
pub(super) fn labels<'a>(paths: &[&'a str]) -> BTreeMap<&'a str, String> {
    let last = |path: &str, count: usize| {
        let names: Vec<&str> = path.split('.').collect();
        names[names.len().saturating_sub(count)..].join(".")
    };
    let length = |path: &str| path.split('.').count();
    let shortest = |path: &&'a str| {
        let lengths = 1..=length(path);
        let alone = |count: &usize| paths.iter().filter(|other| last(other, *count) == last(path, *count)).count() == 1;
        let count = lengths.clone().find(alone).unwrap_or_else(|| length(path));
        (*path, last(path, count))
    };
    paths.iter().map(shortest).collect()
}

/// Formats a value in a few characters: `10`, `none`, `256x256`, `wgan-sides-two`.
pub(super) fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => self::number(number),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join("x"),
        Value::Object(map) => mapping(map),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '-' };
    text.chars().map(plain).collect()
}

/// Formats a number; small ones as learning rates are written: `3e-4`.
fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(small) if number.is_f64() && small != 0.0 && small.abs() < 1e-2 => format!("{small:e}"),
        _ => number.to_string(),
    }
}

/// Formats a mapping: `kind` first and by its value alone, the rest by name.
fn mapping(map: &Map<String, Value>) -> String {
    let mut rest: Vec<(&String, &Value)> = map.iter().filter(|(name, _)| *name != "kind").collect();
    rest.sort_by_key(|(name, _)| *name);
    let kind = map.get("kind").map(value);
    let parts = kind.into_iter().chain(rest.into_iter().map(|(name, of)| format!("{name}-{}", value(of))));
    parts.collect::<Vec<_>>().join("-")
}

/// Joins the parts to one name of limited length.
pub(super) fn join(parts: &[String]) -> String {
    let whole = parts.join(",");
    if whole.len() <= LONGEST {
        return whole;
    }
    let hash = format!("{:016x}", super::hash::hash(whole.as_bytes()));
    format!("{}~{}", &whole[..LONGEST - 9], &hash[..8])
}

/// True if a text can be a folder's name on every system and in every shell.
pub(super) fn is_plain(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    first && name.len() <= LONGEST && name.chars().all(|c| c.is_ascii_alphanumeric() || "._+-=,".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_short() {
        for (of, name) in [
            (json!(null), "none"),
            (json!(0.0003), "3e-4"),
            (json!(0.25), "0.25"),
            (json!(1000), "1000"),
            (json!([256, 256]), "256x256"),
            (json!({"sides": "two", "kind": "wgan"}), "wgan-sides-two"),
            (json!({"uniform": {"low": 0.7, "high": 1.2}}), "uniform-high-1.2-low-0.7"),
            (json!("demos/a b.hdf5"), "demos-a-b.hdf5"),
        ] {
            assert_eq!(value(&of), name);
        }
    }

    #[test]
    fn labels_are_as_long_as_they_must_be() {
        let paths = ["agent.actor.lr", "agent.critic.lr", "agent.gamma", "lr"];
        let found = labels(&paths);
        assert_eq!(found["agent.actor.lr"], "actor.lr");
        assert_eq!(found["agent.critic.lr"], "critic.lr");
        assert_eq!(found["agent.gamma"], "gamma");
        assert_eq!(found["lr"], "lr");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let long = |end: &str| join(&vec![format!("{}{end}", "x".repeat(60)); 3]);
        assert_eq!(long("a").len(), LONGEST);
        assert_ne!(long("a"), long("b"));
        assert!(!is_plain("") && !is_plain("../x") && !is_plain(".sweep") && !is_plain("a b") && is_plain("a=1,b-2"));
    }
}
