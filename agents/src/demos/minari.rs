//! Minari's HDF5 layout: a group an episode.

use std::collections::BTreeMap;

use hdf5_pure::{AttrValue, DType, Group};

use super::{
    episode::Episode,
    file::{Source, booleans, numbers},
    links::{EPISODE, linked_episodes},
    metadata::Metadata,
    read::Parts,
    table::table,
};

/// The episodes of a file, which states a number of them perhaps. Empty if there is no episode.
pub(super) fn episodes(source: &Source, root: &Group, stated: &Metadata) -> Result<Parts, String> {
    let groups = root.groups().map_err(|error| format!("the list of its groups: {error}; are some of them links?"))?;
    let mut ids: BTreeMap<u64, Option<String>> =
        groups.into_iter().filter_map(|name| Some((name.strip_prefix(EPISODE)?.parse().ok()?, Some(name)))).collect();
    if stated.totals.0 != Some(ids.len() as u64) {
        for id in linked_episodes(source.file.as_bytes()) {
            ids.entry(id).or_default();
        }
    }
    let mut parts = Parts::default();
    for (expected, (id, name)) in (0..).zip(&ids) {
        if *id != expected && parts.episodes.len() as u64 == expected {
            parts.episodes.push(Err(format!("{EPISODE}{expected}: is missing, and {EPISODE}{id} is there")));
        }
        parts.episodes.push(match name {
            Some(name) => episode(source, root, name, stated),
            None => Err(format!(
                "{EPISODE}{id}: is a link to another file or place, which is not followed; copy its data into this file"
            )),
        });
    }
    Ok(parts)
}

fn episode(source: &Source, root: &Group, name: &str, stated: &Metadata) -> Result<Episode, String> {
    let group = root.group(name).map_err(|error| format!("{name}: {error}"))?;
    let place = |array: &str| format!("{name}/{array}");
    let rewards = numbers(source, &group, "rewards", &place("rewards"), true)?;
    let n = rewards.len_of(&place("rewards"))?;
    let actions = table(source, &group, "actions", &place("actions"), stated.actions.as_ref())?;
    if actions.rows != n {
        return Err(format!("{}: has {} rows for {n} rewards", place("actions"), actions.rows));
    }
    let observations = table(source, &group, "observations", &place("observations"), stated.observations.as_ref())?;
    if observations.rows != n + 1 {
        let (place, rows) = (place("observations"), observations.rows);
        return Err(format!("{place}: has {rows} rows for {n} steps; one more is needed, {}", n + 1));
    }
    let (obs_dim, act_dim) = (observations.dim, actions.dim);
    let attributes = group.attrs().map_err(|error| format!("{name}: {error}"))?;
    if let Some(stated) = attributes.get("total_steps").and_then(AttrValue::as_u64).filter(|stated| *stated != n as u64)
    {
        return Err(format!("{name}: its attribute total_steps is {stated}, it has {n} steps"));
    }
    let mut episode = Episode {
        seed: attributes.get("seed").and_then(|seed| seed.as_u64()),
        observations: observations.data,
        actions: actions.data,
        rewards: rewards.data,
        terminations: booleans(source, &group, "terminations", &place("terminations"))?,
        truncations: booleans(source, &group, "truncations", &place("truncations"))?,
        infos: infos(source, &group, n).map_err(|problem| format!("{name}/infos: {problem}"))?,
    };
    episode.check(obs_dim, act_dim).map_err(|problem| format!("{name}/{problem}"))?;
    episode.close();
    Ok(episode)
}

/// The infos that are one number a step; others (vectors, texts, nested groups) are left out.
fn infos(source: &Source, episode: &Group, n: usize) -> Result<BTreeMap<String, Vec<f64>>, String> {
    let mut infos = BTreeMap::new();
    if !episode.groups().map_err(|error| error.to_string())?.iter().any(|name| name == "infos") {
        return Ok(infos);
    }
    let group = episode.group("infos").map_err(|error| error.to_string())?;
    for name in group.datasets().map_err(|error| error.to_string())? {
        let dataset = group.dataset(&name).map_err(|error| error.to_string())?;
        let shape = dataset.shape().map_err(|error| error.to_string())?;
        let rows = matches!(shape[..], [rows] if rows == n as u64 || rows == n as u64 + 1);
        if rows && matches!(dataset.dtype(), Ok(DType::F32 | DType::F64)) {
            infos.insert(name.clone(), numbers(source, &group, &name, &name, false)?.data);
        }
    }
    Ok(infos)
}
