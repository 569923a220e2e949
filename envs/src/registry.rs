//! The list of environments: the built-in ones and those a program registers itself.

use std::sync::{PoisonError, RwLock};

use crate::entry::{EnvEntry, TIME_LIMIT};
use crate::env::{Env, EnvSpec, Options};
use crate::error::EnvError;
use crate::given::{Given, nearest, refuse_unknown};
use crate::wrappers::TimeLimit;
use crate::{classic, mujoco, python, systems};

static REGISTERED: RwLock<Vec<EnvEntry>> = RwLock::new(Vec::new());

/// All environments, the built-in ones first.
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

/// Makes the environment of this id behind its time limit, as Gymnasium's `make`.
///
/// `options` are the task's own, by Gymnasium's names, and `max_episode_steps` for another time
/// limit.
///
/// # Errors
/// [`EnvError::UnknownId`], [`EnvError::BadOption`], and [`EnvError::Simulator`] if a model cannot
/// be loaded.
pub fn make(id: &str, options: &Options) -> Result<Box<dyn Env>, EnvError> {
    let entries = registry();
    let entry = entries.iter().find(|entry| entry.id == id).ok_or_else(|| EnvError::UnknownId {
        id: id.to_owned(),
        suggestion: nearest(id, entries.iter().map(|entry| entry.id)).map(str::to_owned),
    })?;
    refuse_unknown(id, options, entry.options.iter().map(|doc| doc.name).chain([TIME_LIMIT]))?;
    let (limit, own): (Options, Options) = options.clone().into_iter().partition(|(name, _)| name == TIME_LIMIT);
    let limited = entry.max_episode_steps.is_some() || !limit.is_empty();
    let spec = |options| EnvSpec { id: id.to_owned(), max_episode_steps: None, options, python: None };
    let steps = Given::new(spec(limit), &[entry.time_limit_option()])?.count(TIME_LIMIT)?;
    let env = (entry.build)(&Given::new(spec(own), entry.options)?)?;
    Ok(if limited { Box::new(TimeLimit::new(env, steps)) } else { env })
}

/// Makes another environment of the same kind: native or in Python, with the same options and time
/// limit.
///
/// # Errors
/// As of [`make`] and [`python::make`].
pub fn make_again(spec: &EnvSpec) -> Result<Box<dyn Env>, EnvError> {
    if let Some(python) = &spec.python {
        return python::make(&spec.id, &spec.options, &python.config);
    }
    let mut options = spec.options.clone();
    if let Some(steps) = spec.max_episode_steps {
        options.insert(TIME_LIMIT.to_owned(), steps.into());
    }
    make(&spec.id, &options)
}
