//! The environment and its worker: episodes, steps, replays, pictures and faults.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::description::Description;
use super::explain::{Place, explain};
use super::order::{Purpose, order};
use super::process::{Fault, FaultKind, Worker};
use super::replay::Episode;
use super::wire::{self, Operation, WORD};
use crate::env::{Env, EnvSpec, Options, Step};
use crate::error::EnvError;
use crate::python_spec::{PythonConfig, PythonSpec};
use crate::task::Core;

/// An environment in Python.
pub struct PythonEnv {
    pub(super) core: Core,
    pub(super) python: Arc<PythonSpec>,
    pub(super) interpreter: PathBuf,
    /// `save` has it tell its state.
    pub(super) worker: RefCell<Worker>,
    pub(super) episode: Episode,
    pub(super) frame: Vec<u8>,
    pub(super) row: Vec<u8>,
    /// Names of the infos in a row, and those that the last one had.
    pub(super) names: Vec<&'static str>,
    pub(super) info: Vec<(&'static str, f64)>,
    pub(super) saves_state: bool,
    pub(super) renders: bool,
    pub(super) render_fps: f64,
    /// The run folder.
    pub(super) folder: Option<PathBuf>,
}

/// Words of a row before the observation: flags and reward.
const HEAD: usize = 2;

impl PythonEnv {
    pub(super) fn start(
        id: &str,
        options: &Options,
        config: &PythonConfig,
        purpose: Purpose,
    ) -> Result<Self, EnvError> {
        let interpreter = config.interpreter();
        let folder = config.folder.as_deref();
        let failed = |fault| {
            let place = Place { id, interpreter: &interpreter, doing: "while it was made".to_owned(), log: None };
            explain(fault, &place)
        };
        let order = order(id, options, config, purpose).to_string();
        let (worker, payload) =
            Worker::start(&interpreter, folder, order.as_bytes(), config.time_limit).map_err(failed)?;
        let garbled = || Fault { kind: FaultKind::Garbled, printed: Vec::new() };
        let Description {
            spec: python,
            max_episode_steps,
            observation_space,
            action_space,
            saves_state,
            renders,
            render_fps,
        } = Description::parse(&payload, config).ok_or_else(|| failed(garbled()))?;
        let python = Arc::new(python);
        let names: Vec<&'static str> = config.info.iter().map(|name| interned(name)).collect();
        let spec = EnvSpec {
            id: id.to_owned(),
            max_episode_steps,
            options: options.clone(),
            python: Some(Arc::clone(&python)),
        };
        Ok(Self {
            frame: wire::step_frame(action_space.dim()),
            row: vec![0; WORD * (HEAD + observation_space.dim() + names.len())],
            core: Core::new(spec, observation_space, action_space),
            info: Vec::with_capacity(names.len()),
            worker: RefCell::new(worker),
            episode: Episode::default(),
            folder: None,
            python,
            interpreter,
            names,
            saves_state,
            renders,
            render_fps,
        })
    }

    /// Starts the worker's episode of a seed and takes in its first observation.
    pub(super) fn begin(&mut self, seed: u64, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        self.episode = Episode::begin(seed, options);
        let request = json!({ "seed": seed, "options": options }).to_string();
        let worker = self.worker.get_mut();
        let reply = worker.send(&wire::request(Operation::Reset, request.as_bytes()));
        let reply = reply.and_then(|()| worker.row(&mut self.row));
        reply.map_err(|fault| self.failed(fault))?;
        self.take_in(obs)?;
        self.episode.note(obs);
        Ok(())
    }

    /// Takes a step in the worker.
    pub(super) fn advance(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        wire::set_action(&mut self.frame, action);
        let worker = self.worker.get_mut();
        let reply = worker.send(&self.frame).and_then(|()| worker.row(&mut self.row));
        reply.map_err(|fault| self.failed(fault))?;
        self.take_in(obs)?;
        let (flags, mut reward) = (wire::word(&self.row, 0), [0.0]);
        wire::numbers(&self.row, 1, &mut reward);
        let step = Step { reward: reward[0], terminated: flags & 1 == 1, truncated: flags & 2 == 2 };
        if !step.reward.is_finite() {
            return Err(self.not_finite("the reward", step.reward));
        }
        self.episode.push(action, &step, obs);
        Ok(step)
    }

