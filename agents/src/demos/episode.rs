//! One demonstrated episode.

use std::collections::BTreeMap;

use liprl_envs::Step;

/// n steps, in the environment's own units. All two-dimensional arrays are row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Episode {
    /// Seed of the reset, if known.
    pub seed: Option<u64>,
    /// `[n + 1, O]`: the first is the one of `reset`.
    pub observations: Vec<f64>,
    /// `[n, A]`.
    pub actions: Vec<f64>,
    /// `[n]`.
    pub rewards: Vec<f64>,
    /// `[n]`: the task itself ended here.
    pub terminations: Vec<bool>,
    /// `[n]`: the episode was cut off here.
    pub truncations: Vec<bool>,
    /// Named quantities, `[n + 1]` (the first of the reset, NaN if it gave none) or `[n]`.
    pub infos: BTreeMap<String, Vec<f64>>,
}

impl Episode {
    /// An episode that begins with this observation and these infos of the reset.
    pub fn begin(seed: Option<u64>, obs: &[f64], info: &[(&str, f64)]) -> Self {
        let mut episode = Self { seed, observations: obs.to_vec(), ..Self::default() };
        episode.note(info);
        episode
    }

    /// Appends a step: the action, its result, and the observation and infos that followed.
    pub fn push(&mut self, action: &[f64], step: &Step, obs: &[f64], info: &[(&str, f64)]) {
        self.actions.extend_from_slice(action);
        self.rewards.push(step.reward);
        self.terminations.push(step.terminated);
        self.truncations.push(step.truncated);
        self.observations.extend_from_slice(obs);
        self.note(info);
    }

    /// Row `len()` of the infos; a name that was missing before, or is now, has NaN there.
    fn note(&mut self, info: &[(&str, f64)]) {
        let rows = self.len();
        for (name, value) in info {
            let series = self.infos.entry((*name).to_owned()).or_default();
            series.resize(rows, f64::NAN);
            series.push(*value);
        }
        self.infos.values_mut().for_each(|series| series.resize(rows + 1, f64::NAN));
    }

    /// Steps, n.
    pub fn len(&self) -> usize {
        self.rewards.len()
    }

    /// True if there are no steps.
    pub fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }

    /// Numbers in an observation.
    pub fn obs_dim(&self) -> usize {
        self.observations.len() / (self.len() + 1)
    }

    /// Numbers in an action.
    pub fn act_dim(&self) -> usize {
        self.actions.len() / self.len().max(1)
    }

    /// The observation before step `i`; that after the last for `i = n`.
    pub fn observation(&self, i: usize) -> &[f64] {
        &self.observations[i * self.obs_dim()..][..self.obs_dim()]
    }

    /// The action of step `i`.
    pub fn action(&self, i: usize) -> &[f64] {
        &self.actions[i * self.act_dim()..][..self.act_dim()]
    }

    /// Marks the end of an episode that has none: it was cut off there.
    pub(super) fn close(&mut self) {
        if let (Some(false), Some(truncated)) = (self.terminations.last(), self.truncations.last_mut()) {
            *truncated = true;
        }
    }

    /// Checks lengths, finiteness (in f32, which networks compute in) and that no step before the
    /// last is an end; an error names the array and the row.
    pub(super) fn check(&self, obs_dim: usize, act_dim: usize) -> Result<(), String> {
        let n = self.len();
        if n == 0 {
            return Err("rewards: has no step".into());
        }
        if obs_dim == 0 || act_dim == 0 {
            return Err("observations or actions: have no coordinate".into());
        }
        for (name, data, rows, dim) in [
            ("observations", &self.observations, n + 1, obs_dim),
            ("actions", &self.actions, n, act_dim),
            ("rewards", &self.rewards, n, 1),
        ] {
            if data.len() != rows * dim {
                return Err(format!("{name}: has {} numbers, {rows} rows of {dim} are {}", data.len(), rows * dim));
            }
            if let Some(at) = data.iter().position(|x| !(*x as f32).is_finite()) {
                let beyond = if data[at].is_finite() { ", beyond the range of f32" } else { "" };
                return Err(format!("{name}: is {:?} at row {}, coordinate {}{beyond}", data[at], at / dim, at % dim));
            }
        }
        for (name, marks) in [("terminations", &self.terminations), ("truncations", &self.truncations)] {
            if marks.len() != n {
                return Err(format!("{name}: has {} rows for {n} rewards", marks.len()));
            }
            if let Some(row) = marks[..n - 1].iter().position(|&end| end) {
                return Err(format!("{name}: is true at row {row}, in the middle of the episode, which has {n} steps"));
            }
        }
        Ok(())
    }
}
