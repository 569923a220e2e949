//! Every setting that a config may have, from the comments and ranges of its schema: for `liprl
//! check --explain` and for docs/settings.md.

use std::collections::BTreeSet;
use std::fmt::Write;

use liprl_analysis::nearest;
use serde_json::{Map, Value as Json};

use super::messages::{constants, describe, expected, list, required, tag_of, tag_value};
use super::schema;

/// A setting under one condition.
#[derive(Clone, Debug, PartialEq)]
struct Setting {
    /// Dotted path.
    path: String,
    /// Type and range, in words.
    expected: String,
    /// Default as JSON; `None` if there is none in the schema.
    default: Option<Json>,
    /// True if a config must have it.
    required: bool,
    /// The comment.
    description: String,
    /// Names that it may have, each with its comment.
    choices: Vec<(String, String)>,
    /// Settings, path and value, that the config must have for this one to exist.
    under: Vec<(String, String)>,
}

impl Setting {
    /// True if both differ in their conditions alone.
    fn is_like(&self, other: &Self) -> bool {
        let plain = |one: &Self| Self { under: Vec::new(), ..one.clone() };
        plain(self) == plain(other)
    }

    /// The default in words.
    fn default(&self) -> String {
        match &self.default {
            _ if self.required => "required".to_owned(),
            Some(Json::Null) => "none".to_owned(),
            Some(Json::Object(_)) | None => "–".to_owned(),
            Some(Json::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        }
    }
}

/// Explains the setting under a dotted path. Of a `config`, only what holds for its kinds, with its
/// value.
///
/// # Errors
/// If there is no such setting; the text names a similar one.
pub(crate) fn explain(path: &str, config: Option<&Json>) -> Result<String, String> {
    let all = settings();
    let there = |under: &(String, String)| {
        let Some(config) = config else { return true };
        let found = under.0.split('.').try_fold(config, |value, key| value.get(key));
        // A task by its id alone is `env: …`.
        let found = found.or_else(|| (under.0 == "env.id").then(|| &config["env"]));
        found.and_then(Json::as_str) == Some(&under.1)
    };
    let holding = || all.iter().filter(|setting| setting.under.iter().all(there));
    let groups = grouped(holding().filter(|setting| setting.path == path));
    if groups.is_empty() {
        let near = nearest(path, holding().map(|setting| setting.path.as_str()));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(format!("there is no setting `{path}`{near}"));
    }
    let below = format!("{path}.");
    let keys: BTreeSet<&str> = holding().filter_map(|one| one.path.strip_prefix(&below)?.split('.').next()).collect();
    let mut text = String::new();
    for (setting, conditions) in groups {
        let under = if config.is_none() && !conditions.is_empty() { format!(" ({conditions})") } else { String::new() };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{path}{under}: {}", setting.expected);
        if setting.required {
            let _ = writeln!(text, "  required");
        } else if setting.default.as_ref().is_some_and(|default| !default.is_object()) {
            let _ = writeln!(text, "  default: {}", setting.default());
        }
        if !setting.description.is_empty() {
            let _ = writeln!(text, "  {}", setting.description);
        }
        for (name, meaning) in &setting.choices {
            let _ = writeln!(text, "    {name}: {meaning}");
        }
    }
    if !keys.is_empty() {
        let _ = writeln!(text, "  keys: {}", keys.into_iter().collect::<Vec<_>>().join(", "));
    }
    if let Some(value) = config.and_then(|config| path.split('.').try_fold(config, |value, key| value.get(key))) {
        let _ = writeln!(text, "  here: {value}");
    }
    Ok(text)
}

/// Settings that are alike, once, with the conditions of each in words.
fn grouped<'a>(settings: impl Iterator<Item = &'a Setting>) -> Vec<(&'a Setting, String)> {
    let mut groups: Vec<(&Setting, Vec<String>)> = Vec::new();
    for setting in settings {
        let conditions = setting.under.iter().map(|(path, value)| format!("{path}: {value}")).collect::<Vec<_>>();
        let conditions = conditions.join(", ");
        match groups.iter_mut().find(|(first, _)| first.is_like(setting)) {
            Some((_, under)) if under.contains(&conditions) => {}
            Some((_, under)) => under.push(conditions),
            None => groups.push((setting, vec![conditions])),
        }
    }
    // Without conditions in one place, it has none.
    let joined = |under: Vec<String>| if under.iter().any(String::is_empty) { String::new() } else { under.join("; ") };
    groups.into_iter().map(|(setting, under)| (setting, joined(under))).collect()
}

