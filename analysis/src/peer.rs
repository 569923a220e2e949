//! Runs of other programs: TensorBoard event files, CSV tables such as `progress.csv` of
//! Stable-Baselines3, and its `evaluations.npz`.
//!
//! [`files`] finds the logs of each run, [`log`] reads one, [`series`] joins those of a run. Metric
//! and steps are chosen once for all runs of a curve, so that no curve mixes two quantities.

mod files;
mod log;
mod npz;
mod series;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::AnalysisError;
use crate::run::{Run, Warning};
use log::{Log, LogKind};
use series::joined;

/// Names of returns in other programs' logs, evaluations before training.
const RETURNS: [&str; 6] = [
    "eval/return_mean",
    "eval/mean_reward",
    "evaluation/return",
    "rollout/ep_rew_mean",
    "charts/episodic_return",
    "return",
];
/// Names of the column of environment steps in other programs' tables.
const STEPS: [&str; 7] =
    ["time/total_timesteps", "total_timesteps", "global_step", "env_steps", "env_step", "timesteps", "step"];
/// Most files that a warning names one by one.
const NAMED: usize = 10;

/// A curve of another program: `NAME=PATH[::METRIC[::STEP]]` on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Name in the legend. Peers of one name are seeds of one curve.
    pub name: String,
    /// CSV table, event file, `evaluations.npz`, or a folder. Every folder in it that logged the
    /// metric is one run.
    pub path: PathBuf,
    /// Column or tag. Default: of the known names of a return, the first that the most runs have.
    pub metric: Option<String>,
    /// Column of environment steps in a table. Default: of the known names, the first that the
    /// most runs have.
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

/// Reads the runs of all peers, and names what was skipped. Peers of one name choose metric and
/// steps together.
pub(crate) fn read(peers: &[Peer]) -> Result<(Vec<Run>, Vec<Warning>), AnalysisError> {
    let mut curves: Vec<Vec<&Peer>> = Vec::new();
    for peer in peers {
        let key = |other: &Peer| (other.name.clone(), other.metric.clone(), other.step.clone());
        match curves.iter_mut().find(|curve| key(curve[0]) == key(peer)) {
            Some(curve) => curve.push(peer),
            None => curves.push(vec![peer]),
        }
    }
    let (mut runs, mut warnings) = (Vec::new(), Vec::new());
    for curve in curves {
        let (of_curve, skipped) = PeerCurve::read(&curve)?.runs()?;
        runs.extend(of_curve);
        warnings.extend(skipped);
    }
    Ok((runs, warnings))
}

/// Logs of one curve.
struct PeerCurve<'p> {
    peer: &'p Peer,
    /// Folder, or single file, of each run → its logs.
    runs: BTreeMap<PathBuf, Vec<Log>>,
    warnings: Vec<Warning>,
}

impl<'p> PeerCurve<'p> {
    fn read(peers: &[&'p Peer]) -> Result<Self, AnalysisError> {
        let mut files = BTreeMap::new();
        for peer in peers {
            files.extend(files::of(&peer.path)?);
        }
        let mut curve = Self { peer: peers[0], runs: BTreeMap::new(), warnings: Vec::new() };
        let (metrics, steps) = (curve.metrics(), curve.steps());
        for (folder, files) in files {
            let logs = curve.runs.entry(folder).or_default();
            for path in files {
                let log = Log::read(path, &metrics, &steps);
                curve.warnings.extend(log.fault());
                logs.push(log);
            }
        }
        Ok(curve)
    }

    /// Metrics that may be drawn, best first.
    fn metrics(&self) -> Vec<&'p str> {
        self.peer.metric.as_deref().map_or(RETURNS.to_vec(), |own| vec![own])
    }

