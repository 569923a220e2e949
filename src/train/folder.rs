//! Makes a new run's folder, or opens an existing run to resume it.

use std::fmt::Display;
use std::path::Path;

use liprl_logbook::{LogbookError, Provenance, RunFolder, RunSummary, Status};

use super::session::Session;
use super::{TrainOptions, inputs};
use crate::config::{Config, difference};
use crate::usage::Usage;

/// The state of a run folder before training.
pub enum Start {
    /// A new run in a new folder.
    New(RunFolder, Box<Session>),
    /// The run of this folder, to be resumed.
    Resume(RunFolder, Box<Config>),
    /// A run whose steps are all taken, with their number.
    Finished(u64),
}

/// Makes or opens a run folder.
pub fn open(options: &TrainOptions) -> anyhow::Result<Start> {
    if options.resume && options.out.exists() {
        return reopen(options);
    }
    let gpu = options.config.device.starts_with("cuda").then(|| options.config.device.clone());
    let libraries = [("libtorch", TORCH_VERSION), ("tch", "0.24"), ("mujoco", MUJOCO_VERSION)];
    let source = env!("CARGO_MANIFEST_DIR");
    let mut provenance =
        Provenance::collect(env!("CARGO_PKG_VERSION"), source, &libraries, options.config.threads, gpu);
    // Built first, so that a config that cannot be built leaves no folder behind.
    let session = Box::new(Session::new(options.config.clone())?);
    provenance.inputs = inputs::digests(&options.config)?;
    match RunFolder::create(&options.out, &options.config.to_yaml()?, &provenance) {
        Ok(folder) => Ok(Start::New(folder, session)),
        Err(LogbookError::NotEmpty { path }) => Err(refusal(&path).into()),
        Err(error) => Err(error.into()),
    }
}

/// The release tch 0.24 binds.
const TORCH_VERSION: &str = "2.11.0";
/// The release mujoco-rs 7 binds.
const MUJOCO_VERSION: &str = "3.17.0";

fn refusal(path: &Path) -> Usage {
    let path = path.display();
    Usage(format!("{path} is not empty; add --resume to resume its run, or choose another folder with --out"))
}

fn reopen(options: &TrainOptions) -> anyhow::Result<Start> {
    let folder = RunFolder::open_for_writing(&options.out)?;
    let mut stored = Config::parse(&folder.config_path().display().to_string(), &folder.config()?, &[])?;
    // Of earlier versions, which kept paths as they were written.
    stored.resolve_paths(&[folder.path()]).ok();
    let moved = inputs::compare(&folder, &mut stored, &options.config)?;
    let wanted = Config { steps: options.config.steps, ..stored.clone() };
    let kept = |path: &str, theirs: &dyn Display, ours: &dyn Display| {
        let run = options.out.display();
        let rule = "a resumed run keeps its config (only `steps` may grow)";
        Usage(format!("the run in {run} has `{path}`: {theirs}, not {ours}; {rule}"))
    };
    if let Some((path, ours, theirs)) = difference(&options.config, &wanted) {
        return Err(kept(&path, &theirs, &ours).into());
    }
    let summary = folder.summary()?;
    if summary.status == Status::Done && options.config.steps <= summary.steps.max(stored.steps) {
        return Ok(Start::Finished(summary.steps));
    }
    if options.config.steps < stored.steps {
        return Err(kept("steps", &stored.steps, &options.config.steps).into());
    }
    if options.config.steps != stored.steps || moved {
        // The summary goes first: a run killed before its next checkpoint must not look done at its
        // new length.
        folder.write_summary(&RunSummary { status: Status::Stopped, ..summary })?;
        folder.write_config(&options.config.to_yaml()?)?;
    }
    Ok(Start::Resume(folder, Box::new(options.config.clone())))
}
