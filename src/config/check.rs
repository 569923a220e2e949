//! Checks the config tree against the JSON Schema that editors use too. Unknown keys, wrong types,
//! values out of range and missing keys are reported at their own place, inside tagged enums as
//! well; serde would report the parent.

use liprl_analysis::nearest;
use serde_json::{Map, Value as Json};

use super::error::{ConfigError, Sources};
use super::messages::{
    constants, describe, expected, fits_type, is_large_count, list, required, show, tag_of, tag_value,
};
use super::node::{EXACT, Node, Span, Value};

/// The schema with its definitions, and the texts for error messages.
pub(crate) struct Checker<'a> {
    /// The root schema; `$ref`s point into it.
    pub root: &'a Json,
    /// The texts that the tree was read from.
    pub sources: &'a Sources,
}

type CheckResult = Result<(), ConfigError>;

impl Checker<'_> {
    /// Checks one value. `path` is its dotted name, empty at the root.
    pub(crate) fn check(&self, node: &Node, schema: &Json, path: &str) -> CheckResult {
        let Some(schema) = schema.as_object() else { return Ok(()) };
        if let Some(target) = schema.get("$ref").and_then(Json::as_str) {
            self.check(node, self.resolve(target), path)?;
        }
        if let Some(variants) = schema.get("oneOf").or(schema.get("anyOf")).and_then(Json::as_array) {
            self.check_variants(node, variants, schema, path)?;
        }
        if let Some(allowed) = constants(schema) {
            let matches = matches!(&node.value, Value::Text(text) if allowed.contains(&text.as_str()));
            return if matches { Ok(()) } else { Err(self.not_among(node, &allowed, path)) };
        }
        if schema.contains_key("type") && !fits_type(node, schema) {
            return Err(self.wrong_type(node, &[&Json::Object(schema.clone())], path));
        }
        match &node.value {
            Value::Map(_) => self.check_map(node, schema, path),
            Value::List(items) => self.check_list(node.span, items, schema, path),
            Value::Number(_) => self.check_range(node, schema, path),
            _ => Ok(()),
        }
    }

    fn resolve(&self, target: &str) -> &Json {
        target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)).unwrap_or(&Json::Null)
    }

    /// Checks a choice against the variant of the node's type; among mappings that of its tag
    /// (`kind: …`) or single key.
    fn check_variants(&self, node: &Node, variants: &[Json], schema: &Map<String, Json>, path: &str) -> CheckResult {
        let variants: Vec<&Json> = variants.iter().map(|variant| self.follow(variant)).collect();
        let objects: Vec<&Map<String, Json>> = variants.iter().filter_map(|v| v.as_object()).collect();
        let fitting: Vec<_> = objects.iter().copied().filter(|variant| fits_type(node, variant)).collect();
        match (&node.value, fitting.as_slice()) {
            (_, []) => Err(self.wrong_type(node, &variants, path)),
            (Value::Text(_), several) if several.iter().all(|variant| constants(variant).is_some()) => {
                let allowed: Vec<&str> = several.iter().filter_map(|variant| constants(variant)).flatten().collect();
                let matches = matches!(&node.value, Value::Text(text) if allowed.contains(&text.as_str()));
                if matches { Ok(()) } else { Err(self.not_among(node, &allowed, path)) }
            }
            (_, [only]) => self.check(node, &Json::Object((*only).clone()), path),
            (Value::Map(_), several) => self.check_tagged(node, several, path, schema),
            _ => Ok(()),
        }
    }

    fn check_tagged(
        &self,
        node: &Node,
        variants: &[&Map<String, Json>],
        path: &str,
        schema: &Map<String, Json>,
    ) -> CheckResult {
        let Some(tag) = tag_of(variants) else {
            // Each variant has a key of its own; of externally tagged ones it is the only key.
            let known: Vec<&str> = variants.iter().filter_map(|variant| required(variant).next()).collect();
            let Value::Map(entries) = &node.value else { return Ok(()) };
            let keys =
                |variant: &Map<String, Json>| variant.get("properties").and_then(Json::as_object).map_or(0, Map::len);
            let lone = variants.iter().all(|variant| keys(variant) == 1);
            let chosen = variants.iter().find(|variant| required(variant).any(|key| node.get(key).is_some()));
            return match (chosen, entries.first()) {
                (Some(variant), _) => self.check(node, &Json::Object((*variant).clone()), path),
                (None, Some((key, _))) if lone || nearest(&key.name, known.iter().copied()).is_some() => {
                    Err(self.unknown_key(key.span, &key.name, &known, path))
                }
                (None, _) => Err(self.missing_key(node.span, &known.join("` or `"), schema, path)),
            };
        };
        let allowed: Vec<&str> = variants.iter().filter_map(|variant| tag_value(variant, tag)).collect();
        let Some(value) = node.get(tag) else {
            return Err(self.missing_tag(node.span, tag, &allowed, path));
        };
        let chosen = variants.iter().find(|variant| match (&value.value, tag_value(variant, tag)) {
            (Value::Text(text), Some(name)) => text == name,
            _ => false,
        });
        match chosen {
            Some(variant) => self.check(node, &Json::Object((*variant).clone()), path),
            None => Err(self.not_among(value, &allowed, &join(path, tag))),
        }
    }

    fn check_map(&self, node: &Node, schema: &Map<String, Json>, path: &str) -> CheckResult {
        let Value::Map(entries) = &node.value else { return Ok(()) };
        let none = Map::new();
        let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
        let others = schema.get("additionalProperties");
        let closed = others == Some(&Json::Bool(false));
        for (key, value) in entries {
            match properties.get(&key.name) {
                Some(property) => self.check(value, property, &join(path, &key.name))?,
                None if closed => {
                    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                    return Err(self.unknown_key(key.span, &key.name, &known, path));
                }
                None => self.check(value, others.unwrap_or(&Json::Null), &join(path, &key.name))?,
            }
        }
        match required(schema).find(|key| node.get(key).is_none()) {
            Some(key) => Err(self.missing_key(node.span, key, schema, path)),
            None => Ok(()),
        }
    }

    fn check_list(&self, span: Span, items: &[Node], schema: &Map<String, Json>, path: &str) -> CheckResult {
        let bound = |name: &str| schema.get(name).and_then(Json::as_u64);
        let count = items.len() as u64;
        if bound("minItems").is_some_and(|least| count < least) || bound("maxItems").is_some_and(|most| count > most) {
            let expected = match (bound("minItems"), bound("maxItems")) {
                (Some(least), Some(most)) if least == most => format!("{least} items"),
                (Some(least), Some(most)) => format!("{least} to {most} items"),
                (Some(least), None) => format!("at least {least} items"),
                (None, most) => format!("at most {} items", most.unwrap_or_default()),
            };
            let problem = format!("`{path}` has {count} items, expected {expected}");
            return Err(self.sources.error(span, problem, describe(schema)));
        }
        let Some(of) = schema.get("items") else { return Ok(()) };
        items.iter().enumerate().try_for_each(|(index, item)| self.check(item, of, &join(path, &index.to_string())))
    }

    fn check_range(&self, node: &Node, schema: &Map<String, Json>, path: &str) -> CheckResult {
        let Value::Number(number) = &node.value else { return Ok(()) };
        let value = number.as_f64().unwrap_or(f64::NAN);
        let bound = |name: &str| schema.get(name).and_then(Json::as_f64);
        let low = bound("minimum").is_none_or(|low| value >= low);
        let high = bound("maximum").is_none_or(|high| value <= high);
        if low && high {
            return Ok(());
        }
        let problem = format!("`{path}` is {number}, expected {}", expected(schema));
        Err(self.sources.error(node.span, problem, describe(schema)))
    }

    fn unknown_key(&self, span: Span, name: &str, known: &[&str], path: &str) -> ConfigError {
        let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "no keys are known here".to_owned(),
            None => format!("known keys: {}", known.join(", ")),
        };
        self.sources.error(span, format!("unknown key `{name}`{place}"), Some(help))
    }

    fn missing_key(&self, span: Span, key: &str, schema: &Map<String, Json>, path: &str) -> ConfigError {
        let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
        let property = schema.get("properties").and_then(|properties| properties.get(key));
        let described = |schema: &Json| schema.as_object().and_then(describe);
        let help = property.and_then(|property| described(property).or_else(|| described(self.follow(property))));
        self.sources.error(span, format!("the key `{key}` is missing{place}"), help)
    }

    fn missing_tag(&self, span: Span, tag: &str, allowed: &[&str], path: &str) -> ConfigError {
        let problem = format!("the key `{tag}` is missing in `{path}`");
        self.sources.error(span, problem, Some(format!("`{tag}` is {}", list(allowed))))
    }

    fn not_among(&self, node: &Node, allowed: &[&str], path: &str) -> ConfigError {
        let problem = format!("`{path}` is {}, expected {}", show(node), list(allowed));
        let near = match &node.value {
            Value::Text(text) => nearest(text, allowed.iter().copied()),
            _ => None,
        };
        self.sources.error(node.span, problem, near.map(|near| format!("did you mean `{near}`?")))
    }

    fn wrong_type(&self, node: &Node, variants: &[&Json], path: &str) -> ConfigError {
        let mut wanted: Vec<String> = Vec::new();
        for variant in variants.iter().filter_map(|variant| variant.as_object()) {
            let text = expected(variant);
            if !wanted.contains(&text) {
                wanted.push(text);
            }
        }
        let name = if path.is_empty() { "the config".to_owned() } else { format!("`{path}`") };
        let limit = if is_large_count(node) && wanted.iter().any(|text| text.contains("a whole number")) {
            format!(", which may have an exponent up to {EXACT} (2^53)")
        } else {
            String::new()
        };
        let problem = format!("{name} is {}, expected {}{limit}", show(node), wanted.join(" or "));
        let help = variants.first().and_then(|variant| variant.as_object()).and_then(describe);
        self.sources.error(node.span, problem, help)
    }

    fn follow<'s>(&'s self, schema: &'s Json) -> &'s Json {
        match schema.get("$ref").and_then(Json::as_str) {
            Some(target) => self.resolve(target),
            None => schema,
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
