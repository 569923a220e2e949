//! The list of environments: the built-in ones and those a program registers itself.

use std::sync::{PoisonError, RwLock};

use crate::options::{nearest, refuse_unknown};
use crate::wrappers::TimeLimit;
use crate::{Env, EnvError, EnvSpec, Given, OptionDoc, OptionValue, Options, classic, mujoco, systems};

/// One line of the registry.
#[derive(Clone, Copy, Debug)]
pub struct EnvEntry {
    /// Gymnasium's id, such as `Hopper-v5`.
    pub id: &'static str,
    /// What the task is, in one line.
    pub doc: &'static str,
    /// Steps after which the time limit truncates; none for no limit.
    pub max_episode_steps: Option<u32>,
    /// Options of the constructor.
    pub options: &'static [OptionDoc],
    /// The constructor. It returns the bare task; [`make`] puts the time limit around it.
    pub build: fn(&Given) -> Result<Box<dyn Env>, EnvError>,
}

impl EnvEntry {
    /// The option that every environment has: another time limit than the registered one.
    pub fn time_limit_option(&self) -> OptionDoc {
        let steps = self.max_episode_steps.unwrap_or(u32::MAX);
        OptionDoc::new(TIME_LIMIT, OptionValue::Count(steps), "Steps after which the episode is truncated.")
    }
}

const TIME_LIMIT: &str = "max_episode_steps";

static REGISTERED: RwLock<Vec<EnvEntry>> = RwLock::new(Vec::new());

/// Every environment there is, the built-in ones first.
pub fn registry() -> Vec<EnvEntry> {
    let own = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    mujoco::ENTRIES.iter().chain(classic::ENTRIES).chain(systems::ENTRIES).chain(own.iter()).copied().collect()
}

/// Adds an environment, so that [`make`] and every config know its id.
///
/// # Errors
/// [`EnvError::AlreadyRegistered`] if the id is taken.
pub fn register(entry: EnvEntry) -> Result<(), EnvError> {
    if registry().iter().any(|known| known.id == entry.id) {
        return Err(EnvError::AlreadyRegistered { id: entry.id.to_owned() });
    }
    REGISTERED.write().unwrap_or_else(PoisonError::into_inner).push(entry);
    Ok(())
}

/// The environment of this id behind its time limit, as Gymnasium's `make`.
///
/// `options` are the task's own, by Gymnasium's names, and `max_episode_steps` for another time limit.
///
/// # Errors
/// [`EnvError::UnknownId`], [`EnvError::BadOption`], and [`EnvError::Simulator`] when a model cannot be loaded.
pub fn make(id: &str, options: &Options) -> Result<Box<dyn Env>, EnvError> {
    let entries = registry();
    let entry = entries.iter().find(|entry| entry.id == id).ok_or_else(|| EnvError::UnknownId {
        id: id.to_owned(),
        suggestion: nearest(id, entries.iter().map(|entry| entry.id)).map(str::to_owned),
    })?;
    refuse_unknown(id, options, entry.options.iter().map(|doc| doc.name).chain([TIME_LIMIT]))?;
    let limit = Given::new(
        EnvSpec {
            id: id.to_owned(),
            max_episode_steps: None,
            options: options.iter().filter(|(name, _)| *name == TIME_LIMIT).map(clone_pair).collect(),
        },
        &[entry.time_limit_option()],
    )?;
    let limited = entry.max_episode_steps.is_some() || options.contains_key(TIME_LIMIT);
    let max_episode_steps = limited.then(|| limit.count(TIME_LIMIT)).transpose()?;
    let own = options.iter().filter(|(name, _)| *name != TIME_LIMIT).map(clone_pair).collect();
    let spec = EnvSpec { id: id.to_owned(), max_episode_steps: None, options: own };
    let env = (entry.build)(&Given::new(spec, entry.options)?)?;
    Ok(match max_episode_steps {
        Some(steps) => Box::new(TimeLimit::new(env, steps)),
        None => env,
    })
}

fn clone_pair((name, value): (&String, &serde_json::Value)) -> (String, serde_json::Value) {
    (name.clone(), value.clone())
}
