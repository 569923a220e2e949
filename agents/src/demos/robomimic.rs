//! robomimic's files (Mandlekar et al. 2021): a group a demonstration, `data/demo_<i>`, with `obs`
//! and `next_obs` by keys (N rows each), `actions`, `rewards`, `dones`; lists of demonstrations in
//! `mask`. Pictures are not read.
//!
//! A demonstration ends with a termination if its last row is `done`. Some files mark every step at
//! which the task is solved; those before the last are passed over. Without `next_obs` the last
//! action is left out, as what it led to is not known.

use std::collections::BTreeMap;

use hdf5_pure::{AttrValue, Group};
use serde_json::{Map, Value, json};

use super::{
    config::DemonstrationsFile,
    episode::Episode,
    file::{Source, numbers, texts},
    python_json,
    read::Parts,
    table::{Table, has_group, joined_arrays},
};

/// The group of the demonstrations.
pub(super) const DATA: &str = "data";
/// Beginning of the name of a demonstration.
const DEMO: &str = "demo_";
const MASK: &str = "mask";

/// True if the root has robomimic's groups.
pub(super) fn is_robomimic(root: &Group) -> Result<bool, String> {
    Ok(has_group(root, DATA, DATA)? && !demos(&open(root, DATA, DATA)?)?.is_empty())
}

/// The file's description of its environment, by Minari's names.
pub(super) fn metadata(root: &Group) -> Result<Map<String, Value>, String> {
    let attributes = open(root, DATA, DATA)?.attrs().map_err(|error| format!("{DATA}: {error}"))?;
    let mut all = Map::new();
    let Some(text) = attributes.get("env_args").and_then(AttrValue::as_str) else { return Ok(all) };
    let env = python_json::parse(text).map_err(|error| format!("{DATA}: attribute env_args: {error}"))?;
    if let Some(name) = env["env_name"].as_str() {
        all.insert("env_spec".into(), json!({"id": name}));
    }
    all.insert("env_args".into(), env);
    Ok(all)
}

/// The demonstrations that the settings ask for.
pub(super) fn episodes(source: &Source, settings: &DemonstrationsFile) -> Result<Parts, String> {
    let root = source.file.root();
    let data = open(&root, DATA, DATA)?;
    let mut demos = demos(&data)?;
    if let Some(filter) = &settings.filter {
        let wanted = filtered(source, &root, filter)?;
        if let Some(missing) = wanted.iter().find(|name| !demos.values().any(|demo| demo == *name)) {
            return Err(format!("{MASK}/{filter}: names {missing:?}, which is not in {DATA}"));
        }
        demos.retain(|_, demo| wanted.contains(demo));
    }
    let Some(first) = demos.values().next() else { return Err(format!("{DATA}: has no demonstration")) };
    let (mut parts, mut early) = (Parts::default(), 0);
    let keys = match &settings.obs_keys {
        Some(keys) if !keys.is_empty() => keys.clone(),
        _ => {
            let keys = all_keys(&data, first)?;
            parts.notes.push(format!("observations are all keys with a row of numbers a step: {}", keys.join(", ")));
            keys
        }
    };
    for name in demos.values() {
        let episode = Demo::read(source, &data, name, &keys).and_then(|demo| {
            early += usize::from(demo.dones[..demo.dones.len() - 1].contains(&true));
            demo.episode()
        });
        parts.episodes.push(episode);
    }
    if early > 0 {
        parts.notes.push(format!("demonstrations that are done before their last step: {early}; only the last counts"));
    }
    Ok(parts)
}

/// The arrays of a demonstration of n rows.
struct Demo {
    place: String,
    obs: Table,
    /// The observation after the last step.
    last: Option<Vec<f64>>,
    actions: Table,
    rewards: Vec<f64>,
    dones: Vec<bool>,
}

