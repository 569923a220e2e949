//! Minari's datasets on this machine, by their ids: folders below `$MINARI_DATASETS_PATH`, or else
//! below `~/.minari/datasets`. A folder with `data` in it is a dataset, one without a namespace.

use std::path::{Component, Path, PathBuf};

use fs_err as fs;

/// Namespaces within namespaces that are searched. Links can form a circle.
const DEPTH: usize = 6;
/// Most datasets that are compared with a name.
const MOST: usize = 10_000;
/// Ids that an error names.
const NAMED: usize = 5;
/// Likeness from 0 to 1 of ids that an error names.
const NEAR: f64 = 0.7;

/// The folder of a dataset.
pub(super) fn dataset_folder(id: &str) -> Result<PathBuf, String> {
    let root = root()?;
    let parts: Vec<Component> = Path::new(id).components().collect();
    if parts.is_empty() || !parts.iter().all(|part| matches!(part, Component::Normal(_))) {
        return Err("is not an id of Minari's, such as mujoco/hopper/expert-v0; a path is named by `file`".into());
    }
    let folder = root.join(id);
    if folder.join("data").is_dir() {
        return Ok(folder);
    }
    let mut known = Vec::new();
    search(&root, "", DEPTH, &mut known);
    let near = near(id, &known);
    let there = match (near.is_empty(), known.len()) {
        (false, _) => format!("near ones there are: {}", near.join(", ")),
        (true, 0) => "none is there".to_owned(),
        (true, count) => format!("{count} others are there"),
    };
    Err(format!("is not among Minari's datasets in {}; {there}; `minari download {id}` fetches it", root.display()))
}

fn root() -> Result<PathBuf, String> {
    let given = std::env::var_os("MINARI_DATASETS_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    let root = given.or_else(|| Some(std::env::home_dir()?.join(".minari/datasets")));
    let root = root.ok_or("cannot be looked up: there is no home folder; set MINARI_DATASETS_PATH")?;
    std::path::absolute(root).map_err(|error| error.to_string())
}

/// Appends the ids of the datasets below a namespace. Folders that cannot be read have none.
fn search(root: &Path, namespace: &str, depth: usize, known: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(root.join(namespace)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let id = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        if known.len() >= MOST || !entry.path().is_dir() {
            continue;
        }
        if entry.path().join("data").is_dir() {
            known.push(id);
        } else if depth > 0 {
            search(root, &id, depth - 1, known);
        }
    }
}

/// The ids most like this one, the most like first.
fn near(id: &str, known: &[String]) -> Vec<String> {
    let mut found: Vec<(f64, &String)> =
        known.iter().map(|other| (strsim::normalized_damerau_levenshtein(id, other), other)).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    found.into_iter().take_while(|one| one.0 >= NEAR).take(NAMED).map(|one| one.1.clone()).collect()
}
