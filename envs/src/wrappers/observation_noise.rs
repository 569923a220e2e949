//! Gaussian noise on what is observed.

use crate::{BoxSpace, Env, EnvError, EnvSpec, Frame, NumpyRng, Options, StateReader, StateWriter, Step};

/// Adds independent normal noise to every coordinate of every observation; the task itself is not disturbed.
pub struct ObservationNoise {
    inner: Box<dyn Env>,
    std: f64,
    /// A stream of its own, so that the episode without noise is the same.
    rng: NumpyRng,
}

const KIND: &str = "ObservationNoise";
/// What sets the noise's stream apart from the task's under one seed.
const PURPOSE: u32 = 0x6e6f_6973;

impl ObservationNoise {
    /// Noise of standard deviation `std`, in the observation's own units. A reset with a seed restarts the noise too.
    pub fn new(inner: Box<dyn Env>, std: f64) -> Self {
        Self { inner, std, rng: NumpyRng::derived(0, PURPOSE) }
    }

    fn disturb(&mut self, obs: &mut [f64]) {
        for x in obs {
            *x += self.std * self.rng.standard_normal();
        }
    }
}

impl Env for ObservationNoise {
    fn spec(&self) -> &EnvSpec {
        self.inner.spec()
    }

    fn observation_space(&self) -> &BoxSpace {
        self.inner.observation_space()
    }

    fn action_space(&self) -> &BoxSpace {
        self.inner.action_space()
    }

    fn can_terminate(&self) -> bool {
        self.inner.can_terminate()
    }

    fn nudge(&mut self, coordinate: usize, by: f64) -> bool {
        self.inner.nudge(coordinate, by)
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        self.inner.reset(seed, options, obs)?;
        if let Some(seed) = seed {
            self.rng = NumpyRng::derived(seed, PURPOSE);
        }
        self.disturb(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        let step = self.inner.step(action, obs)?;
        self.disturb(obs);
        Ok(step)
    }

    fn info(&self) -> &[(&'static str, f64)] {
        self.inner.info()
    }

    fn save(&self) -> Vec<u8> {
        StateWriter::new(KIND).rng(&self.rng).bytes(&self.inner.save()).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(KIND, &self.inner.spec().id, state)?;
        let (rng, inner) = (reader.rng()?, reader.bytes()?);
        reader.finish()?;
        self.inner.restore(inner)?;
        self.rng = rng;
        Ok(())
    }

    fn render(&mut self) -> Result<Frame, EnvError> {
        self.inner.render()
    }

    fn close(&mut self) {
        self.inner.close();
    }
}
