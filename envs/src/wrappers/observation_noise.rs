//! Gaussian noise on observations.

use super::forward::forward;
use crate::env::{Env, Options, Step};
use crate::error::EnvError;
use crate::numpy_rng::NumpyRng;
use crate::state::{StateReader, StateWriter};

/// Adds independent normal noise to every coordinate of every observation; the task itself is not
/// disturbed.
pub struct ObservationNoise {
    inner: Box<dyn Env>,
    std: f64,
    /// A separate stream, so that the noise does not change the episode itself.
    rng: NumpyRng,
}

const KIND: &str = "ObservationNoise";
/// Separates the noise's stream from the task's under one seed.
const PURPOSE: u32 = 0x6e6f_6973;

impl ObservationNoise {
    /// Noise of standard deviation `std`, in the observation's own units. A reset with a seed
    /// restarts the noise too.
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
    forward!(spec observation_space action_space can_terminate nudge started_over info render_fps render work_in close);

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
}
