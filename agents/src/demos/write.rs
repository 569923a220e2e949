//! From [`Demonstrations`] to a file, compressed, with the folder by which Minari finds it.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use fs_err as fs;
use hdf5_pure::{AttrValue, DatasetBuilder, Datatype, EnumTypeBuilder, FileBuilder, GroupBuilder, make_i8_type};

use super::{
    demonstrations::Demonstrations,
    episode::Episode,
    metadata::{self, Types},
    read::{METADATA_ATTRIBUTE, bad_demonstrations},
};
use crate::AgentError;

/// Rows of a chunk, the unit of compression and reading.
const CHUNK_ROWS: u64 = 1024;
/// Deflate's usual level.
const LEVEL: u32 = 6;

impl Demonstrations {
    /// Writes the file and its Minari folder, whole or not at all.
    ///
    /// # Errors
    /// [`AgentError::BadDemonstrations`] for episodes that `read` would refuse, and if the file
    /// cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), AgentError> {
        let path = path.as_ref();
        write(self, path).map_err(|problem| bad_demonstrations(path, problem))
    }
}

impl Demonstrations {
    /// Writes all episodes end to end, as D4RL's files have them, whole or not at all. Seeds and infos are
    /// left out.
    ///
    /// # Errors
    /// Those of [`Demonstrations::write`].
    pub fn write_d4rl(&self, path: impl AsRef<Path>) -> Result<(), AgentError> {
        let path = path.as_ref();
        let written = self.check().and_then(|()| {
            let bytes = flat(self).map_err(|error| error.to_string())?;
            write_whole(path, &bytes).map_err(|error| error.to_string())
        });
        written.map_err(|problem| bad_demonstrations(path, problem))
    }
}

fn write(demonstrations: &Demonstrations, path: &Path) -> Result<(), String> {
    demonstrations.check()?;
    let layout = Layout::of(path)?;
    layout.refuse_another(path)?;
    let types = Types::of(demonstrations);
    let text = metadata::print(demonstrations, &layout.id, &types);
    let bytes = encode(demonstrations, &types, &text).map_err(|error| error.to_string())?;
    let io = |error: std::io::Error| error.to_string();
    fs::create_dir_all(&layout.folder).map_err(io)?;
    write_whole(path, &bytes).map_err(io)?;
    write_whole(&layout.folder.join("metadata.json"), text.as_bytes()).map_err(io)?;
    layout.link(path).map_err(io)
}

/// Minari's folder and its id of the dataset.
struct Layout {
    /// `…/<id>/data`
    folder: PathBuf,
    id: String,
}

impl Layout {
    fn of(path: &Path) -> Result<Self, String> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let stem = path.file_stem().and_then(|stem| stem.to_str()).ok_or("is not the name of a file")?;
        if stem == "main_data" {
            let dataset = parent.parent().and_then(Path::file_name).and_then(|name| name.to_str());
            return Ok(Self { folder: parent.to_owned(), id: versioned(dataset.unwrap_or("demonstrations")) });
        }
        let id = versioned(stem);
        Ok(Self { folder: parent.join(&id).join("data"), id })
    }

    /// Refuses to replace another dataset by the folder's link: a file of its own, or a link to one
    /// of another name.
    fn refuse_another(&self, path: &Path) -> Result<(), String> {
        let link = self.folder.join("main_data.hdf5");
        if link == path || fs::symlink_metadata(&link).is_err() {
            return Ok(());
        }
        let ours = fs::read_link(&link).ok().and_then(|to| Some(to.file_name()? == path.file_name()?));
        match ours {
            Some(true) => Ok(()),
            _ => Err(format!(
                "would take the place of {}, which is another dataset; choose another name",
                link.display()
            )),
        }
    }

    /// `main_data.hdf5` in the folder, unless the file itself is that.
    fn link(&self, path: &Path) -> std::io::Result<()> {
        let link = self.folder.join("main_data.hdf5");
        let Some(name) = path.file_name().filter(|_| link != path) else { return Ok(()) };
        match fs::remove_file(&link) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        #[cfg(unix)]
        return fs_err::os::unix::fs::symlink(Path::new("../..").join(name), link);
        #[cfg(not(unix))]
        return fs::copy(path.with_file_name(name), link).map(drop);
    }
}

/// A name in Minari's alphabet that ends in a version, as its ids must.
fn versioned(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect();
    let has_version =
        name.rsplit_once("-v").is_some_and(|(_, v)| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()));
    if has_version { name } else { format!("{name}-v0") }
}

impl Types {
    fn of(demonstrations: &Demonstrations) -> Self {
        Self {
            observations: smallest_type(demonstrations, |episode| &episode.observations),
            actions: smallest_type(demonstrations, |episode| &episode.actions),
        }
    }
}

/// f32 if that loses nothing in any episode.
fn smallest_type(demonstrations: &Demonstrations, array: fn(&Episode) -> &[f64]) -> &'static str {
    let exact = |x: &f64| f64::from(*x as f32) == *x;
    if demonstrations.episodes.iter().flat_map(array).all(exact) { "float32" } else { "float64" }
}

