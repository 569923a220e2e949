//! Files that a config names. Relative paths begin at the config's folder, or else at the current
//! one, and become absolute, so that a run goes on from any folder.

use std::path::{Path, PathBuf};

use liprl_envs::python::PythonConfig;

use super::Config;

/// The option of MuJoCo tasks that is a path if it begins with one of these.
const MODEL: (&str, [char; 3]) = ("xml_file", ['.', '/', '~']);

/// The setting that may name a dataset of Minari's.
const DEMONSTRATIONS: &str = "agent.demonstrations";

/// A file that is not there.
#[derive(Debug, thiserror::Error)]
#[error("`{setting}`: {problem}")]
pub struct MissingFile {
    /// The setting that names it.
    setting: String,
    /// The problem, with the places that were tried.
    problem: String,
}

impl MissingFile {
    fn new(setting: &str, tried: &[PathBuf]) -> Self {
        let places: Vec<String> = tried.iter().map(|path| path.display().to_string()).collect();
        Self { setting: setting.to_owned(), problem: format!("there is no file or folder {}", places.join(", nor ")) }
    }
}

impl Config {
    /// Looks up the files that the config names, in these folders and then in the current one, and
    /// makes their paths absolute. Those that are not there stay as they are.
    ///
    /// # Errors
    /// The first file that is not there, with the places.
    pub(crate) fn resolve_paths(&mut self, folders: &[&Path]) -> Result<(), MissingFile> {
        let mut missing = None;
        if let Some(named) = self.agent.demonstrations_mut() {
            match named.located() {
                Ok(located) => *named = located,
                Err(error) => {
                    missing = Some(MissingFile { setting: DEMONSTRATIONS.to_owned(), problem: error.to_string() });
                }
            }
        }
        for (setting, path) in self.agent.paths_mut() {
            match look_up(path, folders) {
                Ok(found) => *path = found,
                Err(tried) => {
                    missing.get_or_insert(MissingFile::new(setting, &tried));
                }
            }
        }
        let model = self.env.options.get_mut(MODEL.0);
        if let Some((value, text)) = model.and_then(|value| value.as_str().map(str::to_owned).map(|text| (value, text)))
            && text.starts_with(MODEL.1)
        {
            match look_up(Path::new(&text), folders) {
                Ok(found) => *value = found.to_string_lossy().into(),
                Err(tried) => {
                    missing.get_or_insert(MissingFile::new(&format!("env.{}", MODEL.0), &tried));
                }
            }
        }
        let python = self.env.python.as_mut().map(|python| resolve_python(python, folders)).transpose();
        missing.map_or(python.map(|_| ()), Err)
    }
}

/// Makes the paths of an environment in Python absolute. Its folder, unless it is given, is the last
/// of `folders`, the config's own.
fn resolve_python(python: &mut PythonConfig, folders: &[&Path]) -> Result<(), MissingFile> {
    let missing = |setting: &str, tried: Vec<PathBuf>| MissingFile::new(setting, &tried);
    // A bare name is a program's, looked for on the search path.
    if let Some(interpreter) = python.interpreter.as_mut().filter(|path| path.components().count() > 1) {
        *interpreter = look_up(interpreter, folders).map_err(|tried| missing("env.interpreter", tried))?;
    }
    for folder in &mut python.path {
        *folder = look_up(folder, folders).map_err(|tried| missing("env.path", tried))?;
    }
    let own = folders.last().copied().unwrap_or(Path::new(""));
    let folder = python.folder.clone().unwrap_or_else(|| Path::new(".").to_owned());
    python.folder = Some(look_up(&folder, &[own]).map_err(|tried| missing("env.folder", tried))?);
    Ok(())
}

/// The absolute path of a file, or the places where it was looked for.
fn look_up(path: &Path, folders: &[&Path]) -> Result<PathBuf, Vec<PathBuf>> {
    let home = path.strip_prefix("~").ok().and_then(|below| Some(std::env::home_dir()?.join(below)));
    let path = home.as_deref().unwrap_or(path);
    let mut tried = Vec::new();
    for folder in folders.iter().chain([&Path::new("")]) {
        let place = std::path::absolute(folder.join(path)).unwrap_or_else(|_| folder.join(path));
        if place.exists() {
            return Ok(plain(&place));
        }
        if !tried.contains(&place) {
            tried.push(place);
        }
    }
    Err(tried)
}

/// The path without `..`, so that it is the same from every folder. A link at its end stays one.
fn plain(path: &Path) -> PathBuf {
    let whole = || fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return whole() };
    fs_err::canonicalize(folder).map_or_else(|_| whole(), |folder| folder.join(name))
}