    /// Reads observation and infos out of the row.
    fn take_in(&mut self, obs: &mut [f64]) -> Result<(), EnvError> {
        wire::numbers(&self.row, HEAD, obs);
        self.info.clear();
        for (index, name) in self.names.iter().enumerate() {
            let mut value = [0.0];
            wire::numbers(&self.row, HEAD + obs.len() + index, &mut value);
            // An info that is not there comes as NaN.
            if !value[0].is_nan() {
                self.info.push((name, value[0]));
            }
        }
        let Some(index) = obs.iter().position(|x| !x.is_finite()) else { return Ok(()) };
        let part = self.python.part_at(index);
        let label = match part {
            Some((part, inner)) if !part.name.is_empty() => {
                format!("number {inner} of the observation `{}`", part.name)
            }
            _ => format!("number {index} of the observation"),
        };
        Err(self.not_finite(&label, obs[index]))
    }

    /// Plays an episode again; true if the same comes of it.
    pub(super) fn replay(&mut self, episode: &Episode) -> Result<bool, EnvError> {
        let mut obs = vec![0.0; self.core.observation_space.dim()];
        self.begin(episode.seed, &episode.options, &mut obs)?;
        let mut ended = false;
        for action in episode.actions.chunks_exact(self.core.action_space.dim().max(1)) {
            if ended {
                return Ok(false);
            }
            ended = self.advance(action, &mut obs)?.done();
        }
        Ok(self.episode.hash == episode.hash)
    }

    pub(super) fn unrepeatable(&self, steps: usize) -> EnvError {
        EnvError::Unrepeatable { id: self.core.spec.id.clone(), steps }
    }

    /// The environment's own state, with the steps since the reset; `None` if it has none to give.
    pub(super) fn own_state(&self) -> Option<Vec<u8>> {
        if !self.saves_state {
            return None;
        }
        // After a fault the episode's actions are saved, and the next step reports it.
        let state = self.worker.borrow_mut().ask(Operation::GetState, &[]).ok()?;
        (!state.is_empty()).then_some(state)
    }

    pub(super) fn set_own_state(&mut self, seed: u64, state: &[u8]) -> Result<(), EnvError> {
        let mut payload = seed.to_ne_bytes().to_vec();
        payload.extend(state);
        let reply = self.worker.get_mut().ask(Operation::SetState, &payload);
        reply.map_err(|fault| self.failed(fault))?;
        Ok(())
    }

    /// Makes the environment again such that it draws, and brings it to the same state.
    pub(super) fn start_drawing(&mut self) -> Result<(), EnvError> {
        let EnvSpec { id, options, .. } = self.core.spec.clone();
        let purpose = Purpose { render: true, check: false };
        let mut drawing = Self::start(&id, &options, &self.python.config, purpose)?;
        if let Some(folder) = &self.folder {
            drawing.work_in(folder)?;
        }
        match self.own_state() {
            Some(state) => drawing.set_own_state(self.episode.seed, &state)?,
            None if drawing.replay(&self.episode)? => {}
            None => {
                let problem = "a second process, made to draw, does not repeat the episode; `kwargs: {render_mode: \
                               rgb_array}` makes the first one draw";
                return Err(EnvError::Python { id, setting: None, problem: problem.to_owned() });
            }
        }
        (self.worker, self.renders) = (drawing.worker, true);
        Ok(())
    }

    pub(super) fn failed(&self, fault: Fault) -> EnvError {
        let worker = self.worker.borrow();
        let place = Place {
            id: &self.core.spec.id,
            interpreter: &self.interpreter,
            doing: self.doing(),
            log: worker.log_file(),
        };
        explain(fault, &place)
    }

    /// The place in the episode, in words.
    fn doing(&self) -> String {
        let steps = self.episode.len(self.core.action_space.dim());
        format!("after {steps} steps of the episode of seed {}", self.episode.seed)
    }

    fn not_finite(&self, what: &str, value: f64) -> EnvError {
        let problem = format!("{what} is {value}, {}. Mend the environment or its wrappers", self.doing());
        EnvError::Python { id: self.core.spec.id.clone(), setting: None, problem }
    }

    /// All that the worker printed.
    pub(super) fn printed(&self) -> String {
        self.worker.borrow().printed()
    }
}

/// The name as one that lives as long as the program; there are as many as configs name.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.get(name).copied().unwrap_or_else(|| {
        let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
        names.insert(kept);
        kept
    })
}
