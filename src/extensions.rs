//! Kinds of environments, agents and their parts that another crate adds to the program.

use liprl_agents::{
    AgentError, AgentKind,
    actor_critic::ValueRegulariserKind,
    gail::RewardKind,
    kinds::{Kind, Part},
    shaping::ShapingKind,
};
use liprl_envs::EnvEntry;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::usage::Usage;

/// Kinds that a program adds to liprl, for [`main_with`](crate::main_with).
///
/// Each kind is a name for the config's `kind` and a struct of settings. Its doc comments describe the
/// settings in schemas and errors, its `Validate` gives their ranges, and a trait says what it builds.
#[derive(Default)]
#[must_use = "extensions are added by `main_with`"]
pub struct Extensions {
    steps: Vec<Box<dyn FnOnce() -> Result<(), Usage>>>,
}

impl Extensions {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an environment, for `env: ID`.
    pub fn env(self, entry: EnvEntry) -> Self {
        self.step(move || liprl_envs::register(entry).map_err(|error| Usage(error.to_string())))
    }

    /// Adds a shaping, for `shaping: {kind: NAME, …}`.
    pub fn shaping<T: ShapingKind + DeserializeOwned + JsonSchema + 'static>(self, name: &'static str) -> Self {
        self.kind(<dyn ShapingKind>::kind::<T>(name))
    }

    /// Adds a reward of `gail`, for `reward: {kind: NAME, …}`.
    pub fn reward<T: RewardKind + DeserializeOwned + JsonSchema + 'static>(self, name: &'static str) -> Self {
        self.kind(<dyn RewardKind>::kind::<T>(name))
    }

    /// Adds a regulariser of critics, for `value_regulariser: {kind: NAME, …}`.
    pub fn regulariser<T: ValueRegulariserKind + DeserializeOwned + JsonSchema + 'static>(
        self,
        name: &'static str,
    ) -> Self {
        self.kind(<dyn ValueRegulariserKind>::kind::<T>(name))
    }

    /// Adds an agent, for `agent: {kind: NAME, …}`.
    pub fn agent<T: AgentKind + DeserializeOwned + JsonSchema + 'static>(self, name: &'static str) -> Self {
        self.kind(<dyn AgentKind>::kind::<T>(name))
    }

    /// Registers everything.
    ///
    /// # Errors
    /// For a name that is taken already.
    pub fn register(self) -> anyhow::Result<()> {
        Ok(self.steps.into_iter().try_for_each(|step| step())?)
    }

    fn kind<P: Part + ?Sized>(self, kind: Kind<P>) -> Self {
        let taken = |error: AgentError| Usage(format!("the program's extensions: {error}"));
        self.step(move || P::kinds().register(kind).map_err(taken))
    }

    fn step(mut self, step: impl FnOnce() -> Result<(), Usage> + 'static) -> Self {
        self.steps.push(Box::new(step));
        self
    }
}
