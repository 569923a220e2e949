//! The agent that a config describes: built for its task, taken from a checkpoint, exported as a
//! policy file.

use std::path::Path;

use liprl_agents::demos::Demonstrations;
use liprl_agents::feedback::{FeedbackConfig, shown};
use liprl_agents::{Agent, AgentError, Setup, TaskContext};
use liprl_control::{Policy, certify::Certifiable};
use liprl_nets::{Precision, device::parse_device, set_precision};
use liprl_numerics::Streams;
use tch::Device;

use crate::checkpoint_parts::{PartError, agent_state};
use crate::config::Config;
use crate::load::{SPACES, load_policy, locate};
use crate::task::Task;
use crate::terminal::warn;
use crate::usage::Usage;

/// Builds the agent of a config for the task's dimensions, with the demonstrations and the expert
/// that it names.
pub fn build_agent(config: &Config, task: &Task) -> Result<Box<dyn Agent>, AgentError> {
    config.agent.warnings().iter().for_each(|warning| warn(format_args!("agent: {warning}")));
    let (setup, context) = setup(config, task)?;
    if config.precision == Precision::Bf16 && setup.device != Device::Cpu {
        return Err(AgentError::BadConfig {
            setting: "precision".to_owned(),
            problem: "bf16 is for `device: cpu` alone; leave it out".to_owned(),
        });
    }
    set_precision(config.precision)?;
    config.agent.build(&setup, &context)
}

/// The demonstrations that the agent of a config learns from: a file's, or the episodes that its
/// expert shows before training. `None` if there are neither.
pub(crate) fn learned_from(config: &Config, task: &Task) -> Result<Option<Demonstrations>, AgentError> {
    let (setup, context) = setup(config, task)?;
    match config.agent.settings::<FeedbackConfig>() {
        Some(feedback) if context.demonstrations.is_none() => shown(feedback, &setup, &context),
        _ => Ok(context.demonstrations),
    }
}

/// The inputs of an agent besides its settings.
fn setup(config: &Config, task: &Task) -> Result<(Setup, TaskContext), AgentError> {
    let demonstrations = config.agent.demonstrations().map(|named| task.demonstrations(named)).transpose()?;
    if let (Some(named), Some(read)) = (config.agent.demonstrations(), &demonstrations) {
        read.notes.iter().for_each(|note| warn(format_args!("{}: {note}", named.file().display())));
    }
    let (can_terminate, action_half_width) = (task.env().can_terminate(), task.action_range().1.to_vec());
    let spec = Some(task.env().spec().clone());
    let expert = config.agent.expert().map(expert).transpose()?;
    let context = TaskContext { demonstrations, can_terminate, task: spec, expert, action_half_width };
    let setup = Setup {
        obs_dim: task.obs_dim(),
        act_dim: task.act_dim(),
        streams: Streams::new(config.seed),
        device: parse_device(&config.device)?,
        threads: config.threads,
    };
    Ok((setup, context))
}

/// Loads the policy of another run, which is the expert of this one.
fn expert(path: &Path) -> Result<Policy, AgentError> {
    load_policy(path).map_err(|error| AgentError::BadConfig {
        setting: "agent.expert.path".to_owned(),
        problem: format!("{error:#}"),
    })
}

/// Loads the networks besides the policy that the agent of a run folder or checkpoint has.
pub fn networks(path: &Path) -> anyhow::Result<Vec<Certifiable>> {
    if path.is_file() {
        let path = path.display();
        return Err(Usage(format!("{path} holds a policy alone; name the run folder for its other networks")).into());
    }
    let (folder, checkpoint) = locate(path)?;
    let config = Config::parse(&folder.config_path().display().to_string(), &folder.config()?, &[])?;
    // They are looked at, not trained: also where there is no bf16.
    let config = Config { precision: Precision::F32, ..config };
    let mut agent = build_agent(&config, &Task::of(&config)?)?;
    let state = agent_state(&checkpoint)?;
    agent.load(&state).map_err(|error| PartError::agent(&checkpoint, error))?;
    Ok(agent.networks()?)
}

/// Returns the agent's policy, with all that is needed to run it without its run folder: task, kind
/// of agent, seed and steps, and the parts of an observation of several.
pub fn export_policy(agent: &dyn Agent, config: &Config, task: &Task, step: u64) -> Result<Policy, AgentError> {
    let mut policy = agent.policy()?;
    let config = serde_json::to_value(config).unwrap_or_default();
    let facts = [("env", &config["env"]), ("agent", &config["agent"]["kind"]), ("seed", &config["seed"])];
    for (name, value) in facts.into_iter().chain([("step", &step.into())]) {
        policy.about_mut().insert(name.to_owned(), value.clone());
    }
    if let Some(python) = task.env().spec().python.as_ref().filter(|python| python.observation.len() > 1) {
        policy.about_mut().insert("observation".to_owned(), python.to_json()["observation"].clone());
    }
    if let Some(recorded) = task.spaces_alone() {
        policy.about_mut().insert(SPACES.to_owned(), serde_json::to_value(recorded).unwrap_or_default());
    }
    Ok(policy)
}
