//! Runs of other programs: TensorBoard event files, and CSV tables such as `progress.csv` of
//! Stable-Baselines3.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fs_err as fs;
use liprl_logbook::tensorboard::read_scalars;

use crate::error::AnalysisError;
use crate::run::{Run, Warning};

/// Names of returns in other programs' logs, evaluations before training. The first that a log has
/// is drawn.
const RETURNS: [&str; 6] = [
    "eval/return_mean",
    "eval/mean_reward",
    "evaluation/return",
    "rollout/ep_rew_mean",
    "charts/episodic_return",
    "return",
];
/// Names of the column of environment steps in other programs' tables.
const STEPS: [&str; 6] = ["time/total_timesteps", "total_timesteps", "global_step", "env_steps", "timesteps", "step"];

/// A curve of another program: `NAME=PATH[::METRIC[::STEP]]` on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Name in the legend. Peers of one name are seeds of one curve.
    pub name: String,
    /// CSV table, event file, or a folder. Every folder in it with such files is one run.
    pub path: PathBuf,
    /// Column or tag. Default: the first known name of a return.
    pub metric: Option<String>,
    /// Column of environment steps in a table. Default: the first known name.
    pub step: Option<String>,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once('=').ok_or("expected NAME=PATH[::METRIC[::STEP]]")?;
        let mut parts = rest.split("::").map(|part| (!part.is_empty()).then(|| part.to_owned()));
        let path = parts.next().flatten().ok_or("there is no path after the `=`")?;
        let peer = Self {
            name: name.trim().to_owned(),
            path: PathBuf::from(path),
            metric: parts.next().flatten(),
            step: parts.next().flatten(),
        };
        if parts.next().is_some() { Err("more than PATH::METRIC::STEP".to_owned()) } else { Ok(peer) }
    }
}

impl Peer {
    /// Reads the runs, and names what was skipped.
    pub(crate) fn read(&self) -> Result<(Vec<Run>, Vec<Warning>), AnalysisError> {
        let mut runs = Vec::new();
        let mut warnings = Vec::new();
        for (folder, files) in self.files()? {
            let mut series = BTreeMap::new();
            let mut known = BTreeSet::new();
            for file in &files {
                let (points, names, skipped) = if is_table(file) { self.table(file)? } else { self.events(file)? };
                series.extend(points.into_iter().filter(|(_, value)| value.is_finite()));
                known.extend(names);
                warnings.extend(skipped);
            }
            if series.is_empty() {
                return Err(AnalysisError::NoSuchColumn {
                    path: folder,
                    wanted: self.metric.clone().unwrap_or_else(|| RETURNS.join("` or `")),
                    known: known.into_iter().collect(),
                });
            }
            runs.push(Run { folder, variant: PathBuf::from(&self.name), task: None, series });
        }
        Ok((runs, warnings))
    }

