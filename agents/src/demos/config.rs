//! The `demonstrations` setting: a path, a path with its reader's settings, or a dataset's id.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{local::dataset_folder, read::bad_demonstrations};
use crate::AgentError;

/// Demonstrations to read: a path, a mapping with a path and settings of its reader, or Minari's id of a
/// dataset. The path is that of an HDF5 file of Minari, D4RL or robomimic, or of a Minari dataset's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DemonstrationsConfig {
    /// An HDF5 file of Minari, D4RL or robomimic, or a Minari dataset's folder. Relative paths begin
    /// at the config's folder, or else at the current one.
    File(PathBuf),
    /// A path with settings of its reader.
    Settings(DemonstrationsFile),
    /// A dataset of Minari's on this machine.
    Minari(DemonstrationsDataset),
}

/// A path, and the reader's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DemonstrationsFile {
    /// An HDF5 file of Minari, D4RL or robomimic, or a Minari dataset's folder.
    pub file: PathBuf,
    /// Layout of the file. Default: the one that its groups show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<DemonstrationsFormat>,
    /// robomimic: the observation's keys, joined in this order. Default: all that have one row of
    /// numbers a step, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obs_keys: Option<Vec<String>>,
    /// robomimic: the name of a filter in the file's `mask`, such as `train`; other demonstrations are
    /// left out. Default: all are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Differences between the file's description and the task that are accepted. Default: none.
    #[serde(default)]
    pub accept: Vec<Accept>,
    /// Leave out episodes that are damaged or end in their middle, and say how many. Default
    /// `false`, which refuses the file.
    #[serde(default)]
    pub skip_bad_episodes: bool,
}

/// Minari's id of a dataset, and the reader's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DemonstrationsDataset {
    /// Id of a dataset in `$MINARI_DATASETS_PATH`, or else in `~/.minari/datasets`, such as
    /// `mujoco/hopper/expert-v0`.
    pub minari: String,
    /// Differences between the file's description and the task that are accepted. Default: none.
    #[serde(default)]
    pub accept: Vec<Accept>,
    /// Leave out episodes that are damaged or end in their middle, and say how many. Default
    /// `false`, which refuses the file.
    #[serde(default)]
    pub skip_bad_episodes: bool,
}

/// Layout of a file of demonstrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DemonstrationsFormat {
    /// A group an episode, `episode_0`.
    Minari,
    /// All episodes end to end in arrays of the root.
    D4rl,
    /// A group a demonstration, `data/demo_0`, with observations by keys.
    Robomimic,
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

impl DemonstrationsFormat {
    /// Its name in a config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minari => "minari",
            Self::D4rl => "d4rl",
            Self::Robomimic => "robomimic",
        }
    }
}

impl DemonstrationsConfig {
    /// The file or folder, or a dataset's id as it is written.
    pub fn file(&self) -> &Path {
        match self {
            Self::File(file) => file,
            Self::Settings(settings) => &settings.file,
            Self::Minari(dataset) => Path::new(&dataset.minari),
        }
    }

    /// The file or folder, to be replaced; `None` for a dataset's id.
    pub fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::File(file) => Some(file),
            Self::Settings(settings) => Some(&mut settings.file),
            Self::Minari(_) => None,
        }
    }

    /// This setting with the folder of a dataset in place of its id.
    ///
    /// # Errors
    /// [`AgentError::BadDemonstrations`] for an id that is not on this machine, with similar ones
    /// that are.
    pub fn located(&self) -> Result<Self, AgentError> {
        let Self::Minari(dataset) = self else { return Ok(self.clone()) };
        let file = dataset_folder(&dataset.minari).map_err(|problem| bad_demonstrations(self.file(), problem))?;
        let DemonstrationsDataset { accept, skip_bad_episodes, .. } = dataset.clone();
        Ok(Self::Settings(DemonstrationsFile { file, accept, skip_bad_episodes, ..DemonstrationsFile::default() }))
    }

    /// True if this difference is accepted.
    pub(super) fn accepts(&self, difference: Accept) -> bool {
        match self {
            Self::File(_) => false,
            Self::Settings(DemonstrationsFile { accept, .. }) | Self::Minari(DemonstrationsDataset { accept, .. }) => {
                accept.contains(&difference)
            }
        }
    }

    /// True if bad episodes are left out.
    pub(super) fn skips_bad_episodes(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Settings(settings) => settings.skip_bad_episodes,
            Self::Minari(dataset) => dataset.skip_bad_episodes,
        }
    }

    /// The reader's settings; those of a path alone are the defaults.
    pub(super) fn settings(&self) -> DemonstrationsFile {
        match self {
            Self::Settings(settings) => settings.clone(),
            Self::File(_) | Self::Minari(_) => DemonstrationsFile::default(),
        }
    }
}

impl From<&Path> for DemonstrationsConfig {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}
