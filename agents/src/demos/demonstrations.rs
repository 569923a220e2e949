//! Demonstrations in Minari's HDF5 layout (Farama Foundation, minari 0.5): reading, writing, summarising.
//!
//! A file holds one group per episode, `episode_<i>`, with `observations` (n + 1 rows), `actions`, `rewards`,
//! `terminations`, `truncations` (n rows) and `infos/…`; what the environment was is JSON in Minari's form. Actions are
//! in the environment's own units (the replay buffer's are in `[-1, 1]`).
//!
//! [`Demonstrations::write`] to `dir/hopper.hdf5` writes that file, complete in itself (the metadata is also an attribute
//! of its root), and beside it the folder by which Python's Minari finds a dataset, with a link to the file:
//! `dir/hopper-v0/data/{main_data.hdf5, metadata.json}`. So
//! ```sh
//! MINARI_DATASETS_PATH=dir python -c 'import minari; print(minari.load_dataset("hopper-v0").total_steps)'
//! ```
//! A path that is already called `…/<name>-v0/data/main_data.hdf5` is written there, with its `metadata.json`.
//!
//! [`Demonstrations::read`] takes such a file or such a folder, also one made by Minari, and D4RL's flat files where they
//! have `next_observations`.

mod d4rl;
mod episode;
mod file;
mod metadata;
mod read;
mod write;

use std::path::Path;

use liprl_envs::{BoxSpace, EnvSpec};
use serde_json::{Map, Value};

pub use episode::Episode;

use crate::AgentError;

/// Episodes of one environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Demonstrations {
    /// Where they come from.
    pub meta: DemoMeta,
    /// At least one, of equal widths.
    pub episodes: Vec<Episode>,
}

/// Where demonstrations come from. Files made elsewhere may lack any of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DemoMeta {
    /// The environment.
    pub env: Option<EnvSpec>,
    /// Its observations.
    pub observation_space: Option<BoxSpace>,
    /// Its actions.
    pub action_space: Option<BoxSpace>,
    /// All else, by Minari's names where it has one: `algorithm_name`, `author` (a list), `description`, and the
    /// program, checkpoint and config.
    pub extra: Map<String, Value>,
}

/// What a reader expects of demonstrations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DemoSpec<'a> {
    /// The environment's id; a file that does not say its own is believed.
    pub env_id: &'a str,
    /// Numbers in an observation.
    pub obs_dim: usize,
    /// Numbers in an action.
    pub act_dim: usize,
}

/// The figures of `liprl demos inspect`.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoSummary {
    /// Steps of each episode.
    pub lengths: Vec<usize>,
    /// Undiscounted sum of rewards of each episode.
    pub returns: Vec<f64>,
    /// Episodes that the task itself ended.
    pub terminated: usize,
    /// Mean of the returns.
    pub return_mean: f64,
    /// Their standard deviation (of the sample: divided by n − 1; 0 for one episode).
    pub return_std: f64,
}

impl Demonstrations {
    /// Reads a file, or the folder of a Minari dataset, and checks it: arrays present, of the right types and lengths,
    /// finite, all episodes of one width, and as `expected`.
    ///
    /// # Errors
    /// [`AgentError::BadDemonstrations`] naming file, episode and array. Damaged files give errors too, never a panic.
    pub fn read(path: impl AsRef<Path>, expected: Option<&DemoSpec<'_>>) -> Result<Self, AgentError> {
        let path = path.as_ref();
        read::read(path, expected).map_err(|problem| refused(path, problem))
    }

    /// Writes the file and its Minari folder, whole or not at all.
    ///
    /// # Errors
    /// [`AgentError::BadDemonstrations`] for episodes that `read` would refuse, and where the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), AgentError> {
        let path = path.as_ref();
        write::write(self, path).map_err(|problem| refused(path, problem))
    }

    /// Numbers in an observation; 0 without episodes.
    pub fn obs_dim(&self) -> usize {
        self.episodes.first().map_or(0, Episode::obs_dim)
    }

    /// Numbers in an action; 0 without episodes.
    pub fn act_dim(&self) -> usize {
        self.episodes.first().map_or(0, Episode::act_dim)
    }

    /// Lengths and returns.
    pub fn summary(&self) -> DemoSummary {
        let returns: Vec<f64> = self.episodes.iter().map(|episode| episode.rewards.iter().sum()).collect();
        let n = returns.len() as f64;
        let return_mean = if returns.is_empty() { 0.0 } else { returns.iter().sum::<f64>() / n };
        let squares: f64 = returns.iter().map(|total| (total - return_mean).powi(2)).sum();
        DemoSummary {
            lengths: self.episodes.iter().map(Episode::len).collect(),
            terminated: self.episodes.iter().filter(|episode| episode.terminations.last() == Some(&true)).count(),
            return_std: if returns.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 },
            returns,
            return_mean,
        }
    }

    /// What must hold of every file: used after reading and before writing.
    fn check(&self, expected: Option<&DemoSpec<'_>>) -> Result<(), String> {
        if self.episodes.is_empty() {
            return Err("holds no episode".into());
        }
        let (o, a) = (self.obs_dim(), self.act_dim());
        for (i, episode) in self.episodes.iter().enumerate() {
            episode.check(o, a).map_err(|problem| format!("episode_{i}/{problem}"))?;
        }
        for (what, space, dim) in
            [("observation", &self.meta.observation_space, o), ("action", &self.meta.action_space, a)]
        {
            if let Some(space) = space.as_ref().filter(|space| space.dim() != dim) {
                return Err(format!("its {what} space has {} coordinates, its {what}s have {dim}", space.dim()));
            }
        }
        let Some(expected) = expected else { return Ok(()) };
        if let Some(env) = self.meta.env.as_ref().filter(|env| env.id != expected.env_id) {
            return Err(format!("holds demonstrations of {}, expected {}", env.id, expected.env_id));
        }
        if (o, a) != (expected.obs_dim, expected.act_dim) {
            return Err(format!(
                "has observations of {o} and actions of {a} numbers, {} has {} and {}; was it recorded with other options?",
                expected.env_id, expected.obs_dim, expected.act_dim
            ));
        }
        Ok(())
    }
}

fn refused(path: &Path, problem: String) -> AgentError {
    AgentError::BadDemonstrations { path: path.display().to_string(), problem }
}
