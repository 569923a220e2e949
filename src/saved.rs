//! A trained policy to run: from a run folder, one of its checkpoints, or an exported policy file.

use std::path::{Path, PathBuf};

use liprl_agents::{Agent, State};
use liprl_logbook::{Checkpoint, Checkpoints, RunFolder};

use crate::Usage;
use crate::config::Config;
use crate::task::Task;
use crate::train::{AGENT, build_agent, set_threads};

/// A policy and the task it was trained on.
pub struct Saved {
    /// The task.
    pub task: Task,
    /// The policy.
    pub agent: Box<dyn Agent>,
    /// The config of its run.
    pub config: Config,
    /// The checkpoint it comes from.
    pub origin: PathBuf,
    /// Environment steps it was trained for.
    pub step: u64,
}

impl Saved {
    /// Loads the best checkpoint of a run folder (the newest where there was no evaluation), or the checkpoint named.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let (folder, checkpoint) = if path.join("config.yaml").is_file() {
            let folder = RunFolder::open(path)?;
            let checkpoint = newest_or_best(&folder)?;
            (folder, checkpoint)
        } else if let Some(run) = run_of_checkpoint(path) {
            (RunFolder::open(run)?, Checkpoint::open(path)?)
        } else {
            let path = path.display();
            return Err(Usage(format!("{path} is neither a run folder nor one of its checkpoints")).into());
        };
        let config = Config::parse(&folder.config_path().display().to_string(), &folder.config()?, &[])?;
        set_threads(config.threads);
        let task = Task::new(&config.env)?;
        let mut agent = build_agent(&config, &task)?;
        agent.load(&State::from_bytes(&checkpoint.get(AGENT)?)?)?;
        Ok(Self { task, agent, config, origin: checkpoint.path().to_owned(), step: checkpoint.step() })
    }
}

fn newest_or_best(folder: &RunFolder) -> anyhow::Result<Checkpoint> {
    let mut checkpoints = Checkpoints::open(folder);
    if let Some(step) = folder.summary()?.best_step {
        match checkpoints.load(step) {
            Ok(best) => return Ok(best),
            Err(error) => eprintln!("warning: the best checkpoint cannot be used, taking the newest: {error}"),
        }
    }
    let Some(recovered) = checkpoints.latest_valid()? else {
        return Err(Usage(format!("{} has no checkpoint yet", folder.path().display())).into());
    };
    for warning in recovered.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(recovered.checkpoint)
}

/// `…/run` for `…/run/checkpoints/step_…`.
fn run_of_checkpoint(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let run = path.parent()?.parent()?;
    run.join("config.yaml").is_file().then(|| run.to_owned())
}