    /// Files of each run, by folder.
    fn files(&self) -> Result<BTreeMap<PathBuf, Vec<PathBuf>>, AnalysisError> {
        if !fs::metadata(&self.path)?.is_dir() {
            return Ok(BTreeMap::from([(self.path.clone(), vec![self.path.clone()])]));
        }
        let mut found: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        let mut todo = vec![self.path.clone()];
        while let Some(folder) = todo.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    todo.push(path);
                } else if is_table(&path) || entry.file_name().to_string_lossy().contains("tfevents") {
                    found.entry(folder.clone()).or_default().push(path);
                }
            }
        }
        for files in found.values_mut() {
            // A run with both kinds of logs is read once.
            if files.iter().any(|file| is_table(file)) {
                files.retain(|file| is_table(file));
            }
            files.sort();
        }
        if found.is_empty() { Err(AnalysisError::NoPeerRuns { path: self.path.clone() }) } else { Ok(found) }
    }

    /// The name asked for, else the first usual one that the file has.
    fn chosen<'a>(&self, names: impl Fn(&str) -> bool, own: Option<&'a str>, usual: &[&'a str]) -> Option<&'a str> {
        own.or_else(|| usual.iter().copied().find(|name| names(name)))
    }

    fn events(&self, path: &Path) -> Result<PeerLog, AnalysisError> {
        let found = read_scalars(path, |_| true)?;
        let warnings = found.fault.map(|problem| Warning::File { path: path.to_path_buf(), problem });
        let tag = self.chosen(|name| found.series.contains_key(name), self.metric.as_deref(), &RETURNS);
        let points = tag.and_then(|tag| found.series.get(tag)).into_iter().flatten();
        let points = points.filter_map(|&(step, _, value)| Some((u64::try_from(step).ok()?, value))).collect();
        Ok((points, found.series.into_keys().collect(), warnings.into_iter().collect()))
    }

    fn table(&self, path: &Path) -> Result<PeerLog, AnalysisError> {
        let mut lines = BufReader::new(fs::File::open(path)?).lines().enumerate();
        let mut header = Vec::new();
        for (_, line) in lines.by_ref() {
            let line = line?;
            // Monitor files of Stable-Baselines3 begin with a comment.
            if !line.starts_with('#') {
                header = cells(line.trim_start_matches('\u{feff}')).unwrap_or_default();
                break;
            }
        }
        let has = |name: &str| header.iter().any(|column| column == name);
        let find = |name: Option<&str>| name.and_then(|name| header.iter().position(|column| column == name));
        let step_name = self.chosen(has, self.step.as_deref(), &STEPS);
        let Some(step) = find(step_name) else {
            return Err(AnalysisError::NoSuchColumn {
                path: path.to_path_buf(),
                wanted: self.step.clone().unwrap_or_else(|| STEPS.join("` or `")),
                known: header,
            });
        };
        let Some(metric) = find(self.chosen(has, self.metric.as_deref(), &RETURNS)) else {
            return Ok((Vec::new(), header, Vec::new()));
        };
        let (mut points, mut warnings) = (Vec::new(), Vec::new());
        for (index, line) in lines {
            let row = line.ok().and_then(|line| cells(&line)).filter(|row| row.len() == header.len());
            let number = |cell: usize| row.as_ref().map(|row| row[cell].trim().parse::<f64>());
            match (number(step), number(metric)) {
                (Some(Ok(step)), Some(Ok(value))) if step >= 0.0 => points.push((step as u64, value)),
                // Programs leave the cells of columns that they log less often empty.
                (Some(_), Some(_))
                    if row.as_ref().is_some_and(|row| row[step].trim().is_empty() || row[metric].trim().is_empty()) => {
                }
                _ => warnings.push(Warning::Line { path: path.to_path_buf(), line: index + 1 }),
            }
        }
        Ok((points, header, warnings))
    }
}

/// Points of a file, the names of all its columns or tags, and what was skipped.
type PeerLog = (Vec<(u64, f64)>, Vec<String>, Vec<Warning>);

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"))
}

/// Cells of a line, quoted as in RFC 4180; `None` if a quote stays open.
fn cells(line: &str) -> Option<Vec<String>> {
    let mut row = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.trim_end_matches('\r').chars().peekable();
    while let Some(letter) = letters.next() {
        let cell = row.last_mut()?;
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            other => cell.push(other),
        }
    }
    (!quoted).then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(path: &Path, more: &str) -> Peer {
        format!("SB3={}{more}", path.display()).parse().unwrap()
    }

    #[test]
    fn a_progress_table_is_read_by_its_columns() {
        let folder = tempfile::tempdir().unwrap();
        for (seed, offset) in [("0", 0.0), ("1", 2.0)] {
            let run = folder.path().join(seed);
            fs::create_dir(&run).unwrap();
            let text = format!(
                "rollout/ep_rew_mean,\"time, fps\",time/total_timesteps,eval/mean_reward\n\
                 {},1,100,\n,2,200,{}\n5,\"3\n5,3,400,x\n",
                offset + 1.0,
                offset + 10.0
            );
            fs::write(run.join("progress.csv"), text).unwrap();
        }
        let (runs, warnings) = peer(folder.path(), "").read().unwrap();
        assert_eq!(runs.iter().map(|run| run.series[&200]).collect::<Vec<_>>(), [10.0, 12.0], "evaluations first");
        assert_eq!(runs[0].series.len(), 1);
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        assert!(warnings[0].to_string().ends_with("progress.csv:4: a damaged line is skipped"), "{}", warnings[0]);
        let (runs, _) = peer(folder.path(), "::rollout/ep_rew_mean").read().unwrap();
        assert_eq!(runs[1].series, BTreeMap::from([(100, 3.0), (400, 5.0)]));
        let (runs, _) = peer(folder.path(), "::rollout/ep_rew_mean::time, fps").read().unwrap();
        assert_eq!(runs[1].series, BTreeMap::from([(1, 3.0), (3, 5.0)]));
        let error = peer(folder.path(), "::loss").read().unwrap_err().to_string();
        assert!(error.contains("`loss`") && error.contains("eval/mean_reward"), "{error}");
        let error = peer(folder.path(), "::loss::steps").read().unwrap_err().to_string();
        assert!(error.contains("`steps`") && error.contains("time/total_timesteps"), "{error}");
    }

    #[test]
    fn wrong_arguments_are_explained() {
        assert!("x".parse::<Peer>().unwrap_err().contains("NAME=PATH"));
        assert!("x=".parse::<Peer>().unwrap_err().contains("no path"));
        assert!("x=a::b::c::d".parse::<Peer>().is_err());
    }
}