/// The page of all settings, a section for each kind of agent.
pub(crate) fn page() -> String {
    let mut text =
        "# Settings\n\nEvery setting of a config, made by `liprl schema --markdown` from the comments in the \
                    code.\n`liprl check --explain KEY` prints one of them, `liprl envs` lists the options of tasks. A \
                    setting\nin brackets exists only under the settings named there.\n"
            .to_owned();
    let all = settings();
    let mut section = |heading: &str, of: Vec<Setting>| {
        let _ = write!(text, "\n## {heading}\n\n| setting | value | default | meaning |\n| --- | --- | --- | --- |\n");
        for (setting, under) in grouped(of.iter()) {
            let under = if under.is_empty() { under } else { format!(" ({under})") };
            let cells = [&setting.expected, &setting.default(), &setting.description].map(|cell| {
                let plain = cell.replace('|', "\\|").replace('\n', " ");
                if plain.is_empty() { "–".to_owned() } else { plain }
            });
            let _ = writeln!(text, "| `{}`{under} | {} |", setting.path, cells.join(" | "));
        }
    };
    let of_agents = |setting: &Setting| setting.path.starts_with("agent.");
    let shared = |setting: &&Setting| !of_agents(setting) && !setting.path.starts_with("env.");
    section("All kinds", all.iter().filter(shared).cloned().collect());
    let in_python = |setting: &&Setting| setting.path.starts_with("env.") && setting.under.is_empty();
    section(
        "Environments in Python",
        all.iter().filter(in_python).filter(|one| one.path != "env.id").cloned().collect(),
    );
    let kinds = all.iter().find(|setting| setting.path == "agent.kind").map(|kind| kind.choices.clone());
    for (kind, _) in kinds.unwrap_or_default() {
        let condition = ("agent.kind".to_owned(), kind.clone());
        let own = all.iter().filter(|setting| of_agents(setting) && setting.under.contains(&condition));
        // The section's own condition goes without saying.
        let plain = own.map(|setting| Setting {
            under: setting.under.iter().filter(|one| **one != condition).cloned().collect(),
            ..setting.clone()
        });
        section(&format!("`kind: {kind}`"), plain.collect());
    }
    text
}

fn settings() -> Vec<Setting> {
    let root = schema();
    let mut found = Vec::new();
    Walk { root: &root, found: &mut found }.keys(&root, "", &[]);
    found
}

/// Collects settings below a schema.
struct Walk<'a> {
    root: &'a Json,
    found: &'a mut Vec<Setting>,
}

impl Walk<'_> {
    /// Adds the keys of a mapping's schema, and all below them.
    fn keys(&mut self, schema: &Json, path: &str, under: &[(String, String)]) {
        let Some(map) = schema.as_object() else { return };
        for (key, property) in map.get("properties").and_then(Json::as_object).into_iter().flatten() {
            // A tag is added with its choices.
            if property.get("const").is_some() {
                continue;
            }
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            self.add(property, &path, required(map).any(|name| name == key), under);
        }
    }

    fn add(&mut self, property: &Json, path: &str, required: bool, under: &[(String, String)]) {
        let root = self.root;
        let target = follow(root, property);
        let variants = variants(root, target);
        let comment = |schema: &Json| Some(schema.get("description")?.as_str()?.to_owned());
        self.found.push(Setting {
            path: path.to_owned(),
            expected: words(&variants),
            default: property.get("default").cloned(),
            required,
            description: comment(property).or_else(|| comment(target)).unwrap_or_default(),
            choices: variants.iter().flat_map(|variant| choices(variant)).collect(),
            under: under.to_vec(),
        });
        let mappings: Vec<&Map<String, Json>> =
            variants.iter().copied().filter(|variant| variant.contains_key("properties")).collect();
        // Beside variants with a tag there may be others without one.
        let is_tagged = |variant: &&Map<String, Json>| tag_of(&[*variant]).is_some();
        let tagged: Vec<&Map<String, Json>> = mappings.iter().copied().filter(is_tagged).collect();
        let tag = if tagged.len() > 1 { tag_of(&tagged) } else { None };
        if let Some(tag) = tag {
            let named = |variant: &&Map<String, Json>| Some((tag_value(variant, tag)?.to_owned(), sentence(variant)));
            let choices: Vec<(String, String)> = tagged.iter().filter_map(named).collect();
            let names: Vec<&str> = choices.iter().map(|(name, _)| name.as_str()).collect();
            self.found.push(Setting {
                path: format!("{path}.{tag}"),
                expected: list(&names),
                default: None,
                required: true,
                description: String::new(),
                choices,
                under: under.to_vec(),
            });
        }
        for variant in mappings {
            let mut under = under.to_vec();
            if let Some((tag, value)) = tag.and_then(|tag| Some((tag, tag_value(variant, tag)?))) {
                under.push((format!("{path}.{tag}"), value.to_owned()));
            }
            self.keys(&Json::Object(variant.clone()), path, &under);
        }
    }
}

