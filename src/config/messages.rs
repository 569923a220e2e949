//! Text of schema errors, and the JSON Schema keywords it is made from.

use serde_json::{Map, Value as Json};

use super::node::{EXACT, Node, Value};

pub(super) fn required(schema: &Map<String, Json>) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

/// The texts that a schema of constants allows.
pub(super) fn constants(schema: &Map<String, Json>) -> Option<Vec<&str>> {
    if let Some(only) = schema.get("const") {
        return Some(only.as_str().into_iter().collect());
    }
    Some(schema.get("enum")?.as_array()?.iter().filter_map(Json::as_str).collect())
}

/// The property that is a constant in every variant.
pub(super) fn tag_of<'a>(variants: &[&'a Map<String, Json>]) -> Option<&'a str> {
    let properties = variants.first()?.get("properties")?.as_object()?;
    let tag = properties.keys().find(|key| variants.iter().all(|variant| tag_value(variant, key).is_some()));
    tag.map(String::as_str)
}

pub(super) fn tag_value<'a>(variant: &'a Map<String, Json>, tag: &str) -> Option<&'a str> {
    variant.get("properties")?.get(tag)?.get("const")?.as_str()
}

pub(super) fn types(schema: &Map<String, Json>) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ if schema.contains_key("const") || schema.contains_key("enum") => vec!["string"],
        _ => Vec::new(),
    }
}

pub(super) fn fits_type(node: &Node, schema: &Map<String, Json>) -> bool {
    let types = types(schema);
    types.is_empty()
        || types.iter().any(|name| match &node.value {
            Value::Null => *name == "null",
            Value::Bool(_) => *name == "boolean",
            Value::Number(number) => *name == "number" || (*name == "integer" && !number.is_f64()),
            Value::Text(_) => *name == "string",
            Value::List(_) => *name == "array",
            Value::Map(_) => *name == "object",
        })
}

/// True for a whole number with an exponent that is too large to name one whole number.
pub(super) fn is_large_count(node: &Node) -> bool {
    let Value::Number(number) = &node.value else { return false };
    number.is_f64() && number.as_f64().is_some_and(|x| x.fract() == 0.0 && x.abs() > EXACT)
}

/// The type and range of a schema, in words.
pub(super) fn expected(schema: &Map<String, Json>) -> String {
    let names = types(schema).into_iter().map(|name| match name {
        "integer" => format!("a whole number{}", range(schema)),
        "number" => format!("a number{}", range(schema)),
        "boolean" => "true or false".to_owned(),
        "array" => "a list".to_owned(),
        "object" => "a mapping".to_owned(),
        "null" => "null".to_owned(),
        _ => match constants(schema) {
            Some(allowed) => list(&allowed),
            None => "a text".to_owned(),
        },
    });
    names.collect::<Vec<_>>().join(" or ")
}

pub(super) fn range(schema: &Map<String, Json>) -> String {
    let bound = |name: &str| schema.get(name).and_then(Json::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None) => format!(" of at least {low}"),
        (None, Some(high)) => format!(" of at most {high}"),
        (None, None) => String::new(),
    }
}

pub(super) fn list(names: &[&str]) -> String {
    match names {
        [one] => format!("`{one}`"),
        _ => format!("one of {}", names.join(", ")),
    }
}

pub(super) fn show(node: &Node) -> String {
    match &node.value {
        Value::Null => "empty".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("the text `{text}`"),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

/// The first sentence of the setting's documentation.
pub(super) fn describe(schema: &Map<String, Json>) -> Option<String> {
    let line = schema.get("description")?.as_str()?.lines().next()?;
    Some(line.split_once(". ").map_or(line, |(first, _)| first).trim_end_matches('.').to_owned())
}
