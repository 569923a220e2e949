//! From a file to [`Demonstrations`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hdf5_pure::{AttrValue, File, Group};
use serde_json::{Map, Value, json};

use super::{
    config::{Accept, DemonstrationsConfig, DemonstrationsFile, DemonstrationsFormat},
    d4rl,
    demonstrations::{DemoSpec, Demonstrations},
    episode::Episode,
    file::Source,
    links::EPISODE,
    metadata::{self, Metadata},
    minari, python_json,
    robomimic::{self, is_robomimic},
    table::has_array,
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
        let located = self.located()?;
        read(&located, expected).map_err(|problem| bad_demonstrations(located.file(), problem))
    }

    /// The files that reading opens: the HDF5 file, and `metadata.json` beside Minari's.
    ///
    /// # Errors
    /// [`AgentError::BadDemonstrations`] if there is no such file.
    pub fn files(&self) -> Result<Vec<PathBuf>, AgentError> {
        let located = self.located()?;
        let data = data_file(located.file()).map_err(|problem| bad_demonstrations(located.file(), problem))?;
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
    let stated = metadata::parse(metadata_entries(&path, &root)?)?;
    let env = expected.map(|expected| expected.env).or(stated.meta.env.as_ref());
    let limit = env.and_then(|env| env.max_episode_steps);
    let mut parts = parts(&source, &root, &stated, &config.settings(), limit)?;
    let Metadata { meta, totals, .. } = stated;
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
        file = places.into_iter().find(|file| file.exists()).ok_or_else(|| no_data(path))?;
    }
    if kind(&file)?.is_file() { Ok(file) } else { Err("is not a regular file".into()) }
}

/// The error of a folder without an HDF5 file: it may be a Minari dataset in another format.
fn no_data(folder: &Path) -> String {
    let texts = ["data/metadata.json", "metadata.json"].map(|place| folder.join(place));
    let metadata = texts.iter().find_map(|file| python_json::parse(&fs_err::read_to_string(file).ok()?).ok());
    let format = metadata.as_ref().and_then(|metadata| metadata["data_format"].as_str()).unwrap_or("hdf5");
    if format == "hdf5" {
        return "is a folder without data/main_data.hdf5".to_owned();
    }
    let id = metadata.as_ref().and_then(|metadata| metadata["dataset_id"].as_str()).unwrap_or("ID");
    let (from, to) = (python_text(id), python_text(&other_version(id)));
    format!(
        "is a Minari dataset in the format {format}, which is not read; HDF5 is, which Minari makes of it: \
         python -c \"import minari; from minari.data_collector import EpisodeBuffer; d = minari.load_dataset({from}); \
         keys = ('observations', 'actions', 'rewards', 'terminations', 'truncations'); \
         minari.create_dataset_from_buffers({to}, [EpisodeBuffer(**{{k: getattr(e, k) for k in keys}}) for e in d], \
         env=d.env_spec, observation_space=d.observation_space, action_space=d.action_space, data_format='hdf5')\""
    )
}

/// A text in Python's quotes; other characters than those of Minari's ids are dropped.
fn python_text(id: &str) -> String {
    let kept: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || "/-_.".contains(*c)).collect();
    format!("'{kept}'")
}

/// The id with `-hdf5` before its version.
fn other_version(id: &str) -> String {
    match id.rsplit_once("-v") {
        Some((name, version)) => format!("{name}-hdf5-v{version}"),
        None => format!("{id}-hdf5-v0"),
    }
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
        (None, None) => {
            // Groups that cannot be listed are told when the layout is looked for.
            if is_robomimic(root).unwrap_or(false) {
                all.extend(robomimic::metadata(root)?);
            }
            return Ok(all);
        }
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

/// The episodes in the layout that the file's groups show.
fn parts(
    source: &Source,
    root: &Group,
    stated: &Metadata,
    settings: &DemonstrationsFile,
    limit: Option<u32>,
) -> Result<Parts, String> {
    let format = format(root)?;
    if let Some((wanted, format)) = settings.format.zip(format).filter(|(wanted, format)| wanted != format) {
        return Err(format!("has the layout {}, its `format` is set to {}", format.name(), wanted.name()));
    }
    if format != Some(DemonstrationsFormat::Robomimic) {
        let set = [("obs_keys", settings.obs_keys.is_some()), ("filter", settings.filter.is_some())];
        if let Some((name, _)) = set.into_iter().find(|(_, set)| *set) {
            return Err(format!("is not a file of robomimic, with data/demo_0, which `{name}` is for"));
        }
    }
    match format {
        Some(DemonstrationsFormat::D4rl) => d4rl::episodes(source, limit),
        Some(DemonstrationsFormat::Robomimic) => robomimic::episodes(source, settings),
        Some(DemonstrationsFormat::Minari) | None => {
            let parts = minari::episodes(source, root, stated)?;
            let nothing = "has neither a group episode_0, as Minari's files have, nor observations at its root, as D4RL's, \
                           nor data/demo_0, as robomimic's";
            if parts.episodes.is_empty() { Err(nothing.into()) } else { Ok(parts) }
        }
    }
}

/// The layout; `None` if there is neither a group nor an array that tells it. A link to an episode
/// is not a group.
fn format(root: &Group) -> Result<Option<DemonstrationsFormat>, String> {
    let groups = root.groups().map_err(|error| format!("the list of its groups: {error}; are some of them links?"))?;
    Ok(if groups.iter().any(|name| name.strip_prefix(EPISODE).is_some_and(|id| id.parse::<u64>().is_ok())) {
        Some(DemonstrationsFormat::Minari)
    } else if has_array(root, "observations")? {
        Some(DemonstrationsFormat::D4rl)
    } else if is_robomimic(root)? {
        Some(DemonstrationsFormat::Robomimic)
    } else {
        None
    })
}
