//! Loads a trained policy from a run folder, one of its checkpoints, or an exported policy file.

use std::path::{Path, PathBuf};

use anyhow::Context;
use liprl_control::Policy;
use liprl_logbook::{Checkpoint, Checkpoints, RunFolder, limits, read_file};

use crate::checkpoint_parts::POLICY;
use crate::config::EnvConfig;
use crate::task::Task;
use crate::terminal::warn;
use crate::threads::set_threads;
use crate::usage::Usage;

/// The entry of a policy file with the spaces of demonstrations that stand for an environment.
pub(crate) const SPACES: &str = "spaces";

/// A policy and the task it was trained on.
pub struct LoadedPolicy {
    /// The task.
    pub task: Task,
    /// The policy.
    pub policy: Policy,
    /// The task's config.
    pub env: EnvConfig,
    /// The kind of agent that learnt it.
    pub agent: String,
    /// The run's config as YAML; `None` for a policy file.
    pub config: Option<String>,
    /// The checkpoint or file it comes from.
    pub origin: PathBuf,
    /// Environment steps it was trained for.
    pub step: u64,
}

impl LoadedPolicy {
    /// Loads a policy file, the checkpoint named, or a run folder's best checkpoint (its newest
    /// before the first evaluation).
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        set_threads(1);
        let PolicyFile { bytes, origin, config } = find(path)?;
        let policy = Policy::load(&bytes).with_context(|| origin.display().to_string())?;
        let about = policy.about();
        let env = about.get("env").cloned().unwrap_or_default();
        let env: EnvConfig =
            serde_json::from_value(env).with_context(|| format!("{} does not name its task", origin.display()))?;
        let agent = about.get("agent").and_then(|kind| kind.as_str()).unwrap_or("unknown").to_owned();
        let step = about.get("step").and_then(serde_json::Value::as_u64).unwrap_or_default();
        let task = match about.get(SPACES).filter(|_| env.is_recorded()) {
            Some(spaces) => {
                let spaces = serde_json::from_value(spaces.clone());
                Task::recorded(spaces.with_context(|| format!("{}: its {SPACES}", origin.display()))?)?
            }
            None => Task::new(&env)?,
        };
        Ok(Self { task, policy, env, agent, config, origin, step })
    }

    /// This policy, if there is an environment to run it in.
    ///
    /// # Errors
    /// [`Usage`] for a policy learned with `env: demonstrations`.
    pub fn runnable(self) -> anyhow::Result<Self> {
        let Some(recorded) = self.task.spaces_alone() else { return Ok(self) };
        let (origin, of) =
            (self.origin.display(), recorded.id.as_ref().map(|id| format!(" of {id}")).unwrap_or_default());
        Err(Usage(format!(
            "{origin} was learned from demonstrations{of} alone (`env: demonstrations`), so there is no environment to \
             run it in; `liprl export` writes it for a program that has one"
        ))
        .into())
    }
}

/// Returns the bytes of the policy; `path` as in [`LoadedPolicy::open`].
pub(crate) fn policy_bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    Ok(find(path)?.bytes)
}

/// Loads the policy without its task; `path` as in [`LoadedPolicy::open`].
pub fn load_policy(path: &Path) -> anyhow::Result<Policy> {
    let PolicyFile { bytes, origin, .. } = find(path)?;
    Policy::load(&bytes).with_context(|| origin.display().to_string())
}

/// A policy file, its place, and the config of its run.
struct PolicyFile {
    bytes: Vec<u8>,
    origin: PathBuf,
    config: Option<String>,
}

fn find(path: &Path) -> anyhow::Result<PolicyFile> {
    if path.exists() && !path.is_dir() {
        return Ok(PolicyFile { bytes: read_file(path, limits::POLICY)?, origin: path.to_owned(), config: None });
    }
    let (folder, checkpoint) = locate(path)?;
    let (bytes, config) = (checkpoint.get(POLICY)?, Some(folder.config()?));
    Ok(PolicyFile { bytes, origin: checkpoint.path().to_owned(), config })
}

/// Opens the run and the checkpoint that a folder stands for.
pub(crate) fn locate(path: &Path) -> anyhow::Result<(RunFolder, Checkpoint)> {
    if path.join("config.yaml").is_file() {
        let folder = RunFolder::open(path)?;
        let checkpoint = best_or_newest(&folder)?;
        Ok((folder, checkpoint))
    } else if let Some(run) = run_of_checkpoint(path) {
        Ok((RunFolder::open(run)?, Checkpoint::open(path)?))
    } else {
        let path = path.display();
        Err(Usage(format!("{path} is neither a run folder, nor a checkpoint, nor a policy file")).into())
    }
}

fn best_or_newest(folder: &RunFolder) -> anyhow::Result<Checkpoint> {
    let mut checkpoints = Checkpoints::open(folder);
    if let Some(step) = folder.summary()?.best_step {
        match checkpoints.load(step) {
            Ok(best) => return Ok(best),
            Err(error) => warn(format_args!("the best checkpoint cannot be used, taking the newest: {error}")),
        }
    }
    let Some(recovered) = checkpoints.latest_valid()? else {
        return Err(Usage(format!("{} has no checkpoint yet", folder.path().display())).into());
    };
    recovered.warnings.iter().for_each(warn);
    Ok(recovered.checkpoint)
}

/// Opens the run folder that `path` is, or that the checkpoint belongs to; `None` for a policy file.
pub(crate) fn run_folder(path: &Path) -> anyhow::Result<Option<RunFolder>> {
    let run = Some(path.to_owned()).filter(|path| path.join("config.yaml").is_file());
    let run = run.or_else(|| run_of_checkpoint(path).filter(|_| path.is_dir()));
    Ok(run.map(RunFolder::open).transpose()?)
}

/// Returns `…/run` for `…/run/checkpoints/step_…`.
fn run_of_checkpoint(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let run = path.parent()?.parent()?;
    run.join("config.yaml").is_file().then(|| run.to_owned())
}
