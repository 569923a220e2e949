//! Makes a new run's folder, or opens an existing run to resume it.

use std::fmt::Display;
use std::path::Path;

use liprl_envs::EnvSpec;
use liprl_envs::python::PythonSpec;
use liprl_logbook::{Checkpoint, Checkpoints, LogbookError, Provenance, Recovered, RunFolder, RunSummary, Status};

use super::checkpoint;
use super::session::Session;
use super::{TrainOptions, inputs};
use crate::checkpoint_parts::SESSION;
use crate::config::{Config, difference};
use crate::usage::Usage;

/// The state of a run folder before training.
pub enum Start {
    /// A new run in a new folder.
    New(RunFolder, Box<Session>),
    /// An existing run, to be resumed.
    Resume(Box<Resumption>),
    /// A run whose steps are all taken, with their number.
    Finished(u64),
}

/// A run to be resumed.
pub struct Resumption {
    /// Its folder.
    pub folder: RunFolder,
    /// Its config, perhaps with more steps.
    pub config: Config,
    /// Its checkpoints.
    pub checkpoints: Checkpoints,
    /// The newest that is whole; `None` before the first.
    pub recovered: Option<Recovered>,
    /// Differences from the run so far.
    pub warnings: Vec<String>,
}

/// Makes or opens a run folder, for this environment.
pub fn open(options: &TrainOptions, env: &EnvSpec) -> anyhow::Result<Start> {
    if options.resume && options.out.exists() {
        return reopen(options, env);
    }
    // Built first, so that a config that cannot be built leaves no folder behind.
    let session = Box::new(Session::new(options.config.clone())?);
    let origin = Provenance { inputs: inputs::digests(&options.config)?, ..provenance(&options.config, env) };
    match RunFolder::create(&options.out, &options.config.to_yaml()?, &origin) {
        Ok(folder) => Ok(Start::New(folder, session)),
        Err(LogbookError::NotEmpty { path }) => Err(refusal(&path).into()),
        Err(error) => Err(error.into()),
    }
}

/// The release tch 0.24 binds.
const TORCH_VERSION: &str = "2.11.0";
/// The release mujoco-rs 7 binds.
const MUJOCO_VERSION: &str = "3.17.0";

/// The origin of a run that begins or goes on now.
fn provenance(config: &Config, env: &EnvSpec) -> Provenance {
    let gpu = config.device.starts_with("cuda").then(|| config.device.clone());
    let mut libraries = vec![("libtorch", TORCH_VERSION), ("tch", "0.24"), ("mujoco", MUJOCO_VERSION)];
    let python = env.python.as_deref();
    // An environment in Python has its own MuJoCo, if it has one.
    let others = python.iter().flat_map(|python| &python.libraries).map(|(name, version)| (&**name, &**version));
    if python.is_some() {
        libraries.retain(|(name, _)| *name != "mujoco");
    }
    libraries.extend(others);
    let source = env!("CARGO_MANIFEST_DIR");
    let collected = Provenance::collect(env!("CARGO_PKG_VERSION"), source, &libraries, config.threads, gpu);
    Provenance { python: python.map(PythonSpec::to_json), ..collected }
}

fn refusal(path: &Path) -> Usage {
    let path = path.display();
    Usage(format!("{path} is not empty; add --resume to resume its run, or choose another folder with --out"))
}

fn reopen(options: &TrainOptions, env: &EnvSpec) -> anyhow::Result<Start> {
    let folder = RunFolder::open_for_writing(&options.out)?;
    let mut stored = Config::parse(&folder.config_path().display().to_string(), &folder.config()?, &[])?;
    // Of earlier versions, which kept paths as they were written.
    stored.resolve_paths(&[folder.path()]).ok();
    let moved = inputs::compare(&folder, &mut stored, &options.config)?;
    let wanted = Config { steps: options.config.steps, ..stored.clone() };
    let kept = |path: &str, theirs: &dyn Display, ours: &dyn Display| {
        let run = options.out.display();
        Usage(format!("the run in {run} has `{path}`: {theirs}, not {ours}; {RULE}"))
    };
    if let Some((path, ours, theirs)) = difference(&options.config, &wanted) {
        return Err(kept(&path, &theirs, &ours).into());
    }
    let mut warnings = Vec::new();
    // All that a summary tells follows from the checkpoint.
    let summary = folder.summary().unwrap_or_else(|error| {
        warnings.push(format!("{error}; it is written anew"));
        RunSummary { status: Status::Stopped, ..RunSummary::default() }
    });
    if summary.status == Status::Done && options.config.steps <= summary.steps.max(stored.steps) {
        return Ok(Start::Finished(summary.steps));
    }
    if options.config.steps < stored.steps {
        return Err(kept("steps", &stored.steps, &options.config.steps).into());
    }
    let mut checkpoints = Checkpoints::open(&folder);
    let recovered = checkpoints.latest_valid()?;
    if let Some(Recovered { checkpoint, .. }) = &recovered {
        refuse_edited(&folder, &options.config, checkpoint)?;
    }
    if options.config.steps != stored.steps || moved {
        // The summary goes first: a run killed before its next checkpoint must not look done at its
        // new length.
        folder.write_summary(&RunSummary { status: Status::Stopped, ..summary })?;
        folder.write_config(&options.config.to_yaml()?)?;
    }
    let step = recovered.as_ref().map_or(0, |recovered| recovered.checkpoint.step());
    let mut origin = folder.provenance()?;
    let changes = origin.resume(&provenance(&options.config, env), step);
    if !changes.is_empty() {
        folder.write_provenance(&origin)?;
        warnings
            .extend(changes.iter().map(|change| format!("the run is not what it was before step {step}: {change}")));
    }
    let config = options.config.clone();
    Ok(Start::Resume(Box::new(Resumption { folder, config, checkpoints, recovered, warnings })))
}

const RULE: &str = "a resumed run keeps its config (only `steps` may grow)";

/// Refuses a config.yaml that was edited since a checkpoint was written.
fn refuse_edited(folder: &RunFolder, config: &Config, from: &Checkpoint) -> anyhow::Result<()> {
    let Some(text) = checkpoint::config(from)? else { return Ok(()) };
    let mut then = Config::parse(&from.path().join(SESSION).display().to_string(), &text, &[])?;
    inputs::take_places(&mut then, config);
    let Some((path, now, then)) = difference(config, &Config { steps: config.steps, ..then }) else { return Ok(()) };
    let file = folder.config_path();
    Err(Usage(format!(
        "{}: `{path}` is {now}, and the checkpoint of step {} was made with {then}; {RULE}: put it back, or start a \
         new run with --out",
        file.display(),
        from.step()
    ))
    .into())
}
