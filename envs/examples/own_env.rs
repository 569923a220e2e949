//! An environment of one's own: implement [`Env`] and register it in one line; then every config knows its id.
//!
//! `cargo run --release -p liprl-envs --example own_env`

use liprl_envs::{
    BoxSpace, Env, EnvEntry, EnvError, EnvSpec, Given, NumpyRng, OptionDoc, OptionValue, Options, StateReader,
    StateWriter, Step, make, register,
};

/// A point on a line is pushed towards the origin: x ← x + gain · a, reward −x².
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

const POINT: EnvEntry = EnvEntry {
    id: "Point-v0",
    doc: "Push a point to the origin.",
    max_episode_steps: Some(20),
    options: &[OptionDoc::new("gain", OptionValue::NonNegative(0.5), "Distance per unit of action.")],
    build: Point::build,
};

pub(crate) fn main() -> Result<(), EnvError> {
    register(POINT)?;
    let mut env = make("Point-v0", &Options::from([("gain".to_owned(), 1.0.into())]))?;
    let mut obs = [0.0];
    env.reset(Some(0), &Options::new(), &mut obs)?;
    let (mut total, mut steps) = (0.0, 0);
    loop {
        let step = env.step(&[-0.5 * obs[0]], &mut obs)?;
        total += step.reward;
        steps += 1;
        if step.done() {
            break;
        }
    }
    println!("{steps} steps, return {total:.6}");
    Ok(())
}