    /// Columns that may be the steps, best first.
    fn steps(&self) -> Vec<&'p str> {
        self.peer.step.as_deref().map_or(STEPS.to_vec(), |own| vec![own])
    }

    /// True if the log has the curve. The steps of event files have no name, so they do not count
    /// if a column is asked for.
    fn has(&self, log: &Log, metric: &str, step: &str) -> bool {
        (log.kind != LogKind::Events || self.peer.step.is_none()) && log.has(metric, step)
    }

    /// Metric and steps that the most runs have, with the number of runs; of equals the first.
    fn choice(&self) -> (&'p str, &'p str, usize) {
        let mut best = ("", "", 0);
        for metric in self.metrics() {
            for step in self.steps() {
                let has = |logs: &&Vec<Log>| logs.iter().any(|log| self.has(log, metric, step));
                let count = self.runs.values().filter(has).count();
                if count > best.2 {
                    best = (metric, step, count);
                }
            }
        }
        best
    }

    fn runs(mut self) -> Result<(Vec<Run>, Vec<Warning>), AnalysisError> {
        let (metric, step, count) = self.choice();
        if count == 0 {
            return Err(self.missing());
        }
        self.say_preferred(metric, step, count);
        let mut warnings = std::mem::take(&mut self.warnings);
        let has_curve = |logs: &[Log]| logs.iter().any(|log| self.has(log, metric, step));
        let with_curve: BTreeSet<&Path> =
            self.runs.iter().filter(|(_, logs)| has_curve(logs)).map(|(folder, _)| folder.as_path()).collect();
        let (mut runs, mut without) = (Vec::new(), Vec::new());
        for (folder, logs) in &self.runs {
            without.extend(logs.iter().filter(|log| !log.has(metric, step) && !log.is_damaged()).map(|log| &log.path));
            if !with_curve.contains(folder.as_path()) {
                continue;
            }
            if let Some(around) = folder.ancestors().skip(1).find(|folder| with_curve.contains(folder)) {
                let problem = format!("it lies in the run {} and is left out", around.display());
                warnings.push(Warning::Note { path: folder.clone(), problem });
                continue;
            }
            let usable: Vec<&Log> = logs.iter().filter(|log| self.has(log, metric, step)).collect();
            let series = joined(&usable, metric, step, &mut warnings);
            runs.push(Run { folder: folder.clone(), variant: PathBuf::from(&self.peer.name), task: None, series });
        }
        if !without.is_empty() {
            warnings.push(self.left_out(&without, metric));
        }
        Ok((runs, warnings))
    }

    /// Adds a warning if runs have a metric that would come first, but fewer than have the chosen.
    fn say_preferred(&mut self, metric: &str, step: &str, count: usize) {
        let metrics = self.metrics();
        let better = metrics.iter().take_while(|name| **name != metric);
        let having = better.map(|name| {
            let has = |logs: &&Vec<Log>| logs.iter().any(|log| self.has(log, name, step));
            (*name, self.runs.values().filter(has).count())
        });
        if let Some((name, fewer)) = having.filter(|(_, fewer)| *fewer > 0).max_by_key(|(_, fewer)| *fewer) {
            let problem = format!("`{metric}` is drawn: {count} runs have it, and {fewer} have `{name}`");
            self.warnings.push(Warning::Note { path: self.peer.path.clone(), problem });
        }
    }

    /// Warning about the files that lack the curve.
    fn left_out(&self, files: &[&PathBuf], metric: &str) -> Warning {
        let mut names: Vec<String> = files.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        if files.len() > NAMED {
            names.push(format!("{} more", files.len() - NAMED));
        }
        let problem = format!("left out, without steps and values of `{metric}`: {}", names.join(", "));
        Warning::Note { path: self.peer.path.clone(), problem }
    }

    /// Error for a curve that no run has: names the steps if a table has the metric alone.
    fn missing(&self) -> AnalysisError {
        let logs = || self.runs.values().flatten();
        let tables = || logs().filter(|log| log.kind != LogKind::Events);
        let (metrics, steps) = (self.metrics(), self.steps());
        let named = |log: &Log, wanted: &[&str]| wanted.iter().any(|name| log.names.contains(*name));
        let lacks_steps = match self.peer.step {
            Some(_) => tables().next().is_some() && !tables().any(|log| named(log, &steps)),
            None => tables().any(|log| named(log, &metrics) && !named(log, &steps)),
        };
        let known: BTreeSet<String> = logs().flat_map(|log| log.names.iter().cloned()).collect();
        match logs().find_map(Log::fault) {
            Some(fault) if known.is_empty() => AnalysisError::Request(fault.to_string()),
            _ => AnalysisError::NoSuchColumn {
                path: self.peer.path.clone(),
                wanted: if lacks_steps { steps } else { metrics }.join("` or `"),
                known: known.into_iter().collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
