//! Runs: one metric of each run folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use fs_err as fs;
use liprl_logbook::{
    CONFIG_FILE, METRICS_FILE, PROVENANCE_FILE, RunFolder, Series, limits, metric_names, read_all_series, read_series,
    read_text,
};
use rayon::prelude::*;

use crate::error::AnalysisError;

/// A run with the series of one metric.
#[derive(Clone, Debug)]
pub struct Run {
    /// The run folder.
    pub folder: PathBuf,
    /// Folder whose runs are summarised as one curve, see [`variant_folder`].
    pub variant: PathBuf,
    /// Environment, if the run's config names it.
    pub task: Option<String>,
    /// Environment step → value. Of a step that was logged twice the last line counts. Values that
    /// are not finite are left out.
    pub series: BTreeMap<u64, f64>,
}

/// Something that was skipped while reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A damaged line of a log.
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
    },
    /// A file, or its rest.
    File {
        /// The file.
        path: PathBuf,
        /// Reason.
        problem: String,
    },
    /// Something else about a file or folder.
    Note {
        /// The file or folder.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line { path, line } => write!(f, "{}:{line}: a damaged line is skipped", path.display()),
            Self::File { path, problem } => write!(f, "{}: {problem}; the rest is skipped", path.display()),
            Self::Note { path, problem } => write!(f, "{}: {problem}", path.display()),
        }
    }
}

impl Run {
    /// Reads one metric of the run in `folder`, and names the lines that were skipped.
    ///
    /// # Errors
    /// If a file cannot be read, or another version of the program wrote the folder.
    pub fn read(folder: &Path, metric: &str) -> Result<(Self, Vec<Warning>), AnalysisError> {
        check_format(folder)?;
        let path = folder.join(METRICS_FILE);
        let read = read_series(&path, metric)?;
        let warnings = read.damaged_lines.iter().map(|&line| Warning::Line { path: path.clone(), line }).collect();
        let series = read.steps.into_iter().zip(read.values).filter(|(_, value)| value.is_finite()).collect();
        let task = task(folder);
        Ok((Self { folder: folder.to_path_buf(), variant: variant_folder(folder), task, series }, warnings))
    }
}

/// Names of all metrics that the runs in some folders logged.
pub(crate) fn logged_names<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Result<BTreeSet<String>, AnalysisError> {
    let logs: Vec<PathBuf> = folders.into_iter().map(|folder| folder.join(METRICS_FILE)).collect();
    let each = logs.par_iter().map(metric_names).collect::<Result<Vec<_>, _>>()?;
    Ok(each.into_iter().flatten().collect())
}

/// The last value of a metric of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct LastValue {
    /// Name of the metric.
    pub metric: String,
    /// Environment step.
    pub step: u64,
    /// The last value that is finite.
    pub value: f64,
}

impl LastValue {
    /// Reads those of every metric that the run in `folder` logged, by name.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn read(folder: &Path) -> Result<Vec<Self>, AnalysisError> {
        let (all, _) = read_all_series(folder.join(METRICS_FILE), |_| true)?;
        let last = |(metric, series): (String, Series)| {
            let mut values = series.steps.into_iter().zip(series.values).rev();
            let (step, value) = values.find(|(_, value)| value.is_finite())?;
            Some(Self { metric, step, value })
        };
        Ok(all.into_iter().filter_map(last).collect())
    }
}

/// Rejects a folder of another format. A folder without provenance (a bare log) passes.
pub(crate) fn check_format(folder: &Path) -> Result<(), AnalysisError> {
    if folder.join(PROVENANCE_FILE).exists() {
        RunFolder::open(folder)?;
    }
    Ok(())
}

/// Environment that a run's config names.
fn task(folder: &Path) -> Option<String> {
    let text = read_text(folder.join(CONFIG_FILE), limits::CONFIG).ok()?;
    env_id(&serde_saphyr::from_str(&text).ok()?)
}

/// Environment of a config: `env` itself, its `id`, or the id or class of an environment in Python.
pub(crate) fn env_id(config: &serde_json::Value) -> Option<String> {
    let env = &config["env"];
    let named = || ["id", "python", "entry"].iter().find_map(|key| env[key].as_str());
    env.as_str().or_else(named).map(str::to_owned)
}

/// Folder of the variant that a run belongs to: the one around `seed-<n>`. A run of another name is
/// a variant of its own.
pub fn variant_folder(folder: &Path) -> PathBuf {
    let is_seed = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seed-"));
    folder.parent().filter(|_| is_seed).unwrap_or(folder).to_path_buf()
}

