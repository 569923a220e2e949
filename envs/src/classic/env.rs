//! What the classic tasks share: a few numbers of state, advanced by a formula.

use crate::env::{check_action, check_finite, check_observation};
use crate::systems::Model;
use crate::{BoxSpace, Env, EnvError, EnvSpec, Given, NumpyRng, OptionDoc, Options, StateReader, StateWriter, Step};

/// All that changes in a task between steps; what each number is, the task says.
pub(super) type State = [f64; 4];

/// What distinguishes one task from another.
pub(super) trait Task: Send {
    /// Options of a reset.
    fn reset_options(&self) -> &'static [OptionDoc];

    /// A random initial state.
    fn initial(&self, rng: &mut NumpyRng, options: &Given) -> Result<State, EnvError>;

    /// Whether `advance` can ever end an episode.
    fn can_terminate(&self) -> bool;

    /// Advances the state; reward and termination.
    fn advance(&self, state: &mut State, action: &[f64]) -> (f64, bool);

    /// The same equations in a form that can be differentiated, where there is one.
    fn model(&self) -> Option<&dyn Model> {
        None
    }

    /// Writes the observation, rounded to f32 as Gymnasium's is.
    fn observe(&self, state: &State, obs: &mut [f64]);
}

pub(super) struct ClassicEnv {
    spec: EnvSpec,
    task: Box<dyn Task>,
    observation_space: BoxSpace,
    action_space: BoxSpace,
    rng: NumpyRng,
    state: State,
    over: bool,
}

impl ClassicEnv {
    /// The environment of a task; the observation's bounds are rounded to f32.
    pub(super) fn build(
        given: &Given,
        task: impl Task + 'static,
        observations: (&[f64], &[f64]),
        action_space: BoxSpace,
    ) -> Box<dyn Env> {
        let single = |side: &[f64]| side.iter().map(|x| f64::from(*x as f32)).collect();
        Box::new(Self {
            spec: given.spec.clone(),
            task: Box::new(task),
            observation_space: BoxSpace { low: single(observations.0), high: single(observations.1) },
            action_space,
            rng: NumpyRng::new(0),
            state: State::default(),
            over: true,
        })
    }
}

impl Env for ClassicEnv {
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
        self.task.can_terminate()
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        check_observation(self, obs)?;
        let spec = EnvSpec { options: options.clone(), ..self.spec.clone() };
        let options = Given::new(spec, self.task.reset_options())?;
        if let Some(seed) = seed {
            self.rng = NumpyRng::new(seed);
        }
        self.state = self.task.initial(&mut self.rng, &options)?;
        self.over = false;
        self.task.observe(&self.state, obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        if self.over {
            return Err(EnvError::NeedsReset { id: self.spec.id.clone() });
        }
        check_action(self, action)?;
        check_observation(self, obs)?;
        let (reward, terminated) = self.task.advance(&mut self.state, action);
        self.over = terminated;
        self.task.observe(&self.state, obs);
        check_finite(&self.spec.id, "observation", obs)?;
        check_finite(&self.spec.id, "reward", &[reward])?;
        Ok(Step { reward, terminated, truncated: false })
    }

    fn info(&self) -> &[(&'static str, f64)] {
        &[]
    }

    fn model(&self) -> Option<&dyn Model> {
        self.task.model()
    }

    fn save(&self) -> Vec<u8> {
        StateWriter::new(&self.spec.id).word(u64::from(self.over)).rng(&self.rng).numbers(&self.state).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, &self.spec.id, state)?;
        let (over, rng) = (reader.word()? != 0, reader.rng()?);
        let mut numbers = State::default();
        reader.numbers(&mut numbers)?;
        reader.finish()?;
        (self.over, self.rng, self.state) = (over, rng, numbers);
        Ok(())
    }
}
