//! A model as an environment.

use super::Model;
use super::options::Start;
use crate::env::{check_action, check_finite, check_observation};
use crate::{
    BoxSpace, Env, EnvError, EnvSpec, Given, NumpyRng, OptionDoc, OptionValue, Options, StateReader, StateWriter, Step,
};

/// The environment of a model: reward −c(x, u), no termination unless `bounds` are given.
pub(super) struct SystemEnv {
    spec: EnvSpec,
    model: Box<dyn Model>,
    observation_space: BoxSpace,
    action_space: BoxSpace,
    start: Start,
    /// Largest size of each coordinate; beyond it the episode ends.
    bounds: Option<Vec<f64>>,
    rng: NumpyRng,
    state: Vec<f64>,
    next: Vec<f64>,
    over: bool,
}

const RESET: &[OptionDoc] = &[OptionDoc::new(
    "state",
    OptionValue::List(std::borrow::Cow::Borrowed(&[])),
    "The state to start from; empty: drawn as the environment's options say.",
)];

impl SystemEnv {
    /// The environment of `model` with actions up to `action_limit`.
    pub(super) fn build(
        given: &Given,
        model: impl Model + 'static,
        action_limit: f64,
        observation_space: BoxSpace,
        bounds: Option<Vec<f64>>,
    ) -> Result<Box<dyn Env>, EnvError> {
        let n = model.state_dim();
        Ok(Box::new(Self {
            spec: given.spec.clone(),
            observation_space,
            action_space: BoxSpace::uniform(model.input_dim(), -action_limit, action_limit),
            start: Start::read(given, n)?,
            bounds,
            rng: NumpyRng::new(0),
            state: vec![0.0; n],
            next: vec![0.0; n],
            over: true,
            model: Box::new(model),
        }))
    }
}

impl Env for SystemEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn observation_space(&self) -> &BoxSpace {
        &self.observation_space
    }

    fn action_space(&self) -> &BoxSpace {
        &self.action_space
    }

    fn can_terminate(&self) -> bool {
        self.bounds.is_some()
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        check_observation(self, obs)?;
        let given = Given::new(EnvSpec { options: options.clone(), ..self.spec.clone() }, RESET)?;
        let state = given.list("state")?;
        if !state.is_empty() && state.len() != self.state.len() {
            return Err(given.bad("state", format!("has {} numbers, the state {}", state.len(), self.state.len())));
        }
        if let Some(seed) = seed {
            self.rng = NumpyRng::new(seed);
        }
        match state {
            [] => self.start.draw(&mut self.rng, &mut self.state),
            state => self.state.copy_from_slice(state),
        }
        self.over = false;
        self.model.observe(&self.state, obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        if self.over {
            return Err(EnvError::NeedsReset { id: self.spec.id.clone() });
        }
        check_action(self, action)?;
        check_observation(self, obs)?;
        let reward = -self.model.cost(&self.state, action);
        self.model.advance(&self.state, action, &mut self.next);
        std::mem::swap(&mut self.state, &mut self.next);
        self.model.observe(&self.state, obs);
        check_finite(&self.spec.id, "observation", obs)?;
        check_finite(&self.spec.id, "reward", &[reward])?;
        let outside = |bounds: &Vec<f64>| self.state.iter().zip(bounds).any(|(x, bound)| x.abs() > *bound);
        let terminated = self.bounds.as_ref().is_some_and(outside);
        self.over = terminated;
        Ok(Step { reward, terminated, truncated: false })
    }

    fn info(&self) -> &[(&'static str, f64)] {
        &[]
    }

    fn model(&self) -> Option<&dyn Model> {
        Some(&*self.model)
    }

    fn save(&self) -> Vec<u8> {
        StateWriter::new(&self.spec.id).word(u64::from(self.over)).rng(&self.rng).numbers(&self.state).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, &self.spec.id, state)?;
        let (over, rng) = (reader.word()? != 0, reader.rng()?);
        reader.numbers(&mut self.next)?;
        reader.finish()?;
        self.state.copy_from_slice(&self.next);
        (self.over, self.rng) = (over, rng);
        Ok(())
    }
}
