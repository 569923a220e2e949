//! A model as an environment.

use crate::env::{Env, FPS, Frame};
use crate::error::EnvError;
use crate::given::Given;
use crate::model::Model;
use crate::numpy_rng::NumpyRng;
use crate::options::{OptionDoc, OptionValue};
use crate::space::BoxSpace;
use crate::systems::options::Start;
use crate::systems::picture::Picture;
use crate::task::{Task, TaskEnv};

/// The task of a model: reward −c(x, u), no termination unless `bounds` are given.
pub(super) struct System {
    model: Box<dyn Model>,
    picture: Picture,
    start: Start,
    /// Largest size of each coordinate; beyond it the episode ends.
    bounds: Option<Vec<f64>>,
    state: Vec<f64>,
    next: Vec<f64>,
}

const RESET: &[OptionDoc] = &[OptionDoc::new(
    "state",
    OptionValue::list(&[]),
    "The state to start from; empty: drawn as the environment's options say.",
)];

impl System {
    /// The environment of `model` with actions up to `action_limit`.
    pub(super) fn env(
        given: &Given,
        model: impl Model + 'static,
        picture: Picture,
        action_limit: f64,
        observation_space: BoxSpace,
        bounds: Option<Vec<f64>>,
    ) -> Result<Box<dyn Env>, EnvError> {
        let n = model.state_dim();
        let action_space = BoxSpace::uniform(model.input_dim(), -action_limit, action_limit);
        let start = Start::read(given, n)?;
        let system = Self { model: Box::new(model), picture, start, bounds, state: vec![0.0; n], next: vec![0.0; n] };
        Ok(TaskEnv::boxed(given, observation_space, action_space, system))
    }
}

impl Task for System {
    fn reset_options(&self) -> &'static [OptionDoc] {
        RESET
    }

    fn reset(&mut self, rng: &mut NumpyRng, options: &Given) -> Result<(), EnvError> {
        match options.list("state")? {
            [] => self.start.draw(rng, &mut self.state),
            state if state.len() == self.state.len() => self.state.copy_from_slice(state),
            state => {
                let problem = format!("has {} numbers, the state {}", state.len(), self.state.len());
                return Err(options.bad("state", problem));
            }
        }
        Ok(())
    }

    fn advance(&mut self, action: &[f64]) -> (f64, bool) {
        let reward = -self.model.cost(&self.state, action);
        self.model.advance(&self.state, action, &mut self.next);
        std::mem::swap(&mut self.state, &mut self.next);
        let outside = |bounds: &Vec<f64>| self.state.iter().zip(bounds).any(|(x, bound)| x.abs() > *bound);
        (reward, self.bounds.as_ref().is_some_and(outside))
    }

    fn observe(&mut self, obs: &mut [f64]) {
        self.model.observe(&self.state, obs);
    }

    fn can_terminate(&self) -> bool {
        self.bounds.is_some()
    }

    fn model(&self) -> Option<&dyn Model> {
        Some(&*self.model)
    }

    fn start_box(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        self.start.ends()
    }

    fn render_fps(&self) -> f64 {
        let dt = self.model.dt();
        if dt > 0.0 { 1.0 / dt } else { FPS }
    }

    fn render(&mut self) -> Result<Frame, String> {
        self.picture.draw(&self.state, &self.start.reach())
    }

    fn state(&self) -> Vec<f64> {
        self.state.clone()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<(), String> {
        self.state.copy_from_slice(state);
        Ok(())
    }
}
