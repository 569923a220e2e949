//! Saves a session to a checkpoint and restores it, exact to the bit.

use liprl_agents::AgentError;
use liprl_logbook::{Checkpoint, CheckpointWriter, LogPosition, LogbookError};
use liprl_numerics::{ArrayData, State, StateIo};
use serde::{Deserialize, Serialize};

use super::session::{Counters, Session};
use crate::agent::export_policy;
use crate::checkpoint_parts::{AGENT, FORMAT, POLICY, PartError, SESSION, agent_state, json, state};
use crate::config::Config;
use crate::task::TaskError;

const ENV: &str = "env.bin";

/// A checkpoint's parts other than environment, agent and replay.
#[derive(Debug, Serialize, Deserialize)]
struct SessionState {
    format: u64,
    counters: Counters,
    log: LogPosition,
    wall_s: f64,
    /// The config as YAML; `None` in checkpoints of older programs.
    #[serde(default)]
    config: Option<String>,
}

/// A checkpoint that cannot be written or restored.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaveError {
    /// A file cannot be written or read.
    #[error(transparent)]
    Files(#[from] LogbookError),
    /// The agent's or the environment's part failed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A part cannot be read.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The session's part cannot be written.
    #[error("session.json: {0}")]
    Session(#[from] serde_json::Error),
    /// The config cannot be written.
    #[error("session.json: {0}")]
    Config(#[from] serde_saphyr::ser::Error),
}

impl From<AgentError> for SaveError {
    fn from(error: AgentError) -> Self {
        Self::Task(error.into())
    }
}

/// Writes the session's parts. Replay chunks that have not changed since an earlier checkpoint are
/// shared with it.
pub(super) fn save(
    session: &mut Session,
    writer: &mut CheckpointWriter<'_>,
    log: LogPosition,
    wall_s: f64,
) -> Result<(), SaveError> {
    let agent = session.agent.save()?;
    refuse_non_finite(&agent, session.agent.updates())?;
    writer.put(AGENT, &agent.to_bytes().map_err(AgentError::from)?)?;
    let policy = export_policy(&*session.agent, &session.config, &session.task, session.counters.step)?;
    writer.put(POLICY, &policy.to_bytes().map_err(AgentError::from)?)?;
    writer.put(ENV, &session.task.save())?;
    let config = Some(session.config.to_yaml()?);
    let saved = SessionState { format: FORMAT, counters: session.counters.clone(), log, wall_s, config };
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

/// A session as a checkpoint has it.
pub(super) struct Restored {
    pub(super) session: Session,
    /// The positions of its logs.
    pub(super) log: LogPosition,
    /// Its seconds of work.
    pub(super) wall_s: f64,
    /// The reason why its episode could not be restored.
    pub(super) broken_off: Option<String>,
}

/// Restores the session.
pub(super) fn load(config: Config, checkpoint: &Checkpoint) -> Result<Restored, SaveError> {
    let agent = agent_state(checkpoint)?;
    let saved: SessionState = json(checkpoint, SESSION)?;
    let mut session = Session::new(config)?;
    session.agent.load(&agent).map_err(|error| PartError::agent(checkpoint, error))?;
    let restored = session.restore_task(&checkpoint.get(ENV)?);
    let broken_off = restored.map_err(|error| PartError::of(checkpoint, ENV, error))?;
    for (name, replay) in session.agent.replays() {
        let part = format!("{name}.safetensors");
        let rows = state(checkpoint, &part)?;
        replay.state(&mut StateIo::load_from(&rows)).map_err(|error| PartError::of(checkpoint, &part, error))?;
        for (index, _) in replay.chunks() {
            let part = chunk_name(name, index);
            let bytes = checkpoint.get(&part)?;
            replay.restore_chunk(index, &bytes).map_err(|error| PartError::of(checkpoint, &part, error))?;
        }
    }
    session.counters = saved.counters;
    Ok(Restored { session, log: saved.log, wall_s: saved.wall_s, broken_off })
}

/// The config that a checkpoint was written with; `None` in those of older programs.
pub(super) fn config(checkpoint: &Checkpoint) -> Result<Option<String>, PartError> {
    let session: serde_json::Value = json(checkpoint, SESSION)?;
    Ok(session["config"].as_str().map(str::to_owned))
}

fn chunk_name(replay: &str, index: usize) -> String {
    format!("{replay}-{index:05}")
}

/// Fails if a number of the state is not finite, so that the last checkpoint stays a good one.
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
