//! From a file to [`Demonstrations`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hdf5_pure::{DType, File, Group};

use super::{
    d4rl,
    demonstrations::{DemoSpec, Demonstrations},
    episode::Episode,
    file::{booleans, numbers},
    metadata,
};
use crate::AgentError;

/// Name of the root's attribute that repeats `metadata.json`.
pub(super) const METADATA_ATTRIBUTE: &str = "minari_metadata";

impl Demonstrations {
    /// Reads a file, or the folder of a Minari dataset, and checks it: arrays present, of the right
    /// types and lengths, finite, all episodes of one width, and as `expected`.
    ///
    /// # Errors
    /// [`AgentError::BadDemonstrations`] naming file, episode and array. Damaged files give errors
    /// too, never a panic.
    pub fn read(path: impl AsRef<Path>, expected: Option<&DemoSpec<'_>>) -> Result<Self, AgentError> {
        let path = path.as_ref();
        read(path, expected).map_err(|problem| bad_demonstrations(path, problem))
    }
}

/// The error of a file that cannot be read or written.
pub(super) fn bad_demonstrations(path: &Path, problem: String) -> AgentError {
    AgentError::BadDemonstrations { path: path.display().to_string(), problem }
}

fn read(path: &Path, expected: Option<&DemoSpec<'_>>) -> Result<Demonstrations, String> {
    let path = data_file(path)?;
    let file = File::open(&path).map_err(|error| match error {
        hdf5_pure::Error::Io(error) => error.to_string(),
        error => format!("is not a readable HDF5 file ({error})"),
    })?;
    let root = file.root();
    let mut ids: Vec<(u64, String)> = root
        .groups()
        .map_err(|error| error.to_string())?
        .into_iter()
        .filter_map(|name| Some((name.strip_prefix("episode_")?.parse().ok()?, name)))
        .collect();
    ids.sort_unstable();
    let flat = ids.is_empty() && root.datasets().is_ok_and(|names| names.iter().any(|name| name == "observations"));
    let episodes = if flat {
        d4rl::episodes(&file)?
    } else if ids.is_empty() {
        return Err("has no group episode_0; is it a Minari dataset?".into());
    } else {
        ids.iter().map(|(_, name)| episode(&file, &root, name)).collect::<Result<_, _>>()?
    };
    let meta = match metadata_text(&path, &root)? {
        Some(text) => metadata::parse(&text).map_err(|problem| format!("metadata: {problem}"))?,
        None => Default::default(),
    };
    let demonstrations = Demonstrations { meta, episodes };
    demonstrations.check(expected)?;
    Ok(demonstrations)
}

/// The HDF5 file itself; `path` may also be a dataset's folder or its `data` folder.
fn data_file(path: &Path) -> Result<PathBuf, String> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    [path.join("data/main_data.hdf5"), path.join("main_data.hdf5")]
        .into_iter()
        .find(|file| file.is_file())
        .ok_or_else(|| "is a folder without data/main_data.hdf5".into())
}

/// The metadata: inside files of ours, beside those of Minari.
fn metadata_text(path: &Path, root: &Group) -> Result<Option<String>, String> {
    let attributes = root.attrs().map_err(|error| format!("attributes: {error}"))?;
    if let Some(text) = attributes.get(METADATA_ATTRIBUTE).and_then(|value| value.as_str()) {
        return Ok(Some(text.to_owned()));
    }
    let beside = path.with_file_name("metadata.json");
    if path.file_name().is_some_and(|name| name == "main_data.hdf5") && beside.is_file() {
        return fs_err::read_to_string(beside).map(Some).map_err(|error| error.to_string());
    }
    Ok(None)
}

fn episode(file: &File, root: &Group, name: &str) -> Result<Episode, String> {
    let group = root.group(name).map_err(|error| format!("{name}: {error}"))?;
    let place = |array: &str| format!("{name}/{array}");
    let rewards = numbers(file, &group, "rewards", &place("rewards"), true)?;
    let n = rewards.len_of(&place("rewards"))?;
    let actions = numbers(file, &group, "actions", &place("actions"), false)?;
    let (rows, _) = actions.rows_of(&place("actions"))?;
    if rows != n {
        return Err(format!("{}: has {rows} rows for {n} rewards", place("actions")));
    }
    let observations = numbers(file, &group, "observations", &place("observations"), false)?;
    let (rows, _) = observations.rows_of(&place("observations"))?;
    if rows != n + 1 {
        return Err(format!("{}: has {rows} rows for {n} steps; one more is needed, {}", place("observations"), n + 1));
    }
    let attributes = group.attrs().map_err(|error| format!("{name}: {error}"))?;
    Ok(Episode {
        seed: attributes.get("seed").and_then(|seed| seed.as_u64()),
        observations: observations.data,
        actions: actions.data,
        rewards: rewards.data,
        terminations: booleans(file, &group, "terminations", &place("terminations"))?,
        truncations: booleans(file, &group, "truncations", &place("truncations"))?,
        infos: infos(file, &group, n).map_err(|problem| format!("{name}/infos: {problem}"))?,
    })
}

/// The infos that are one number a step; others (vectors, texts, nested groups) are left out.
fn infos(file: &File, episode: &Group, n: usize) -> Result<BTreeMap<String, Vec<f64>>, String> {
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
            infos.insert(name.clone(), numbers(file, &group, &name, &name, false)?.data);
        }
    }
    Ok(infos)
}
