//! Expands `variants`, `axes`, `zip` and `random` to combinations of settings.

use serde_json::Value as Json;

use super::file::SweepFile;
use super::name;
use crate::config::{ConfigError, Key, Node, Sources, Span, Value, insert, names};

/// The limit of combinations; more are surely a mistake.
const MAX_COMBINATIONS: usize = 100_000;

/// A value for a setting, both with their places in the sweep file.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Dotted path.
    pub path: String,
    /// The path's place.
    pub at: Span,
    /// The value.
    pub value: Node,
    /// The value's name in the variant's; `None` for one made from the value.
    pub name: Option<String>,
}

/// A part of a variant's name; the order of the kinds is that in the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NamePart {
    /// A name from `variants`.
    Variant(String),
    /// `label=value`, from `axes` or `zip`.
    Setting(String),
    /// The number of a random point.
    Random(usize),
}

/// One combination of settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Combination {
    /// The parts of its name.
    pub parts: Vec<NamePart>,
    /// Its settings.
    pub settings: Vec<Setting>,
}

/// Returns every combination, in the file's order. `set_before` are the paths that every run sets.
pub(super) fn expand(
    file: &SweepFile,
    tree: &Node,
    set_before: &[String],
    sources: &Sources,
) -> Result<Vec<Combination>, ConfigError> {
    let reader = Reader { sources, tree };
    reader.refuse_twice_set(set_before)?;
    let listed: Vec<&str> = file.axes.keys().chain(file.zip.keys()).map(String::as_str).collect();
    let labels = name::labels(&listed);
    let part = |setting: &Setting| {
        let label = labels.get(setting.path.as_str()).cloned().unwrap_or_default();
        let value = setting.name.clone().unwrap_or_else(|| name::value(&setting.value.to_json()));
        NamePart::Setting(format!("{label}={value}"))
    };
    let points = |rows: Vec<Vec<Setting>>| -> Vec<Combination> {
        rows.into_iter().map(|row| Combination { parts: row.iter().map(part).collect(), settings: row }).collect()
    };

    let mut combined = vec![Combination::default()];
    let mut factors = vec![reader.variants()?, points(reader.zip()?)];
    factors.extend(reader.axes()?.into_iter().map(points));
    factors.push(reader.random(file)?);
    for factor in factors.into_iter().filter(|factor| !factor.is_empty()) {
        if combined.len() * factor.len() > MAX_COMBINATIONS {
            return Err(sources.error(tree.span, format!("the sweep has more than {MAX_COMBINATIONS} variants"), None));
        }
        combined = combined.iter().flat_map(|point| factor.iter().map(|more| point.with(more))).collect();
    }
    Ok(combined)
}

impl Combination {
    fn with(&self, more: &Self) -> Self {
        Self {
            parts: self.parts.iter().chain(&more.parts).cloned().collect(),
            settings: self.settings.iter().chain(&more.settings).cloned().collect(),
        }
    }

    /// Its name, which does not depend on the order of settings in the file.
    pub(super) fn name(&self) -> String {
        let mut parts = self.parts.clone();
        parts.sort();
        let text = |part: NamePart| match part {
            NamePart::Variant(name) | NamePart::Setting(name) => name,
            NamePart::Random(index) => format!("r{index:03}"),
        };
        name::join(&parts.into_iter().map(text).collect::<Vec<_>>())
    }
}

/// Reads the parts of the sweep file with their places.
struct Reader<'a> {
    sources: &'a Sources,
    tree: &'a Node,
}

