//! Saves a session to a checkpoint and restores it, exact to the bit.

use liprl_agents::AgentError;
use liprl_logbook::{Checkpoint, CheckpointWriter, LogPosition, LogbookError};
use liprl_numerics::{ArrayData, State, StateIo};
use serde::{Deserialize, Serialize};

use super::session::{Counters, Session};
use crate::agent::export_policy;
use crate::checkpoint_parts::{AGENT, FORMAT, POLICY, PartError, SESSION, agent_state, state};
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
    /// The session's part is damaged.
    #[error("checkpoint: session.json: {0}")]
    Session(#[from] serde_json::Error),
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
    let policy = export_policy(&*session.agent, &session.config, session.counters.step)?;
    writer.put(POLICY, &policy.to_bytes().map_err(AgentError::from)?)?;
    writer.put(ENV, &session.task.save())?;
    let saved = SessionState { format: FORMAT, counters: session.counters.clone(), log, wall_s };
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

/// Restores the session, the positions of its logs and its seconds of work.
pub(super) fn load(config: Config, checkpoint: &Checkpoint) -> Result<(Session, LogPosition, f64), SaveError> {
    let agent = agent_state(checkpoint)?;
    let saved: SessionState = serde_json::from_slice(&checkpoint.get(SESSION)?)?;
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
