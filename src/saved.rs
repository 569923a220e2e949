//! A trained policy to run: from a run folder, one of its checkpoints, or an exported policy file.

use std::path::{Path, PathBuf};

use anyhow::Context;
use liprl_agents::Agent;
use liprl_control::{Policy, certify::Certifiable};
use liprl_logbook::{Checkpoint, Checkpoints, RunFolder};

use crate::{
    Usage,
    config::{Config, EnvConfig},
    task::Task,
    train::{POLICY, agent_state, build_agent, set_threads},
};

/// A policy and the task it was trained on.
pub struct Saved {
    /// The task.
    pub task: Task,
    /// The policy.
    pub policy: Policy,
    /// What the task was made from.
    pub env: EnvConfig,
    /// The kind of agent that learnt it.
    pub agent: String,
    /// The config of its run as YAML, where the run is at hand.
    pub config: Option<String>,
    /// The checkpoint or file it comes from.
    pub origin: PathBuf,
    /// Environment steps it was trained for.
    pub step: u64,
}

impl Saved {
    /// Loads the best checkpoint of a run folder (the newest where there was no evaluation), the checkpoint named, or a
    /// policy file.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        set_threads(1);
        let Found { bytes, origin, config } = find(path)?;
        Self::of(&bytes, &origin, config)
    }

    fn of(bytes: &[u8], origin: &Path, config: Option<String>) -> anyhow::Result<Self> {
        let policy = Policy::load(bytes).with_context(|| origin.display().to_string())?;
        let about = policy.about();
        let env = about.get("env").cloned().unwrap_or_default();
        let env: EnvConfig =
            serde_json::from_value(env).with_context(|| format!("{} does not name its task", origin.display()))?;
        let agent = about.get("agent").and_then(|kind| kind.as_str()).unwrap_or("unknown").to_owned();
        let step = about.get("step").and_then(serde_json::Value::as_u64).unwrap_or_default();
        Ok(Self { task: Task::new(&env)?, policy, env, agent, config, origin: origin.to_owned(), step })
    }
}

/// The policy alone; `path` as in [`Saved::open`].
pub fn policy(path: &Path) -> anyhow::Result<Policy> {
    let Found { bytes, origin, .. } = find(path)?;
    Policy::load(&bytes).with_context(|| origin.display().to_string())
}

/// A policy's file, where it lies, and the config of its run.
struct Found {
    bytes: Vec<u8>,
    origin: PathBuf,
    config: Option<String>,
}

fn find(path: &Path) -> anyhow::Result<Found> {
    if path.is_file() {
        return Ok(Found { bytes: fs_err::read(path)?, origin: path.to_owned(), config: None });
    }
    let (folder, checkpoint) = locate(path)?;
    let config = Some(folder.config()?);
    Ok(Found { bytes: policy_bytes(&folder, &checkpoint)?, origin: checkpoint.path().to_owned(), config })
}

/// The networks besides the policy that the agent of a run folder or checkpoint has; `path` as in [`Saved::open`].
pub fn networks(path: &Path) -> anyhow::Result<Vec<Certifiable>> {
    if path.is_file() {
        let path = path.display();
        return Err(Usage(format!("{path} holds a policy alone; name the run folder for its other networks")).into());
    }
    let (folder, checkpoint) = locate(path)?;
    let (agent, _) = agent(&folder, &checkpoint)?;
    Ok(agent.networks()?)
}

/// The run and the checkpoint that a folder stands for.
fn locate(path: &Path) -> anyhow::Result<(RunFolder, Checkpoint)> {
    if path.join("config.yaml").is_file() {
        let folder = RunFolder::open(path)?;
        let checkpoint = newest_or_best(&folder)?;
        Ok((folder, checkpoint))
    } else if let Some(run) = run_of_checkpoint(path) {
        Ok((RunFolder::open(run)?, Checkpoint::open(path)?))
    } else {
        let path = path.display();
        Err(Usage(format!("{path} is neither a run folder, nor a checkpoint, nor a policy file")).into())
    }
}

/// The agent as the checkpoint has it, without its replay, and its config.
fn agent(folder: &RunFolder, checkpoint: &Checkpoint) -> anyhow::Result<(Box<dyn Agent>, Config)> {
    let config = Config::parse(&folder.config_path().display().to_string(), &folder.config()?, &[])?;
    let mut agent = build_agent(&config, &Task::new(&config.env)?)?;
    agent.load(&agent_state(checkpoint)?)?;
    Ok((agent, config))
}

/// The checkpoint's policy file; made from the agent's state where an earlier version left none.
fn policy_bytes(folder: &RunFolder, checkpoint: &Checkpoint) -> anyhow::Result<Vec<u8>> {
    if checkpoint.names().any(|name| name == POLICY) {
        return Ok(checkpoint.get(POLICY)?);
    }
    let (agent, config) = agent(folder, checkpoint)?;
    Ok(crate::train::policy(&*agent, &config, checkpoint.step())?.to_bytes()?)
}

fn newest_or_best(folder: &RunFolder) -> anyhow::Result<Checkpoint> {
    let mut checkpoints = Checkpoints::open(folder);
    if let Some(step) = folder.summary()?.best_step {
        match checkpoints.load(step) {
            Ok(best) => return Ok(best),
            Err(error) => {
                crate::tell(format_args!("warning: the best checkpoint cannot be used, taking the newest: {error}"))
            }
        }
    }
    let Some(recovered) = checkpoints.latest_valid()? else {
        return Err(Usage(format!("{} has no checkpoint yet", folder.path().display())).into());
    };
    for warning in recovered.warnings {
        crate::tell(format_args!("warning: {warning}"));
    }
    Ok(recovered.checkpoint)
}

/// `…/run` for `…/run/checkpoints/step_…`.
fn run_of_checkpoint(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let run = path.parent()?.parent()?;
    run.join("config.yaml").is_file().then(|| run.to_owned())
}