impl Demo {
    fn read(source: &Source, data: &Group, name: &str, keys: &[String]) -> Result<Self, String> {
        let place = format!("{DATA}/{name}");
        let group = open(data, name, &place)?;
        let array = |name: &str| format!("{place}/{name}");
        let table = |name: &str| -> Result<Table, String> {
            joined_arrays(source, &open(&group, name, &array(name))?, &array(name), keys)
        };
        let actions = numbers(source, &group, "actions", &array("actions"), false)?;
        let (n, a) = actions.rows_of(&array("actions"))?;
        let column = |name: &str| {
            let column = numbers(source, &group, name, &array(name), true)?;
            let rows = column.len_of(&array(name))?;
            if rows == n { Ok(column.data) } else { Err(format!("{}: has {rows} rows for {n} actions", array(name))) }
        };
        let (rewards, dones) = (column("rewards")?, column("dones")?);
        let obs = table("obs")?;
        let next = if has_group(&group, "next_obs", &place)? { Some(table("next_obs")?) } else { None };
        for (name, other) in [("obs", Some(&obs)), ("next_obs", next.as_ref())] {
            if let Some(other) = other.filter(|other| other.rows != n || other.dim != obs.dim || n == 0) {
                let (rows, dim) = (other.rows, other.dim);
                return Err(format!("{}: has {rows} rows of {dim} numbers for {n} actions", array(name)));
            }
        }
        let attributes = group.attrs().map_err(|error| format!("{place}: {error}"))?;
        let stated = attributes.get("num_samples").and_then(AttrValue::as_u64);
        if let Some(stated) = stated.filter(|stated| *stated != n as u64) {
            return Err(format!("{place}: its attribute num_samples is {stated}, it has {n} actions"));
        }
        let last = next.map(|next| next.data[(n - 1) * next.dim..].to_vec());
        let (actions, dones) =
            (Table { rows: n, dim: a, data: actions.data }, dones.iter().map(|&x| x != 0.0).collect());
        Ok(Self { place, obs, last, actions, rewards, dones })
    }

    fn episode(self) -> Result<Episode, String> {
        let Self { place, obs, last, mut actions, mut rewards, dones } = self;
        let mut observations = obs.data;
        let done = last.is_some() && dones.last() == Some(&true);
        match last {
            Some(last) => observations.extend(last),
            None => {
                rewards.pop();
                actions.data.truncate(rewards.len() * actions.dim);
            }
        }
        let n = rewards.len();
        if n == 0 {
            return Err(format!("{place}: has one row and no next_obs, so that no step is whole"));
        }
        let end = |is: bool| (0..n).map(|row| is && row + 1 == n).collect();
        let (terminations, truncations) = (end(done), end(!done));
        let episode = Episode {
            seed: None,
            observations,
            actions: actions.data,
            rewards,
            terminations,
            truncations,
            infos: BTreeMap::new(),
        };
        episode.check(obs.dim, actions.dim).map_err(|problem| format!("{place}/{problem}"))?;
        Ok(episode)
    }
}

/// The demonstrations' names, by their numbers.
fn demos(data: &Group) -> Result<BTreeMap<u64, String>, String> {
    let groups = data.groups().map_err(|error| format!("{DATA}: {error}"))?;
    Ok(groups.into_iter().filter_map(|name| Some((name.strip_prefix(DEMO)?.parse().ok()?, name))).collect())
}

/// The names in a filter.
fn filtered(source: &Source, root: &Group, filter: &str) -> Result<Vec<String>, String> {
    let known = if has_group(root, MASK, MASK)? {
        open(root, MASK, MASK)?.datasets().map_err(|error| format!("{MASK}: {error}"))?
    } else {
        Vec::new()
    };
    if !known.iter().any(|name| name == filter) {
        let there = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        return Err(format!("{MASK}: has no filter {filter:?}; {there}"));
    }
    texts(source, &open(root, MASK, MASK)?, filter, &format!("{MASK}/{filter}"))
}

/// The keys of the first demonstration that have one row of numbers a step, by name.
fn all_keys(data: &Group, demo: &str) -> Result<Vec<String>, String> {
    let place = format!("{DATA}/{demo}/obs");
    let wrap = |error: hdf5_pure::Error| format!("{place}: {error}");
    let obs = open(&open(data, demo, &place)?, "obs", &place)?;
    let mut keys = Vec::new();
    for name in obs.datasets().map_err(wrap)? {
        if obs.dataset(&name).map_err(wrap)?.shape().map_err(wrap)?.len() <= 2 {
            keys.push(name);
        }
    }
    keys.sort();
    if keys.is_empty() { Err(format!("{place}: has no key with a row of numbers a step")) } else { Ok(keys) }
}

fn open(group: &Group, name: &str, place: &str) -> Result<Group, String> {
    if !has_group(group, name, place)? {
        return Err(format!("{place}: is missing"));
    }
    group.group(name).map_err(|error| format!("{place}: {error}"))
}
