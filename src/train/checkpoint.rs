//! A session to and from a checkpoint, exact to the bit.

use liprl_agents::{Agent, AgentError};
use liprl_control::Policy;
use liprl_logbook::{Checkpoint, CheckpointWriter, LogPosition, LogbookError};
use liprl_numerics::{ArrayData, State};
use serde::{Deserialize, Serialize};

use super::session::{Counters, Session};
use crate::{config::Config, task::TaskError};

/// The agent's part of a checkpoint.
pub const AGENT: &str = "agent.safetensors";
/// The policy alone, which `eval` and `record` also take by itself.
pub const POLICY: &str = "policy.safetensors";
const ENV: &str = "env.bin";
const SESSION: &str = "session.json";

/// What a checkpoint holds besides environment, agent and replay.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    counters: Counters,
    log: LogPosition,
    wall_s: f64,
}

/// A checkpoint that cannot be written or taken back.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaveError {
    /// The files.
    #[error(transparent)]
    Files(#[from] LogbookError),
    /// The agent's or environment's part.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The session's part.
    #[error("checkpoint: session.json: {0}")]
    Session(#[from] serde_json::Error),
}

impl From<AgentError> for SaveError {
    fn from(error: AgentError) -> Self {
        Self::Task(error.into())
    }
}

/// Writes the session's parts. Replay chunks that have not changed since an earlier checkpoint are only referred to.
pub(super) fn save(
    session: &mut Session,
    writer: &mut CheckpointWriter<'_>,
    log: LogPosition,
    wall_s: f64,
) -> Result<(), SaveError> {
    let agent = session.agent.save()?;
    refuse_non_finite(&agent, session.agent.updates())?;
    writer.put(AGENT, &agent.to_bytes().map_err(AgentError::from)?)?;
    let policy = policy(&*session.agent, &session.config, session.counters.step)?;
    writer.put(POLICY, &policy.to_bytes().map_err(AgentError::from)?)?;
    writer.put(ENV, &session.task.save())?;
    let saved = Saved { counters: session.counters.clone(), log, wall_s };
    writer.put(SESSION, &serde_json::to_vec_pretty(&saved)?)?;
    for (name, replay) in session.agent.replays() {
        writer.put(&format!("{name}.safetensors"), &replay.save_meta().to_bytes().map_err(AgentError::from)?)?;
        for (index, version) in replay.chunks() {
            writer.put_shared(&chunk_name(name, index), version, || replay.chunk_bytes(index))?;
        }
    }
    Ok(())
}

/// The agent's policy, with what it needs to be run without its run folder: task, kind of agent, seed, steps.
pub fn policy(agent: &dyn Agent, config: &Config, step: u64) -> Result<Policy, AgentError> {
    let mut policy = agent.policy()?;
    let config = serde_json::to_value(config).unwrap_or_default();
    let facts = [("env", &config["env"]), ("agent", &config["agent"]["kind"]), ("seed", &config["seed"])];
    for (name, value) in facts.into_iter().chain([("step", &step.into())]) {
        policy.about_mut().insert(name.to_owned(), value.clone());
    }
    Ok(policy)
}

/// The session as it was, with where its logs and clock stood.
pub(super) fn load(config: Config, checkpoint: &Checkpoint) -> Result<(Session, LogPosition, f64), SaveError> {
    let saved: Saved = serde_json::from_slice(&checkpoint.get(SESSION)?)?;
    let mut session = Session::new(config)?;
    session.agent.load(&State::from_bytes(&checkpoint.get(AGENT)?).map_err(AgentError::from)?)?;
    session.task.restore(&checkpoint.get(ENV)?).map_err(TaskError::from)?;
    for (name, replay) in session.agent.replays() {
        replay.load_meta(
            &State::from_bytes(&checkpoint.get(&format!("{name}.safetensors"))?).map_err(AgentError::from)?,
        )?;
        for (index, _) in replay.chunks() {
            replay.restore_chunk(index, &checkpoint.get(&chunk_name(name, index))?)?;
        }
    }
    session.counters = saved.counters;
    Ok((session, saved.log, saved.wall_s))
}

fn chunk_name(replay: &str, index: usize) -> String {
    format!("{replay}-{index:05}")
}

/// A checkpoint is somewhere to go back to, so none is made of broken weights.
fn refuse_non_finite(state: &State, updates: u64) -> Result<(), AgentError> {
    for (name, array) in &state.arrays {
        let broken = match &array.data {
            ArrayData::F32(data) => data.iter().find(|x| !x.is_finite()).map(|&x| f64::from(x)),
            ArrayData::F64(data) => data.iter().find(|x| !x.is_finite()).copied(),
            _ => None,
        };
        if let Some(value) = broken {
            return Err(AgentError::NonFinite { what: format!("`{name}`"), value, updates });
        }
    }
    Ok(())
}