fn encode(demonstrations: &Demonstrations, types: &Types, text: &str) -> Result<Vec<u8>, hdf5_pure::Error> {
    let boolean = boolean()?;
    let mut builder = FileBuilder::new();
    builder.set_attr(METADATA_ATTRIBUTE, AttrValue::String(text.to_owned()));
    for (i, episode) in demonstrations.episodes.iter().enumerate() {
        let mut group = builder.create_group(&format!("episode_{i}"));
        group.set_attr("id", AttrValue::I64(i as i64));
        if let Some(seed) = episode.seed {
            group.set_attr("seed", AttrValue::U64(seed));
        }
        group.set_attr("total_steps", AttrValue::I64(episode.len() as i64));
        put(&mut group, "observations", &episode.observations, Some(episode.obs_dim()), types.observations);
        put(&mut group, "actions", &episode.actions, Some(episode.act_dim()), types.actions);
        put(&mut group, "rewards", &episode.rewards, None, "float64");
        put_booleans(&mut group, "terminations", &episode.terminations, &boolean);
        put_booleans(&mut group, "truncations", &episode.truncations, &boolean);
        if !episode.infos.is_empty() {
            let mut infos = group.create_group("infos");
            for (name, series) in &episode.infos {
                put(&mut infos, name, series, None, "float64");
            }
            group.add_group(infos.finish());
        }
        builder.add_group(group.finish());
    }
    builder.finish()
}

/// D4RL's arrays at the root.
fn flat(demonstrations: &Demonstrations) -> Result<Vec<u8>, hdf5_pure::Error> {
    let (o, a) = (demonstrations.obs_dim(), demonstrations.act_dim());
    let types = Types::of(demonstrations);
    let (mut observations, mut next, mut actions, mut rewards) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut terminals, mut timeouts) = (Vec::new(), Vec::new());
    for episode in &demonstrations.episodes {
        observations.extend_from_slice(&episode.observations[..episode.len() * o]);
        next.extend_from_slice(&episode.observations[o..]);
        actions.extend_from_slice(&episode.actions);
        rewards.extend_from_slice(&episode.rewards);
        terminals.extend_from_slice(&episode.terminations);
        let cut = episode.truncations.iter().zip(&episode.terminations);
        timeouts.extend(cut.map(|(&truncated, &terminated)| truncated && !terminated));
    }
    let mut builder = FileBuilder::new();
    let text = metadata::print(demonstrations, "demonstrations-v0", &types);
    builder.set_attr(METADATA_ATTRIBUTE, AttrValue::String(text));
    let boolean = boolean()?;
    fill(builder.create_dataset("observations"), &observations, Some(o), types.observations);
    fill(builder.create_dataset("next_observations"), &next, Some(o), types.observations);
    fill(builder.create_dataset("actions"), &actions, Some(a), types.actions);
    fill(builder.create_dataset("rewards"), &rewards, None, "float64");
    fill_booleans(builder.create_dataset("terminals"), &terminals, &boolean);
    fill_booleans(builder.create_dataset("timeouts"), &timeouts, &boolean);
    builder.finish()
}

/// The type by which h5py knows NumPy's bool.
fn boolean() -> Result<Datatype, hdf5_pure::Error> {
    Ok(EnumTypeBuilder::with_base(make_i8_type()).value("FALSE", 0).value("TRUE", 1).build()?)
}

/// Adds a dataset of rows of `dim` numbers, or of numbers without it.
fn put(group: &mut GroupBuilder, name: &str, data: &[f64], dim: Option<usize>, dtype: &str) {
    fill(group.create_dataset(name), data, dim, dtype);
}

fn fill(dataset: &mut DatasetBuilder, data: &[f64], dim: Option<usize>, dtype: &str) {
    let mut shape = vec![(data.len() / dim.unwrap_or(1)) as u64];
    shape.extend(dim.map(|dim| dim as u64));
    let mut chunk = shape.clone();
    chunk[0] = chunk[0].clamp(1, CHUNK_ROWS);
    if dtype == "float32" {
        dataset.with_f32_data(&data.iter().map(|&x| x as f32).collect::<Vec<_>>());
    } else {
        dataset.with_f64_data(data);
    }
    dataset.with_shape(&shape).with_chunks(&chunk).with_shuffle().with_deflate(LEVEL);
}

fn put_booleans(group: &mut GroupBuilder, name: &str, data: &[bool], boolean: &Datatype) {
    fill_booleans(group.create_dataset(name), data, boolean);
}

fn fill_booleans(dataset: &mut DatasetBuilder, data: &[bool], boolean: &Datatype) {
    let bytes = data.iter().map(|&value| u8::from(value)).collect();
    let dataset = dataset.with_raw_data(boolean.clone(), bytes, data.len() as u64);
    dataset.with_chunks(&[(data.len() as u64).clamp(1, CHUNK_ROWS)]).with_deflate(LEVEL);
}

/// Writes beside the path and renames, so that a partial file is never visible.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    // A killed process may have left it; a link of this name is not followed.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::File::create_new(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}
