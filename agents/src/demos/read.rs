//! From a file to [`Demonstrations`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hdf5_pure::{AttrValue, DType, File, Group};
use serde_json::{Map, Value, json};

use super::{
    config::{Accept, DemonstrationsConfig},
    d4rl,
    demonstrations::{DemoSpec, Demonstrations},
    episode::Episode,
    file::{Source, booleans, numbers},
    links::{EPISODE, linked_episodes},
    metadata::{self, Metadata},
    python_json,
};
use crate::AgentError;

/// Name of the root's attribute that repeats `metadata.json`.
pub(super) const METADATA_ATTRIBUTE: &str = "minari_metadata";

/// The episodes of a file, sound or not, and remarks about them.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) episodes: Vec<Result<Episode, String>>,
    pub(super) notes: Vec<String>,
}

impl Demonstrations {
    /// Reads a file, or the folder of a Minari dataset, and checks it: arrays present, of the right
    /// types and lengths, finite, ends where they belong, all episodes of one width, and as
    /// `expected`.
    ///
    /// # Errors
    /// [`AgentError::BadDemonstrations`] naming file, episode and array. Damaged files give errors
    /// too, never a panic.
    pub fn read(path: impl AsRef<Path>, expected: Option<&DemoSpec<'_>>) -> Result<Self, AgentError> {
        DemonstrationsConfig::from(path.as_ref()).read(expected)
    }
}

impl DemonstrationsConfig {
    /// Reads the file as [`Demonstrations::read`] does, with this setting's exceptions. If
    /// something is `expected`, actions are mapped from the file's action space to the task's.
    ///
    /// # Errors
    /// Those of [`Demonstrations::read`].
    pub fn read(&self, expected: Option<&DemoSpec<'_>>) -> Result<Demonstrations, AgentError> {
        read(self, expected).map_err(|problem| bad_demonstrations(self.file(), problem))
    }

    /// The files that reading opens: the HDF5 file, and `metadata.json` beside Minari's.
    ///
    /// # Errors
    /// [`AgentError::BadDemonstrations`] if there is no such file.
    pub fn files(&self) -> Result<Vec<PathBuf>, AgentError> {
        let data = data_file(self.file()).map_err(|problem| bad_demonstrations(self.file(), problem))?;
        let beside = metadata_beside(&data);
        Ok([data].into_iter().chain(beside).collect())
    }
}

/// The error of a file that cannot be read or written.
pub(super) fn bad_demonstrations(path: &Path, problem: String) -> AgentError {
    AgentError::BadDemonstrations { path: path.display().to_string(), problem }
}

fn read(config: &DemonstrationsConfig, expected: Option<&DemoSpec<'_>>) -> Result<Demonstrations, String> {
    let path = data_file(config.file())?;
    let file = File::open(&path).map_err(|error| match error {
        hdf5_pure::Error::Io(error) => error.to_string(),
        error => format!("is not a readable HDF5 file ({error})"),
    })?;
    let (stated, there) = (file.superblock().eof_address, file.file_size());
    if there < stated {
        return Err(format!("is cut off: it has {there} bytes, its superblock says {stated}"));
    }
    let source = Source::new(file);
    let root = source.file.root();
    let Metadata { meta, totals } = metadata::parse(metadata_entries(&path, &root)?)?;
    let mut parts = parts(&source, &root, totals.0)?;
    let count = parts.episodes.len();
    let (sound, bad): (Vec<_>, Vec<_>) = parts.episodes.into_iter().partition(Result::is_ok);
    let episodes: Vec<Episode> = sound.into_iter().flatten().collect();
    if let Some(first) = bad.iter().find_map(|episode| episode.as_ref().err()) {
        if !config.skips_bad_episodes() {
            return Err(first.clone());
        }
        if episodes.is_empty() {
            return Err(format!("has no sound episode of {count}; {first}"));
        }
        parts.notes.push(format!("bad episodes left out: {} of {count}; the first: {first}", bad.len()));
    }
    if !config.accepts(Accept::Totals) {
        let steps = bad.is_empty().then(|| episodes.iter().map(Episode::len).sum::<usize>());
        for (what, stated, found) in [("episodes", totals.0, Some(count)), ("steps", totals.1, steps)] {
            if let (Some(stated), Some(found)) = (stated, found)
                && stated != found as u64
            {
                return Err(format!(
                    "metadata: total_{what} is {stated}, the file has {found} {what}; is a part of it missing? {}",
                    Accept::Totals.remedy()
                ));
            }
        }
    }
    let mut demonstrations = Demonstrations { meta, episodes, notes: parts.notes };
    demonstrations.check()?;
    if let Some(expected) = expected {
        demonstrations.fit(expected, config)?;
    }
    Ok(demonstrations)
}