impl Reader<'_> {
    fn entries(&self, part: &str) -> &[(Key, Node)] {
        self.tree.get(part).map_or(&[], entries)
    }

    fn variants(&self) -> Result<Vec<Combination>, ConfigError> {
        let entries = self.entries("variants");
        let variant = |(key, node): &(Key, Node)| {
            self.check_name(key, "variant")?;
            Ok(Combination { parts: vec![NamePart::Variant(key.name.clone())], settings: settings(node) })
        };
        entries.iter().map(variant).collect()
    }

    /// Rejects a name that cannot be a part of a variant's.
    fn check_name(&self, key: &Key, named: &str) -> Result<(), ConfigError> {
        if name::is_plain(&key.name) && !key.name.contains(['=', ',']) {
            return Ok(());
        }
        let problem = format!("`{}` cannot name a {named}", key.name);
        let help = "letters, digits and . _ + -, beginning with a letter or digit";
        Err(self.sources.error(key.span, problem, Some(help.to_owned())))
    }

    /// The settings of each axis.
    fn axes(&self) -> Result<Vec<Vec<Vec<Setting>>>, ConfigError> {
        let axis =
            |(key, node): &(Key, Node)| Ok(self.values(key, node)?.into_iter().map(|setting| vec![setting]).collect());
        self.entries("axes").iter().map(axis).collect()
    }

    /// The rows of the zipped lists.
    fn zip(&self) -> Result<Vec<Vec<Setting>>, ConfigError> {
        let entries = self.entries("zip");
        let Some((first, node)) = entries.first() else { return Ok(Vec::new()) };
        let count = self.values(first, node)?.len();
        let mut columns = Vec::new();
        for (key, node) in entries {
            let values = self.values(key, node)?;
            if values.len() != count {
                let problem = format!("`{}` has {} values, `{}` has {count}", key.name, values.len(), first.name);
                return Err(self.sources.error(key.span, problem, Some("zipped lists have one length".to_owned())));
            }
            columns.push(values);
        }
        Ok((0..count).map(|row| columns.iter().map(|values| values[row].clone()).collect()).collect())
    }

    fn random(&self, file: &SweepFile) -> Result<Vec<Combination>, ConfigError> {
        let (Some(random), Some(part)) = (&file.random, self.tree.get("random")) else { return Ok(Vec::new()) };
        let mut points: Vec<Combination> = (0..random.points as usize)
            .map(|index| Combination { parts: vec![NamePart::Random(index)], settings: Vec::new() })
            .collect();
        let draw = part.get("draw").map_or(&[][..], entries);
        if draw.is_empty() {
            return Err(self.sources.error(part.span, "`random.draw` is empty", None));
        }
        for (key, node) in draw {
            let Some(distribution) = random.draw.get(&key.name) else { continue };
            let draws = distribution.draws(random.seed, &key.name, random.points).map_err(|problem| {
                self.sources.error(node.span, format!("`{}` cannot be drawn: {problem}", key.name), None)
            })?;
            for (point, value) in points.iter_mut().zip(&draws) {
                point.settings.push(setting(key, &Node::from_json(&whole(value), node.span)));
            }
        }
        Ok(points)
    }

    /// The values of an axis, which must not be empty: a list, or a mapping that names them.
    fn values(&self, key: &Key, node: &Node) -> Result<Vec<Setting>, ConfigError> {
        let mut values: Vec<Setting> = list(node).iter().map(|value| setting(key, value)).collect();
        for (name, value) in entries(node) {
            self.check_name(name, "value")?;
            values.push(Setting { name: Some(name.name.clone()), ..setting(key, value) });
        }
        if values.is_empty() {
            return Err(self.sources.error(node.span, format!("`{}` has no values", key.name), None));
        }
        Ok(values)
    }

    /// Rejects a path that two parts set.
    fn refuse_twice_set(&self, set_before: &[String]) -> Result<(), ConfigError> {
        let drawn = |part: &str| self.tree.get(part).and_then(|part| part.get("draw")).map_or(&[][..], entries);
        let variants = self.entries("variants").iter().flat_map(|(_, node)| entries(node));
        let listed = [self.entries("axes"), self.entries("zip"), drawn("random"), drawn("search")];
        let mut seen: Vec<&str> = set_before.iter().map(String::as_str).collect();
        for part in listed.into_iter().map(|part| part.iter().collect()).chain([variants.collect::<Vec<_>>()]) {
            for (key, _) in &part {
                names(&key.name, key.span, self.sources)?;
                if key.name == "seed" {
                    return Err(no_seed(key.span, self.sources));
                }
                if seen.contains(&key.name.as_str()) {
                    let problem = format!("`{}` is set by another part of the sweep too", key.name);
                    return Err(self.sources.error(key.span, problem, None));
                }
            }
            seen.extend(part.iter().map(|(key, _)| key.name.as_str()));
        }
        Ok(())
    }
}

/// Makes the error for a varied seed; every variant has all of the sweep's seeds.
pub(super) fn no_seed(at: Span, sources: &Sources) -> ConfigError {
    sources.error(at, "`seed` cannot be varied", Some("list seeds under `seeds:`".to_owned()))
}

/// The settings of a mapping from path to value.
pub(super) fn settings(node: &Node) -> Vec<Setting> {
    entries(node).iter().map(|(key, value)| setting(key, value)).collect()
}

/// A setting with its places.
pub(super) fn setting(key: &Key, value: &Node) -> Setting {
    Setting { path: key.name.clone(), at: key.span, value: value.clone(), name: None }
}

/// Puts settings into a config tree.
pub(super) fn put(tree: &mut Node, settings: &[Setting], sources: &Sources) -> Result<(), ConfigError> {
    for setting in settings {
        insert(tree, &names(&setting.path, setting.at, sources)?, setting.value.clone());
    }
    Ok(())
}

/// The entries of a mapping.
pub(super) fn entries(node: &Node) -> &[(Key, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

fn list(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

/// Converts whole floats to integers, as the YAML reader does.
pub(super) fn whole(value: &Json) -> Json {
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() < 1e15 => (number as i64).into(),
        _ => value.clone(),
    }
}
