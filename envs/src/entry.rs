//! The entry of an environment in the registry: id, time limit, options and constructor.

use crate::env::Env;
use crate::error::EnvError;
use crate::given::Given;
use crate::options::{OptionDoc, OptionValue};

/// Name of the option that every environment has.
pub(crate) const TIME_LIMIT: &str = "max_episode_steps";

/// One line of the registry.
#[derive(Clone, Copy, Debug)]
pub struct EnvEntry {
    /// Gymnasium's id, such as `Hopper-v5`.
    pub id: &'static str,
    /// The task in one line.
    pub doc: &'static str,
    /// Steps after which the time limit truncates; `None` for no limit.
    pub max_episode_steps: Option<u32>,
    /// Options of the constructor.
    pub options: &'static [OptionDoc],
    /// The constructor. It returns the bare task; [`make`](crate::make) puts the time limit around
    /// it.
    pub build: fn(&Given) -> Result<Box<dyn Env>, EnvError>,
}

impl EnvEntry {
    /// The option that every environment has: a time limit other than the registered one.
    pub fn time_limit_option(&self) -> OptionDoc {
        let steps = self.max_episode_steps.unwrap_or(u32::MAX);
        OptionDoc::new(TIME_LIMIT, OptionValue::Count(steps), "Steps after which the episode is truncated.")
    }
}
