//! YAML as a tree of keys and values with their places in the text.
//!
//! Only [`parse`] reads with serde-saphyr: a change of YAML library changes this file alone.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Spanned, options::DuplicateKeyPolicy, options::NonFiniteFloatPolicy};

/// A place in a text: a source's number, and 1-based line and column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// Index into [`super::Sources`].
    pub source: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Characters to underline.
    pub width: usize,
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Its text.
    pub name: String,
    /// Its place.
    pub span: Span,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The value.
    pub value: Value,
    /// Its place.
    pub span: Span,
}

/// Beyond 2⁵³ a float no longer names one whole number.
pub(super) const EXACT: f64 = 9_007_199_254_740_992.0;

/// YAML's core types. Whole floats (`1e6`) become integers, so that counts may have an exponent.
/// JSON has no infinity, so `.inf`, `-.inf` and `.nan` become the texts `inf`, `-inf` and `nan`.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in file order.
    Map(Vec<(Key, Node)>),
}

/// A syntax error or a repeated key.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    /// The place, if known.
    pub span: Span,
    /// The problem.
    pub problem: String,
}

/// Reads one YAML document; `source` goes into every span.
pub(crate) fn parse(text: &str, source: usize) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    let mut root: Node = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let span = error.location().map_or(Span { line: 1, column: 1, width: 1, source }, |at| Span {
            source,
            line: at.line() as usize,
            column: at.column() as usize,
            width: 1,
        });
        let message = error.to_string();
        // The library appends the place, and to some messages advice for callers after a semicolon.
        let problem =
            message.split(" at line ").next().and_then(|text| text.split("; use ").next()).unwrap_or(&message);
        SyntaxError { span, problem: problem.to_owned() }
    })?;
    root.finish(source, &text.lines().collect::<Vec<_>>())?;
    Ok(root)
}

impl Node {
    /// The value under a key, if this is a mapping that has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Converts JSON to a value whose parts all have one place.
    pub(crate) fn from_json(value: &serde_json::Value, span: Span) -> Self {
        use serde_json::Value as Json;
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Number(number) => Value::Number(number.clone()),
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => Value::List(items.iter().map(|item| Self::from_json(item, span)).collect()),
            Json::Object(map) => {
                let entry =
                    |(name, value): (&String, &Json)| (Key { name: name.clone(), span }, Self::from_json(value, span));
                Value::Map(map.iter().map(entry).collect())
            }
        };
        Self { value, span }
    }

    /// Converts to JSON, which has no places.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.clone().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect(),
        }
    }

    /// Sets the source, and rejects repeated keys and numbers too large for f64.
    fn finish(&mut self, source: usize, lines: &[&str]) -> Result<(), SyntaxError> {
        self.span.source = source;
        match &mut self.value {
            Value::List(items) => items.iter_mut().try_for_each(|item| item.finish(source, lines)),
            Value::Map(entries) => {
                let mut given = HashMap::new();
                for (key, node) in entries {
                    key.span.source = source;
                    if let Some(first) = given.insert(key.name.as_str(), key.span.line) {
                        let problem = format!("the key `{}` was already given on line {first}", key.name);
                        return Err(SyntaxError { span: key.span, problem });
                    }
                    node.finish(source, lines)?;
                }
                Ok(())
            }
            Value::Text(text) if [".inf", "-.inf", ".nan"].contains(&text.as_str()) => {
                let line = lines.get(self.span.line.saturating_sub(1)).copied().unwrap_or_default();
                let written: String =
                    line.chars().skip(self.span.column.saturating_sub(1)).take(self.span.width).collect();
                if written.contains(|c: char| c.is_ascii_digit()) {
                    let problem = format!("`{}` is beyond the largest number, {:.1e}", written.trim(), f64::MAX);
                    return Err(SyntaxError { span: self.span, problem });
                }
                text.retain(|c| c != '.');
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn span<T>(spanned: &Spanned<T>) -> Span {
    let at = spanned.referenced;
    Span { source: 0, line: at.line() as usize, column: at.column() as usize, width: at.span().len() as usize }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { span: span(&spanned), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        if value.fract() == 0.0 && value.abs() <= EXACT {
            return Ok(Value::Number((value as i64).into()));
        }
        let text = match value {
            f64::INFINITY => ".inf",
            f64::NEG_INFINITY => "-.inf",
            _ => ".nan",
        };
        Ok(serde_json::Number::from_f64(value).map_or_else(|| Value::Text(text.to_owned()), Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let key = Key { span: span(&key), name: key.value };
            map.push((key, entries.next_value()?));
        }
        Ok(Value::Map(map))
    }
}