fn follow<'s>(root: &'s Json, schema: &'s Json) -> &'s Json {
    let target = schema.get("$ref").and_then(Json::as_str).and_then(|target| target.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

/// The schemas of a choice, or the schema itself.
fn variants<'s>(root: &'s Json, schema: &'s Json) -> Vec<&'s Map<String, Json>> {
    match schema.get("oneOf").or(schema.get("anyOf")).and_then(Json::as_array) {
        Some(several) => several.iter().flat_map(|one| variants(root, follow(root, one))).collect(),
        None => schema.as_object().into_iter().collect(),
    }
}

/// Types and ranges of variants, in words.
fn words(variants: &[&Map<String, Json>]) -> String {
    let names: Vec<&str> = variants.iter().filter_map(|variant| constants(variant)).flatten().collect();
    let mut words: Vec<String> = if names.is_empty() { Vec::new() } else { vec![list(&names)] };
    for variant in variants.iter().filter(|variant| constants(variant).is_none()) {
        let text = expected(variant);
        if !text.is_empty() && !words.contains(&text) {
            words.push(text);
        }
    }
    words.join(" or ")
}

/// The names that a schema of constants allows, with its comment.
fn choices(variant: &Map<String, Json>) -> Vec<(String, String)> {
    let comment = sentence(variant);
    let names = constants(variant).unwrap_or_default().into_iter();
    names.filter(|_| !comment.is_empty()).map(|name| (name.to_owned(), comment.clone())).collect()
}

fn sentence(schema: &Map<String, Json>) -> String {
    describe(schema).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_is_explained_with_range_default_and_choices() {
        let tau = explain("agent.tau", None).unwrap();
        assert!(tau.contains("agent.kind: sac; agent.kind: td3") && tau.contains("a number from 0 to 1"), "{tau}");
        assert!(tau.contains("default: 0.005\n  Share of the networks that moves into the targets"), "{tau}");
        let config = json!({"env": "Pendulum-v1", "agent": {"kind": "gail", "policy": {"kind": "sac", "tau": 0.5}}});
        let own = explain("agent.policy.tau", Some(&config)).unwrap();
        assert!(own.starts_with("agent.policy.tau: a number") && own.ends_with("here: 0.5\n"), "{own}");
        assert!(explain("agent.tau", Some(&config)).is_err(), "gail has its learner under `policy`");
        let kinds = explain("agent.kind", None).unwrap();
        assert!(kinds.contains("one of sac, td3, gail, mbpo, feedback"), "{kinds}");
        let eval = explain("eval", None).unwrap();
        assert!(eval.contains("keys: certificate, episodes, every, simulator_jacobian"), "{eval}");
        assert!(explain("env.g", Some(&config)).unwrap().starts_with("env.g: a number"));
        assert_eq!(
            explain("agent.tua", None).unwrap_err(),
            "there is no setting `agent.tua`; did you mean `agent.tau`?"
        );
    }
}
