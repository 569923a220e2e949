//! Config errors, each shown at its place in the source text.

use std::fmt;

use super::node::Span;

/// The texts of a config: its file, then each override of the command line.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<(String, String)>);

impl Sources {
    /// Adds a text under its name in error messages; returns its number.
    pub(crate) fn add(&mut self, label: impl Into<String>, text: impl Into<String>) -> usize {
        self.0.push((label.into(), text.into()));
        self.0.len() - 1
    }

    /// Makes an error at a place of one of the texts.
    pub(crate) fn error(&self, span: Span, problem: impl Into<String>, help: Option<String>) -> ConfigError {
        let (label, text) = self.0.get(span.source).cloned().unwrap_or_default();
        let line = span.line.max(1);
        let snippet = text.lines().nth(line - 1).unwrap_or_default().trim_end().to_owned();
        let column = span.column.max(1);
        let room = snippet.chars().count().saturating_sub(column - 1).max(1);
        ConfigError { label, line, column, width: span.width.clamp(1, room), snippet, problem: problem.into(), help }
    }
}

/// An error in a config: file, line, column, the line itself, the problem, and the expected value
/// or nearest valid name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    label: String,
    line: usize,
    column: usize,
    width: usize,
    snippet: String,
    problem: String,
    help: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}: {}", self.label, self.line, self.column, self.problem)?;
        let gutter = " ".repeat(self.line.to_string().len());
        writeln!(f, " {} | {}", self.line, self.snippet)?;
        write!(f, " {gutter} | {}{}", " ".repeat(self.column - 1), "^".repeat(self.width))?;
        match &self.help {
            Some(help) => write!(f, "\n {gutter} = {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}
