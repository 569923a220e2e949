//! Environments in Python, each in a worker process of its own.
//!
//! A worker holds one environment of Gymnasium's API and answers over two pipes: `wire` has the
//! frames, `process` the process, worker.py its program. Observations of Boxes in Dicts and Tuples
//! are flattened in the order of `gymnasium.spaces.flatten_space`.
//!
//! Every episode starts from an explicit seed of at most 31 bits, as more is refused by NumPy's
//! older generators. The saved state is the episode's seed and actions, or the environment's own
//! `get_state` if it has one.

mod config;
mod description;
mod explain;
mod log;
mod process;
mod repeat;
mod replay;
mod wire;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

pub use config::{DEFAULT_TIME_LIMIT, PythonConfig, PythonWrapper};
pub use description::{ObservationPart, PythonSpec};
pub use repeat::{Repetition, Verdict, repetition};

use crate::entry::TIME_LIMIT;
use crate::env::{Env, EnvSpec, Frame, Options, Step};
use crate::error::EnvError;
use crate::space::BoxSpace;
use crate::task::Core;
use description::Description;
use explain::{Place, explain};
use process::{Fault, Worker};
use replay::Episode;
use wire::{Operation, WORD};

/// An environment in Python.
pub struct PythonEnv {
    core: Core,
    python: Arc<PythonSpec>,
    interpreter: PathBuf,
    /// `save` has it tell its state.
    worker: RefCell<Worker>,
    episode: Episode,
    frame: Vec<u8>,
    row: Vec<u8>,
    /// Names of the infos in a row, and those that the last one had.
    names: Vec<&'static str>,
    info: Vec<(&'static str, f64)>,
    saves_state: bool,
    renders: bool,
    /// The run folder.
    folder: Option<PathBuf>,
}

/// Purposes that change how an environment is made.
#[derive(Clone, Copy, Debug, Default)]
struct Purpose {
    /// Behind Gymnasium's checker.
    check: bool,
    /// To draw pictures.
    render: bool,
}

/// Seeds as environments take them.
const SEEDS: u64 = (1 << 31) - 1;
/// Words of a row before the observation: flags and reward.
const HEAD: usize = 2;

/// Kinds of saved state.
const OVER: u64 = 0;
const REPLAY: u64 = 1;
const OWN: u64 = 2;

/// Makes the environment of a Gymnasium id, or of a class, in a process of its own. `options` are
/// the constructor's, and `max_episode_steps`.
///
/// # Errors
/// [`EnvError::Python`] if the interpreter, a module, the environment or one of its spaces cannot be
/// used.
pub fn make(id: &str, options: &Options, config: &PythonConfig) -> Result<Box<dyn Env>, EnvError> {
    Ok(Box::new(PythonEnv::start(id, options, config, Purpose::default())?))
}

impl PythonEnv {
    fn start(id: &str, options: &Options, config: &PythonConfig, purpose: Purpose) -> Result<Self, EnvError> {
        let interpreter = config.interpreter();
        let folder = config.folder.as_deref();
        let failed = |fault| {
            let place = Place { id, interpreter: &interpreter, doing: "while it was made".to_owned(), log: None };
            explain(fault, &place)
        };
        let order = order(id, options, config, purpose).to_string();
        let (worker, payload) =
            Worker::start(&interpreter, folder, order.as_bytes(), config.time_limit).map_err(failed)?;
        let garbled = || Fault { kind: process::FaultKind::Garbled, printed: Vec::new() };
        let Description { spec: python, max_episode_steps, observation_space, action_space, saves_state, renders } =
            Description::parse(&payload, config).ok_or_else(|| failed(garbled()))?;
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
        })
    }

    /// Starts the worker's episode of a seed and takes in its first observation.
    fn begin(&mut self, seed: u64, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
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
    fn advance(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
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
    fn replay(&mut self, episode: &Episode) -> Result<bool, EnvError> {
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

    fn unrepeatable(&self, steps: usize) -> EnvError {
        EnvError::Unrepeatable { id: self.core.spec.id.clone(), steps }
    }

    /// The environment's own state, with the steps since the reset; `None` if it has none to give.
    fn own_state(&self) -> Option<Vec<u8>> {
        if !self.saves_state {
            return None;
        }
        // After a fault the episode's actions are saved, and the next step reports it.
        let state = self.worker.borrow_mut().ask(Operation::GetState, &[]).ok()?;
        (!state.is_empty()).then_some(state)
    }

    fn set_own_state(&mut self, seed: u64, state: &[u8]) -> Result<(), EnvError> {
        let mut payload = seed.to_ne_bytes().to_vec();
        payload.extend(state);
        let reply = self.worker.get_mut().ask(Operation::SetState, &payload);
        reply.map_err(|fault| self.failed(fault))?;
        Ok(())
    }

    /// Makes the environment again such that it draws, and brings it to the same state.
    fn start_drawing(&mut self) -> Result<(), EnvError> {
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

    fn failed(&self, fault: Fault) -> EnvError {
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
    fn printed(&self) -> String {
        self.worker.borrow().printed()
    }
}

/// The environment that a worker is to make.
fn order(id: &str, options: &Options, config: &PythonConfig, purpose: Purpose) -> serde_json::Value {
    let kwargs: Options =
        options.iter().filter(|(name, _)| *name != TIME_LIMIT).map(|(k, v)| (k.clone(), v.clone())).collect();
    let wrappers = config.wrappers.iter().map(|one| json!({"wrapper": one.class, "kwargs": one.kwargs}));
    json!({
        "parent": std::process::id(),
        "id": id,
        "class": config.is_class,
        "import": config.import,
        "path": config.folder.iter().chain(&config.path).collect::<Vec<_>>(),
        "kwargs": kwargs,
        "max_episode_steps": options.get(TIME_LIMIT),
        "wrappers": wrappers.collect::<Vec<_>>(),
        "info": config.info,
        "check": purpose.check,
        "render": purpose.render,
    })
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

impl Env for PythonEnv {
    fn spec(&self) -> &EnvSpec {
        &self.core.spec
    }

    fn observation_space(&self) -> &BoxSpace {
        &self.core.observation_space
    }

    fn action_space(&self) -> &BoxSpace {
        &self.core.action_space
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        self.core.check_observation(obs)?;
        self.core.reseed(seed);
        let seed = seed.unwrap_or_else(|| self.core.rng.next_u64()) & SEEDS;
        self.begin(seed, options, obs)?;
        self.core.over = false;
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.core.check_step(action, obs)?;
        let step = self.advance(action, obs)?;
        self.core.over = step.done();
        Ok(step)
    }

    fn info(&self) -> &[(&'static str, f64)] {
        &self.info
    }

    fn save(&self) -> Vec<u8> {
        let state = self.core.save();
        if self.core.over {
            return state.word(OVER).finish();
        }
        match self.own_state() {
            Some(own) => state.word(OWN).word(self.episode.seed).bytes(&own).finish(),
            None => self.episode.save(state.word(REPLAY)).finish(),
        }
    }

    /// Brings the environment to the saved state.
    ///
    /// # Errors
    /// [`EnvError::Unrepeatable`] if the episode came out differently. The environment can be reset
    /// then, and draws the seeds of further episodes as the saved one would have.
    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let (mut reader, over, rng) = self.core.open(state)?;
        let id = self.core.spec.id.clone();
        match reader.word()? {
            REPLAY => {
                let saved = Episode::read(&mut reader, &id, state.len())?;
                reader.finish()?;
                self.core.rng = rng;
                let (same, steps) = (self.replay(&saved)?, saved.len(self.core.action_space.dim()));
                if !same {
                    // Saved again it does not pass for repeatable.
                    self.episode = saved;
                    return Err(self.unrepeatable(steps));
                }
            }
            OWN => {
                let (seed, own) = (reader.word()?, reader.bytes()?);
                reader.finish()?;
                self.core.rng = rng;
                self.episode = Episode::begin(seed, &Options::new());
                self.set_own_state(seed, own)?;
            }
            _ => {
                reader.finish()?;
                self.core.rng = rng;
            }
        }
        self.info.clear();
        self.core.over = over;
        Ok(())
    }

    fn render(&mut self) -> Result<Frame, EnvError> {
        if !self.renders {
            self.start_drawing()?;
        }
        let picture = self.worker.get_mut().ask(Operation::Render, &[]).map_err(|fault| self.failed(fault))?;
        let side =
            |at: usize| picture.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u32::from_ne_bytes(*bytes));
        let (Some(width), Some(height)) = (side(0), side(4)) else {
            return Err(EnvError::CannotRender { id: self.core.spec.id.clone() });
        };
        Ok(Frame { width, height, rgb: picture[WORD..].to_vec() })
    }

    fn work_in(&mut self, folder: &Path) -> Result<(), EnvError> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        self.worker.get_mut().work_in(&folder).map_err(|fault| self.failed(fault))?;
        self.folder = Some(folder);
        Ok(())
    }

    fn close(&mut self) {
        self.worker.get_mut().end();
    }
}
