//! Reads what `analysis` needs of a run folder: the metrics, line by line.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::AnalysisError;

/// One run's folder and the series of one metric in it.
#[derive(Clone, Debug)]
pub struct Run {
    /// The run folder.
    pub folder: PathBuf,
    /// The folder that holds this variant's seeds.
    pub variant: PathBuf,
    /// Environment step → value, the last line winning where a step was logged twice.
    pub series: BTreeMap<u64, f64>,
    /// Every metric name the file holds.
    pub names: BTreeSet<String>,
}

/// Something that was skipped while reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file.
    pub path: PathBuf,
    /// Line in it, from 1.
    pub line: usize,
    /// What was wrong.
    pub problem: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: skipped: {}", self.path.display(), self.line, self.problem)
    }
}

impl Run {
    /// Reads one metric of the run in `folder`. Damaged lines are skipped and added to `warnings`.
    pub fn read(folder: &Path, metric: &str, warnings: &mut Vec<Warning>) -> Result<Self, AnalysisError> {
        let path = folder.join("metrics.jsonl");
        let mut reader = BufReader::new(fs::File::open(&path)?);
        let (mut series, mut names) = (BTreeMap::new(), BTreeSet::new());
        let (mut bytes, mut line) = (Vec::new(), 0);
        loop {
            bytes.clear();
            line += 1;
            if reader.read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes) {
                Ok(event) => {
                    let step = event.get("step").and_then(serde_json::Value::as_u64);
                    if let (Some(step), Some(value)) = (step, event.get(metric).and_then(serde_json::Value::as_f64)) {
                        series.insert(step, value);
                    }
                    names.extend(event.into_iter().map(|(name, _)| name).filter(|name| name.contains('/')));
                }
                Err(error) => warnings.push(Warning { path: path.clone(), line, problem: error.to_string() }),
            }
        }
        let variant = folder.parent().unwrap_or(folder).to_path_buf();
        Ok(Self { folder: folder.to_path_buf(), variant, series, names })
    }
}

/// Every run folder at or below the given paths, in order of path.
pub fn find_runs(paths: &[PathBuf]) -> Result<Vec<PathBuf>, AnalysisError> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<PathBuf> = paths.to_vec();
    while let Some(folder) = todo.pop() {
        if folder.join("metrics.jsonl").is_file() {
            found.insert(folder);
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            // `file_type` does not follow links, so a link cannot lead round in a circle.
            if entry.file_type()?.is_dir() {
                todo.push(entry.path());
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
                    {\"step\":30,\"train/x\":1}\n{\"step\":40,\"eval/return_mean\":null}\n{\"step\":50,\"eval/return_mean\":-2}\n";
        fs::write(folder.path().join("metrics.jsonl"), text).unwrap();
        let mut warnings = Vec::new();
        let run = Run::read(folder.path(), "eval/return_mean", &mut warnings).unwrap();
        assert_eq!(run.series, BTreeMap::from([(10, 1.5), (50, -2.0)]));
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].line, 2);
        assert!(run.names.contains("train/x"));
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
        assert!(error.to_string().starts_with("no run folder"), "{error}");
    }
}
