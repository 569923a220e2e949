//! Episodes of one environment with their origin.

use std::collections::BTreeSet;

use liprl_envs::{BoxSpace, EnvSpec};
use serde_json::{Map, Value};

use super::{episode::Episode, fit::other_bounds};

/// Episodes of one environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Demonstrations {
    /// Origin.
    pub meta: DemoMeta,
    /// At least one, of equal widths.
    pub episodes: Vec<Episode>,
    /// Remarks of the reader: episodes that it split or left out, actions that it mapped.
    pub notes: Vec<String>,
}

/// Origin of demonstrations. Files made elsewhere may lack any of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DemoMeta {
    /// The environment.
    pub env: Option<EnvSpec>,
    /// Python's path to the class of that environment, if it is not one of Gymnasium's.
    pub entry_point: Option<String>,
    /// The wrappers around it, as Gymnasium describes them.
    pub wrappers: Vec<Value>,
    /// Its observations.
    pub observation_space: Option<BoxSpace>,
    /// Its actions.
    pub action_space: Option<BoxSpace>,
    /// All else, by Minari's names if it has one: `algorithm_name`, `author` (a list),
    /// `description`, and the program, checkpoint and config.
    pub extra: Map<String, Value>,
}

/// The task that demonstrations are held against. Files that lack a part of it are accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DemoSpec<'a> {
    /// Id and options.
    pub env: &'a EnvSpec,
    /// Bounds of its observations.
    pub observation_space: &'a BoxSpace,
    /// Bounds of its actions.
    pub action_space: &'a BoxSpace,
}

/// The figures of `liprl demos inspect`.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoSummary {
    /// Steps of each episode.
    pub lengths: Vec<usize>,
    /// Undiscounted sum of rewards of each episode.
    pub returns: Vec<f64>,
    /// Number of episodes that the task itself ended.
    pub terminated: usize,
    /// Mean of the returns.
    pub return_mean: f64,
    /// Their standard deviation (of the sample: divided by n − 1; 0 for one episode).
    pub return_std: f64,
}

impl Demonstrations {
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

    /// Appends the episodes of another set, whose remarks and origin are dropped.
    ///
    /// # Errors
    /// A sentence without its subject if the other is of another task: environment, widths or bounds.
    pub fn append(&mut self, other: Self) -> Result<(), String> {
        let id = |one: &Self| one.meta.env.as_ref().map(|env| env.id.clone());
        if let (Some(ours), Some(theirs)) = (id(self), id(&other))
            && ours != theirs
        {
            return Err(format!("holds demonstrations of {theirs}, not of {ours}"));
        }
        let options = |one: &Self| one.meta.env.as_ref().map(|env| env.options.clone());
        if let (Some(ours), Some(theirs)) = (options(self), options(&other))
            && ours != theirs
        {
            return Err(format!("was recorded with the options {theirs:?}, not {ours:?}"));
        }
        let dims = |one: &Self| (one.obs_dim(), one.act_dim());
        if dims(self) != dims(&other) {
            let ((o, a), (ours, actions)) = (dims(&other), dims(self));
            return Err(format!("has observations of {o} and actions of {a} numbers, not {ours} and {actions}"));
        }
        for (what, ours, theirs) in [
            ("observations", &self.meta.observation_space, &other.meta.observation_space),
            ("actions", &self.meta.action_space, &other.meta.action_space),
        ] {
            if let (Some(ours), Some(theirs)) = (ours, theirs)
                && let Some(difference) = other_bounds(what, theirs, ours)
            {
                return Err(difference);
            }
        }
        self.episodes.extend(other.episodes);
        Ok(())
    }

    /// Keeps the `count` episodes of the largest returns, in their order.
    pub fn keep_best(&mut self, count: usize) {
        let returns = self.summary().returns;
        let mut order: Vec<usize> = (0..returns.len()).collect();
        order.sort_by(|&a, &b| returns[b].total_cmp(&returns[a]));
        let kept: BTreeSet<usize> = order.into_iter().take(count).collect();
        let mut index = 0..;
        self.episodes.retain(|_| index.next().is_some_and(|index| kept.contains(&index)));
    }

    /// Checks that must hold of every file, made after reading and before writing.
    pub(super) fn check(&self) -> Result<(), String> {
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
        Ok(())
    }
}
