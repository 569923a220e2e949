//! `--set key.path=value`, and the flags that are short for one.

use super::error::{ConfigError, Sources};
use super::node::{Key, Node, Span, Value, parse};

/// A value from the command line that replaces or adds to one of the file.
#[derive(Clone, Debug)]
pub struct Override {
    /// The flag as typed, for error messages.
    label: String,
    /// The argument as typed.
    text: String,
    /// The path of a flag that is short for one key; `None` if the text itself is `path=value`.
    path: Option<&'static str>,
}

impl Override {
    /// `--set key.path=value`.
    pub fn set(text: &str) -> Self {
        Self { label: "--set".to_owned(), text: text.to_owned(), path: None }
    }

    /// A flag such as `--seed 3`, which is `--set seed=3`.
    pub fn flag(path: &'static str, value: impl ToString) -> Self {
        Self { label: format!("--{path}"), text: value.to_string(), path: Some(path) }
    }

    /// The path it sets, which may be malformed.
    pub(crate) fn path(&self) -> &str {
        self.path.unwrap_or_else(|| self.text.split('=').next().unwrap_or_default())
    }

    /// Puts the value into the tree and makes missing mappings.
    pub(crate) fn apply(&self, root: &mut Node, sources: &mut Sources) -> Result<(), ConfigError> {
        let source = sources.add(&self.label, &self.text);
        let (path, before) = match (self.path, self.text.split_once('=')) {
            (Some(path), _) => (path, 0),
            (None, Some((path, _))) => (path, path.len() + 1),
            (None, None) => {
                let span = Span { source, line: 1, column: 1, width: self.text.chars().count() };
                return Err(sources.error(span, "expected key.path=value", None));
            }
        };
        // Blanks in place of the path keep the columns of the argument.
        let indent = " ".repeat(self.text[..before].chars().count());
        let value = parse(&format!("{indent}{}", &self.text[before..]), source)
            .map_err(|error| sources.error(error.span, error.problem, None))?;
        insert(root, &names(path, Span { source, line: 1, column: 1, width: 1 }, sources)?, value);
        Ok(())
    }
}

/// Splits a dotted path that starts at a place into names with their places.
pub(crate) fn names<'a>(path: &'a str, at: Span, sources: &Sources) -> Result<Vec<(&'a str, Span)>, ConfigError> {
    let mut column = at.column;
    let named = path.split('.').map(|name| {
        let span = Span { column, width: name.chars().count(), ..at };
        column += span.width + 1;
        if name.is_empty() {
            return Err(sources.error(span, "a path is names joined by single dots", None));
        }
        Ok((name, span))
    });
    named.collect()
}

/// Puts a value under a path of names. An environment given by its id alone becomes `{id: …}`,
/// demonstrations by their path `{file: …}`; any other value that is not a mapping is replaced by
/// one.
pub(crate) fn insert(node: &mut Node, path: &[(&str, Span)], value: Node) {
    let [(name, span), rest @ ..] = path else {
        *node = value;
        return;
    };
    // The settings beside a path that stands for a mapping.
    let short = if ["accept", "skip_bad_episodes"].contains(name) { "file" } else { "id" };
    let mut entries = match std::mem::replace(&mut node.value, Value::Null) {
        Value::Map(entries) => entries,
        id @ Value::Text(_) => {
            vec![(Key { name: short.to_owned(), span: node.span }, Node { value: id, span: node.span })]
        }
        _ => Vec::new(),
    };
    let index = entries.iter().position(|(key, _)| key.name == *name).unwrap_or_else(|| {
        entries.push((Key { name: (*name).to_owned(), span: *span }, Node { value: Value::Null, span: *span }));
        entries.len() - 1
    });
    insert(&mut entries[index].1, rest, value);
    node.value = Value::Map(entries);
}
