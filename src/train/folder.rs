//! Making a new run's folder, or finding out where an old one stands.

use std::fmt::Display;
use std::path::Path;

use liprl_logbook::{LogbookError, Provenance, RunFolder, RunSummary, Status};

use super::Order;
use super::hparams::difference;
use super::session::Session;
use crate::Usage;
use crate::config::Config;

/// What there is to do.
pub enum Start {
    /// A new run in a new folder.
    New(RunFolder, Box<Session>),
    /// Go on with the run of this folder.
    Resume(RunFolder, Box<Config>),
    /// Every step was taken already.
    Finished(u64),
}

/// Makes or opens the order's run folder.
pub fn open(order: &Order) -> anyhow::Result<Start> {
    if order.resume && order.out.exists() {
        return reopen(order);
    }
    let gpu = order.config.device.starts_with("cuda").then(|| order.config.device.clone());
    let libraries = [("libtorch", TORCH_VERSION), ("tch", "0.24"), ("mujoco", MUJOCO_VERSION)];
    let source = env!("CARGO_MANIFEST_DIR");
    let provenance = Provenance::collect(env!("CARGO_PKG_VERSION"), source, &libraries, order.config.threads, gpu);
    // Built first: what cannot be built leaves no folder behind.
    let session = Box::new(Session::new(order.config.clone())?);
    match RunFolder::create(&order.out, &order.config.to_yaml()?, &provenance) {
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
    Usage(format!(
        "{path} is not empty; add --resume to go on with the run that is in it, or choose another folder with --out"
    ))
}

fn reopen(order: &Order) -> anyhow::Result<Start> {
    let folder = RunFolder::open_for_writing(&order.out)?;
    let stored = Config::parse(&folder.config_path().display().to_string(), &folder.config()?, &[])?;
    let wanted = Config { steps: order.config.steps, ..stored.clone() };
    let kept = |path: &str, theirs: &dyn Display, ours: &dyn Display| {
        let run = order.out.display();
        Usage(format!(
            "the run in {run} has `{path}`: {theirs}, not {ours}; a resumed run keeps its config (only `steps` may grow)"
        ))
    };
    if let Some((path, ours, theirs)) = difference(&order.config, &wanted) {
        return Err(kept(&path, &theirs, &ours).into());
    }
    let summary = folder.summary()?;
    if summary.status == Status::Done && order.config.steps <= summary.steps.max(stored.steps) {
        return Ok(Start::Finished(summary.steps));
    }
    if order.config.steps < stored.steps {
        return Err(kept("steps", &stored.steps, &order.config.steps).into());
    }
    if order.config.steps != stored.steps {
        // First, so that a run which is killed or fails before its next checkpoint does not say it is done at the new length.
        folder.write_summary(&RunSummary { status: Status::Stopped, ..summary })?;
        folder.write_config(&order.config.to_yaml()?)?;
    }
    Ok(Start::Resume(folder, Box::new(order.config.clone())))
}
