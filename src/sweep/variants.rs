//! From combinations of settings to variants with complete configs; `when:` sets more or leaves
//! combinations out.

use std::collections::HashMap;
use std::path::Path;

use liprl_analysis::nearest;
use serde_json::{Map, Value};

use super::error::PlanError;
use super::expand::{Combination, Setting, put, settings};
use super::hash::id;
use super::name;
use crate::config::{self, Config, ConfigError, Node, Sources, Span, flatten};

/// One variant of the sweep.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its folder's name.
    pub name: String,
    /// Its settings: dotted path → value.
    pub settings: Map<String, Value>,
    /// Its config with seed 0.
    pub(super) config: Config,
}

/// A combination's config and all that was set for it.
type Resolved = (Config, Map<String, Value>);

/// Makes variants from combinations.
pub(super) struct Resolver<'a> {
    tree: &'a Node,
    sources: &'a Sources,
    /// Base, `set:` and the command line.
    root: Node,
    schema: Value,
    rules: Vec<Rule>,
}

/// An entry of `when:`.
struct Rule {
    conditions: Vec<Setting>,
    set: Vec<Setting>,
    skip: bool,
    at: Span,
    /// For each condition, true once a combination had its path.
    seen: Vec<bool>,
    /// True once the rule held.
    held: bool,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(tree: &'a Node, sources: &'a Sources, root: Node) -> Self {
        let rule = |node: &Node| {
            let conditions = node.get("if").map(settings).unwrap_or_default();
            let skip = matches!(node.get("skip").map(|node| &node.value), Some(config::Value::Bool(true)));
            let seen = vec![false; conditions.len()];
            let set = node.get("set").map(settings).unwrap_or_default();
            Rule { conditions, set, skip, at: node.span, seen, held: false }
        };
        let rules = rules(tree).iter().map(rule).collect();
        Self { tree, sources, root, schema: config::schema(), rules }
    }

    /// Resolves all combinations. A single one without settings is named after the base file.
    pub(super) fn variants(&mut self, combinations: Vec<Combination>, base: &Path) -> Result<Vec<Variant>, PlanError> {
        let mut variants: Vec<Variant> = Vec::new();
        let (mut by_name, mut by_config): (HashMap<String, usize>, HashMap<String, usize>) = Default::default();
        for combination in combinations {
            let name = match combination.name() {
                none if none.is_empty() => base
                    .file_stem()
                    .map_or_else(|| "base".to_owned(), |stem| name::value(&stem.to_string_lossy().into())),
                name => name,
            };
            let Some(variant) = self.resolve(name.clone(), &combination.settings)? else { continue };
            let (index, key) = (variants.len(), id(&variant.config));
            if let Some(&other) = by_name.get(&name).or_else(|| by_config.get(&key)) {
                let one = &variants[other];
                let same_config = one.config == variant.config;
                return Err(PlanError::Collision { same_config, one: one.name.clone(), other: name });
            }
            by_name.insert(name.clone(), index);
            by_config.insert(key, index);
            variants.push(variant);
        }
        if variants.is_empty() {
            return Err(self.sources.error(self.tree.span, "every combination is left out by `when`", None).into());
        }
        Ok(variants)
    }

    /// The variant of some settings; `None` if a rule leaves it out.
    pub(super) fn resolve(&mut self, name: String, settings: &[Setting]) -> Result<Option<Variant>, PlanError> {
        let resolved = self
            .config(settings)
            .map_err(|error| PlanError::InVariant { variant: name.clone(), error: Box::new(error) })?;
        // Variants are compared without their seeds.
        let variant = |(config, settings)| Variant { name, settings, config: Config { seed: 0, ..config } };
        Ok(resolved.map(variant))
    }

    /// The config of one combination and all its settings; `None` if a rule leaves it out.
    fn config(&mut self, combination: &[Setting]) -> Result<Option<Resolved>, ConfigError> {
        let mut tree = self.root.clone();
        // Wider settings first: `a: {…}` then `a.b`.
        let mut ordered: Vec<Setting> = combination.to_vec();
        ordered.sort_by(|a, b| (a.path.matches('.').count(), &a.path).cmp(&(b.path.matches('.').count(), &b.path)));
        put(&mut tree, &ordered, self.sources)?;
        let mut config: Config = config::read(&tree, self.sources, &self.schema)?;
        if !self.rules.is_empty() {
            let table = serde_json::to_value(&config).unwrap_or_default();
            // Every rule is evaluated, so that `warnings` can report the ones that never apply.
            let held: Vec<bool> = self.rules.iter_mut().map(|rule| rule.holds(&table)).collect();
            let holding: Vec<&Rule> =
                self.rules.iter().zip(held).filter_map(|(rule, held)| held.then_some(rule)).collect();
            if holding.iter().any(|rule| rule.skip) {
                return Ok(None);
            }
            for rule in &holding {
                put(&mut tree, &rule.set, self.sources)?;
                ordered.extend(rule.set.iter().cloned());
            }
            if !holding.is_empty() {
                config = config::read(&tree, self.sources, &self.schema)?;
            }
        }
        let settings = ordered.into_iter().map(|setting| (setting.path, setting.value.to_json())).collect();
        Ok(Some((config, settings)))
    }

    /// Warns of rules that never held.
    ///
    /// # Errors
    /// If a condition names a path that no variant has.
    pub(super) fn warnings(&self) -> Result<Vec<String>, ConfigError> {
        let mut warnings = Vec::new();
        for rule in &self.rules {
            if let Some((condition, _)) = rule.conditions.iter().zip(&rule.seen).find(|(_, seen)| !**seen) {
                let base: Result<Config, _> = config::read(&self.root, self.sources, &self.schema);
                let known: Vec<String> =
                    base.map(|config| flatten(&config).into_iter().map(|(path, _)| path).collect()).unwrap_or_default();
                let help = nearest(&condition.path, known.iter().map(String::as_str));
                let help = help.map(|near| format!("did you mean `{near}`?"));
                let problem = format!("no variant has `{}`", condition.path);
                return Err(self.sources.error(condition.at, problem, help));
            }
            if !rule.held {
                let place = self.sources.error(rule.at, "this condition holds for no variant", None);
                warnings.push(place.to_string());
            }
        }
        Ok(warnings)
    }
}

impl Rule {
    fn holds(&mut self, config: &Value) -> bool {
        let mut holds = true;
        for (condition, seen) in self.conditions.iter().zip(&mut self.seen) {
            let found = lookup(config, &condition.path);
            *seen |= found.is_some();
            let wanted = condition.value.to_json();
            holds &= found.is_some_and(|found| match &wanted {
                Value::Array(any) if !found.is_array() => any.iter().any(|one| same(found, one)),
                one => same(found, one),
            });
        }
        self.held |= holds;
        holds
    }
}

/// The value under a dotted path; `env.id` also finds a task given by its id alone.
fn lookup<'v>(config: &'v Value, path: &str) -> Option<&'v Value> {
    let mut value = config;
    for name in path.split('.') {
        value = match value {
            Value::String(_) if path == "env.id" => return Some(value),
            _ => value.get(name)?,
        };
    }
    Some(value)
}

/// True for values that are equal as settings: 10 and 10.0 are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// The entries of `when:`.
pub(super) fn rules(tree: &Node) -> &[Node] {
    match tree.get("when").map(|node| &node.value) {
        Some(config::Value::List(items)) => items,
        _ => &[],
    }
}
