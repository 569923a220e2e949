//! An environment of your own: implement [`Env`], register it, and start liprl. Every config and
//! every command then knows its id.
//!
//! ```sh
//! cargo run --release --example own_env -- envs
//! # with `env: Point-v0` or `env: {id: Point-v0, gain: 1}` in my.yaml
//! cargo run --release --example own_env -- train my.yaml
//! ```

use std::process::ExitCode;

use liprl_envs::{
    BoxSpace, Env, EnvEntry, EnvError, EnvSpec, Given, NumpyRng, OptionDoc, OptionValue, Options, StateReader,
    StateWriter, Step, register,
};

/// A point on a line, pushed towards the origin: x ← x + gain · a, reward −x².
struct Point {
    spec: EnvSpec,
    observation_space: BoxSpace,
    action_space: BoxSpace,
    gain: f64,
    rng: NumpyRng,
    x: f64,
}

impl Point {
    fn build(given: &Given) -> Result<Box<dyn Env>, EnvError> {
        Ok(Box::new(Self {
            spec: given.spec.clone(),
            observation_space: BoxSpace::uniform(1, f64::NEG_INFINITY, f64::INFINITY),
            action_space: BoxSpace::uniform(1, -1.0, 1.0),
            gain: given.number("gain")?,
            rng: NumpyRng::new(0),
            x: 0.0,
        }))
    }
}

impl Env for Point {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn observation_space(&self) -> &BoxSpace {
        &self.observation_space
    }

    fn action_space(&self) -> &BoxSpace {
        &self.action_space
    }

    fn reset(&mut self, seed: Option<u64>, _options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        if let Some(seed) = seed {
            self.rng = NumpyRng::new(seed);
        }
        self.x = self.rng.uniform(-1.0, 1.0);
        obs[0] = self.x;
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.x += self.gain * action[0];
        obs[0] = self.x;
        Ok(Step { reward: -self.x * self.x, terminated: false, truncated: false })
    }

    fn info(&self) -> &[(&'static str, f64)] {
        &[]
    }

    fn save(&self) -> Vec<u8> {
        StateWriter::new("Point").rng(&self.rng).numbers(&[self.x]).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new("Point", &self.spec.id, state)?;
        let (rng, mut x) = (reader.rng()?, [0.0]);
        reader.numbers(&mut x)?;
        reader.finish()?;
        (self.rng, self.x) = (rng, x[0]);
        Ok(())
    }
}

pub(crate) const POINT: EnvEntry = EnvEntry {
    id: "Point-v0",
    doc: "Push a point to the origin.",
    max_episode_steps: Some(20),
    options: &[OptionDoc::new("gain", OptionValue::NonNegative(0.5), "Distance per unit of action.")],
    build: Point::build,
};

fn main() -> ExitCode {
    if let Err(error) = register(POINT) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    liprl::main(std::env::args_os())
}
