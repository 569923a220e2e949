//! The `demonstrations` setting: a path, or a path with exceptions from the checks.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Demonstrations to read: a path, or a mapping with exceptions from the checks. The path is that
/// of a Minari or D4RL HDF5 file, or of a Minari dataset's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DemonstrationsConfig {
    /// A Minari or D4RL HDF5 file, or a Minari dataset's folder. Relative paths begin at the
    /// config's folder, or else at the current one.
    File(PathBuf),
    /// A path with exceptions.
    Exceptions(DemonstrationsExceptions),
}

/// A path and the exceptions that its reader makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DemonstrationsExceptions {
    /// A Minari or D4RL HDF5 file, or a Minari dataset's folder.
    pub file: PathBuf,
    /// Differences between the file's description and the task that are accepted. Default: none.
    #[serde(default)]
    pub accept: Vec<Accept>,
    /// Leave out episodes that are damaged or end in their middle, and say how many. Default
    /// `false`, which refuses the file.
    #[serde(default)]
    pub skip_bad_episodes: bool,
}

/// A difference between a file's description and the task, or its own rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// The environment was recorded behind wrappers that change observations, actions or rewards.
    Wrappers,
    /// The environment was made with other options.
    Options,
    /// Its observations or actions have other bounds. Actions are then read as they are if no map
    /// between the two boxes is defined.
    Spaces,
    /// The numbers of episodes and steps that the file states are not those that it has.
    Totals,
}

impl Accept {
    /// The remedy of an error: how to accept this difference.
    pub(super) fn remedy(self) -> String {
        let name = match self {
            Self::Wrappers => "wrappers",
            Self::Options => "options",
            Self::Spaces => "spaces",
            Self::Totals => "totals",
        };
        format!("to use it all the same, write demonstrations: {{file: …, accept: [{name}]}}")
    }
}

impl DemonstrationsConfig {
    /// The file or folder.
    pub fn file(&self) -> &Path {
        match self {
            Self::File(file) => file,
            Self::Exceptions(exceptions) => &exceptions.file,
        }
    }

    /// The file or folder, to be replaced.
    pub fn file_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::File(file) => file,
            Self::Exceptions(exceptions) => &mut exceptions.file,
        }
    }

    /// True if this difference is accepted.
    pub(super) fn accepts(&self, difference: Accept) -> bool {
        matches!(self, Self::Exceptions(exceptions) if exceptions.accept.contains(&difference))
    }

    /// True if bad episodes are left out.
    pub(super) fn skips_bad_episodes(&self) -> bool {
        matches!(self, Self::Exceptions(exceptions) if exceptions.skip_bad_episodes)
    }
}

impl From<&Path> for DemonstrationsConfig {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}
