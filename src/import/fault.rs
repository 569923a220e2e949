//! The error of a file that cannot be imported.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use crate::usage::Usage;

/// A problem with a file, after the place in it.
#[derive(Debug)]
pub struct Fault {
    text: String,
    usage: bool,
}

impl Fault {
    /// A file that is damaged or not of a kind that can be read.
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { text: problem.into(), usage: false }
    }

    /// A file that is whole and does not fit what was asked for.
    pub(super) fn usage(problem: impl Into<String>) -> Self {
        Self { text: problem.into(), usage: true }
    }

    /// Names the part of the file.
    pub(super) fn at(self, place: impl Display) -> Self {
        Self { text: format!("{place}: {}", self.text), ..self }
    }

    /// The command's error, which names the file.
    pub(crate) fn of(self, path: &Path) -> anyhow::Error {
        let named = self.at(path.display());
        if named.usage { Usage(named.text).into() } else { anyhow::Error::from(named) }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}