/// The HDF5 file itself; `path` may also be a dataset's folder or its `data` folder.
fn data_file(path: &Path) -> Result<PathBuf, String> {
    let kind = |path: &Path| path.metadata().map_err(|error| error.to_string());
    let mut file = path.to_owned();
    if kind(path)?.is_dir() {
        let places = [path.join("data/main_data.hdf5"), path.join("main_data.hdf5")];
        file = places.into_iter().find(|file| file.exists()).ok_or("is a folder without data/main_data.hdf5")?;
    }
    if kind(&file)?.is_file() { Ok(file) } else { Err("is not a regular file".into()) }
}

/// Minari's `metadata.json` beside an HDF5 file of its name.
fn metadata_beside(file: &Path) -> Option<PathBuf> {
    let beside = file.with_file_name("metadata.json");
    (file.file_name().is_some_and(|name| name == "main_data.hdf5") && beside.is_file()).then_some(beside)
}

/// The metadata: attributes of the root before Minari 0.5, beside the file since, and inside files
/// of ours.
fn metadata_entries(path: &Path, root: &Group) -> Result<Map<String, Value>, String> {
    let attributes = root.attrs().map_err(|error| format!("attributes of the root: {error}"))?;
    let attributes: BTreeMap<_, _> = attributes.into_iter().collect();
    let mut all: Map<String, Value> = attributes
        .iter()
        .filter(|(name, _)| *name != METADATA_ATTRIBUTE)
        .filter_map(|(name, value)| Some((name.clone(), json_of(value)?)))
        .collect();
    let (place, text) = match (attributes.get(METADATA_ATTRIBUTE).and_then(AttrValue::as_str), metadata_beside(path)) {
        (Some(text), _) => (format!("attribute {METADATA_ATTRIBUTE}"), text.to_owned()),
        (None, Some(beside)) => {
            let text = fs_err::read_to_string(beside).map_err(|error| error.to_string())?;
            ("metadata.json".to_owned(), text)
        }
        (None, None) => return Ok(all),
    };
    match python_json::parse(&text) {
        Ok(Value::Object(entries)) => all.extend(entries),
        Ok(_) => return Err(format!("{place}: is not a mapping")),
        Err(error) => return Err(format!("{place}: {error}")),
    }
    Ok(all)
}

/// An attribute as JSON; `None` for types that Minari does not write.
fn json_of(value: &AttrValue) -> Option<Value> {
    if let Some(texts) = value.as_strings() {
        return Some(value.as_str().map_or_else(|| json!(texts), |text| json!(text)));
    }
    let integer = value.as_u64().map(|n| json!(n)).or_else(|| value.as_i64().map(|n| json!(n)));
    integer.or_else(|| value.as_f64().map(|x| json!(x)))
}

/// The episodes of a Minari file, which states a number of them perhaps, or of a flat one.
fn parts(source: &Source, root: &Group, stated: Option<u64>) -> Result<Parts, String> {
    let groups = root.groups().map_err(|error| format!("the list of its groups: {error}; are some of them links?"))?;
    let mut ids: BTreeMap<u64, Option<String>> =
        groups.into_iter().filter_map(|name| Some((name.strip_prefix(EPISODE)?.parse().ok()?, Some(name)))).collect();
    if stated != Some(ids.len() as u64) {
        for id in linked_episodes(source.file.as_bytes()) {
            ids.entry(id).or_default();
        }
    }
    if ids.is_empty() {
        let flat = root.datasets().is_ok_and(|names| names.iter().any(|name| name == "observations"));
        return if flat {
            d4rl::episodes(source)
        } else {
            Err("has no group episode_0; is it a Minari dataset?".into())
        };
    }
    let mut parts = Parts::default();
    for (expected, (id, name)) in (0..).zip(&ids) {
        if *id != expected && parts.episodes.len() as u64 == expected {
            parts.episodes.push(Err(format!("{EPISODE}{expected}: is missing, and {EPISODE}{id} is there")));
        }
        parts.episodes.push(match name {
            Some(name) => episode(source, root, name),
            None => Err(format!(
                "{EPISODE}{id}: is a link to another file or place, which is not followed; copy its data into this file"
            )),
        });
    }
    Ok(parts)
}

fn episode(source: &Source, root: &Group, name: &str) -> Result<Episode, String> {
    let group = root.group(name).map_err(|error| format!("{name}: {error}"))?;
    let place = |array: &str| format!("{name}/{array}");
    let rewards = numbers(source, &group, "rewards", &place("rewards"), true)?;
    let n = rewards.len_of(&place("rewards"))?;
    let actions = numbers(source, &group, "actions", &place("actions"), false)?;
    let (rows, act_dim) = actions.rows_of(&place("actions"))?;
    if rows != n {
        return Err(format!("{}: has {rows} rows for {n} rewards", place("actions")));
    }
    let observations = numbers(source, &group, "observations", &place("observations"), false)?;
    let (rows, obs_dim) = observations.rows_of(&place("observations"))?;
    if rows != n + 1 {
        return Err(format!("{}: has {rows} rows for {n} steps; one more is needed, {}", place("observations"), n + 1));
    }
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
