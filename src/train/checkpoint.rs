//! A session to and from a checkpoint, exact to the bit.

use liprl_agents::{Agent, AgentError};
use liprl_control::Policy;
use liprl_logbook::{Checkpoint, CheckpointWriter, LogPosition, LogbookError};
use liprl_numerics::{ArrayData, State, StateIo};
use serde::{Deserialize, Serialize};

use super::session::{Counters, Session};
use crate::{config::Config, task::TaskError};

/// The agent's part of a checkpoint.
const AGENT: &str = "agent.safetensors";
/// The policy alone, which `eval` and `record` also take by itself.
pub const POLICY: &str = "policy.safetensors";
const ENV: &str = "env.bin";
const SESSION: &str = "session.json";
/// The layout of a checkpoint's parts, raised when earlier versions' can no longer be read. Policy files have a format of their own.
const FORMAT: u64 = 2;

/// What a checkpoint holds besides environment, agent and replay.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    format: u64,
    counters: Counters,
    log: LogPosition,
    wall_s: f64,
}

/// A checkpoint that cannot be written or taken back.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The files.
    #[error(transparent)]
    Files(#[from] LogbookError),
    /// The agent's or environment's part.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The layout of another version.
    #[error(
        "checkpoint format {found} is from {} version of liprl; this version reads {FORMAT}. Start the run again, or resume with the version that wrote it.",
        if *found < FORMAT { "an earlier" } else { "a later" }
    )]
    Format {
        /// The format found.
        found: u64,
    },
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
    let saved = Saved { format: FORMAT, counters: session.counters.clone(), log, wall_s };
    writer.put(SESSION, &serde_json::to_vec_pretty(&saved)?)?;
    for (name, replay) in session.agent.replays() {
        let state = State::of(|io| replay.state(io))?;
        writer.put(&format!("{name}.safetensors"), &state.to_bytes().map_err(AgentError::from)?)?;
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
    let agent = agent_state(checkpoint)?;
    let saved: Saved = serde_json::from_slice(&checkpoint.get(SESSION)?)?;
    let mut session = Session::new(config)?;
    session.agent.load(&agent)?;
    session.task.restore(&checkpoint.get(ENV)?).map_err(TaskError::from)?;
    for (name, replay) in session.agent.replays() {
        replay.state(&mut StateIo::load_from(&state(checkpoint, &format!("{name}.safetensors"))?))?;
        for (index, _) in replay.chunks() {
            replay.restore_chunk(index, &checkpoint.get(&chunk_name(name, index))?)?;
        }
    }
    session.counters = saved.counters;
    Ok((session, saved.log, saved.wall_s))
}

/// The agent's state, if this version can read it.
pub fn agent_state(checkpoint: &Checkpoint) -> Result<State, SaveError> {
    let session: serde_json::Value = serde_json::from_slice(&checkpoint.get(SESSION)?)?;
    // The first format had no number.
    match session["format"].as_u64().unwrap_or(1) {
        FORMAT => state(checkpoint, AGENT),
        found => Err(SaveError::Format { found }),
    }
}

fn state(checkpoint: &Checkpoint, part: &str) -> Result<State, SaveError> {
    Ok(State::from_bytes(&checkpoint.get(part)?).map_err(AgentError::from)?)
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