/// Run folders at or below the given paths, in order. Links are followed, and a folder that several
/// names lead to counts once, by its own name if that is below a path.
///
/// # Errors
/// [`AnalysisError::NoRuns`] if there are none, and folders that cannot be read.
pub fn find_runs(paths: &[PathBuf]) -> Result<Vec<PathBuf>, AnalysisError> {
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut todo: Vec<PathBuf> = paths.to_vec();
    let mut links = BTreeSet::new();
    if let Some(path) = paths.iter().find(|path| fs::symlink_metadata(path).is_err()) {
        return Err(AnalysisError::NoRuns { paths: vec![path.clone()] });
    }
    // Links come last, so that a folder keeps its own name.
    while let Some(folder) = todo.pop().or_else(|| links.pop_first()) {
        // Links can lead in circles.
        if !seen.insert(fs::canonicalize(&folder)?) {
            continue;
        }
        // A pipe in the place of the log is refused when it is read.
        if fs::metadata(folder.join(METRICS_FILE)).is_ok_and(|log| !log.is_dir()) {
            found.insert(folder);
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            let kind = entry.file_type()?;
            if kind.is_dir() && !hidden {
                todo.push(entry.path());
            } else if kind.is_symlink() && !hidden && entry.path().is_dir() {
                links.insert(entry.path());
            }
        }
    }
    if found.is_empty() {
        Err(AnalysisError::NoRuns { paths: paths.to_vec() })
    } else {
        Ok(found.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_line_is_skipped_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = "{\"step\":10,\"eval/return_mean\":1.5}\n{\"step\":20,\"eval/ret\n\
                    {\"step\":30,\"train/x\":1}\n{\"step\":40,\"eval/return_mean\":null}\n\
                    {\"step\":50,\"eval/return_mean\":-2}\n";
        fs::write(folder.path().join("metrics.jsonl"), text).unwrap();
        let (run, warnings) = Run::read(folder.path(), "eval/return_mean").unwrap();
        assert_eq!(run.series, BTreeMap::from([(10, 1.5), (50, -2.0)]));
        assert_eq!(warnings.len(), 1);
        assert!(matches!(warnings[0], Warning::Line { line: 2, .. }));
        assert!(warnings[0].to_string().ends_with("metrics.jsonl:2: a damaged line is skipped"));
        assert!(
            logged_names([run.folder.as_path()])
                .unwrap()
                .into_iter()
                .eq(["eval/return_mean", "train/x"].map(String::from))
        );
    }

    #[test]
    fn an_older_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(METRICS_FILE), "{\"step\":1,\"a\":1}\n").unwrap();
        fs::write(folder.path().join("provenance.json"), r#"{"format_version":0,"program_version":"0.0.9"}"#).unwrap();
        let error = Run::read(folder.path(), "a").unwrap_err().to_string();
        assert!(error.contains("format 0 by liprl 0.0.9") && error.contains("reads format 1"), "{error}");
    }

    #[test]
    fn only_seeds_are_summarised_together() {
        assert_eq!(variant_folder(Path::new("runs/hopper/sac/seed-3")), Path::new("runs/hopper/sac"));
        assert_eq!(variant_folder(Path::new("runs/first-try")), Path::new("runs/first-try"));
    }

    #[test]
    fn runs_are_found_at_any_depth() {
        let root = tempfile::tempdir().unwrap();
        for run in ["a/seed-0", "a/seed-1", "b/c/seed-0"] {
            fs::create_dir_all(root.path().join(run)).unwrap();
            fs::write(root.path().join(run).join("metrics.jsonl"), "").unwrap();
        }
        assert_eq!(find_runs(&[root.path().to_path_buf()]).unwrap().len(), 3);
        assert_eq!(find_runs(&[root.path().join("a/seed-1")]).unwrap().len(), 1);
        fs::create_dir(root.path().join("empty")).unwrap();
        let error = find_runs(&[root.path().join("empty")]).unwrap_err();
        assert!(error.to_string().starts_with("there is no run folder"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_once_and_not_in_circles() {
        use fs_err::os::unix::fs::symlink;
        let place = tempfile::tempdir().unwrap();
        let (root, far) = (place.path().join("sweep"), place.path().join("far"));
        for run in [root.join("a/seed-0"), far.join("v/seed-0"), far.join("s1")] {
            fs::create_dir_all(&run).unwrap();
            fs::write(run.join("metrics.jsonl"), "").unwrap();
        }
        symlink(far.join("s1"), root.join("a/seed-1")).unwrap();
        symlink(far.join("v"), root.join("b")).unwrap();
        // A second name of a run, circles, a link to nowhere, and one to a file.
        symlink(root.join("a/seed-0"), root.join("a/best")).unwrap();
        symlink(&root, root.join("a/up")).unwrap();
        symlink(&root, far.join("v/back")).unwrap();
        symlink(place.path().join("nowhere"), root.join("nowhere")).unwrap();
        symlink(far.join("s1/metrics.jsonl"), root.join("file")).unwrap();
        let found = find_runs(std::slice::from_ref(&root)).unwrap();
        assert_eq!(found, ["a/seed-0", "a/seed-1", "b/seed-0"].map(|run| root.join(run)));
        let tree = place.path().join("tree");
        fs::create_dir(&tree).unwrap();
        symlink(root.join("a/seed-0"), tree.join("one")).unwrap();
        symlink(&root, tree.join("two")).unwrap();
        assert_eq!(find_runs(std::slice::from_ref(&tree)).unwrap().len(), 3);
    }
}
