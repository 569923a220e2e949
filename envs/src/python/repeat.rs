//! An environment held against itself: it repeats if it is a function of the reset's seed and the
//! actions. Only then is a resumed run exact.

use super::adapter::PythonEnv;
use super::order::Purpose;
use super::replay::Episode;
use crate::env::{Env, EnvSpec, Options};
use crate::error::EnvError;
use crate::numpy_rng::NumpyRng;
use crate::python_spec::PythonConfig;

/// Steps that are compared.
const STEPS: usize = 50;
const SEED: u64 = 1;
/// Separates the stream of actions from the environment's.
const PURPOSE: u32 = 0x7265_7065;

/// The result of holding two instances against each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Repetition {
    /// The environment.
    pub spec: EnvSpec,
    /// Steps that were compared, under random actions.
    pub steps: usize,
    /// True if the environment saves its own state.
    pub saves_state: bool,
    /// The outcome.
    pub verdict: Verdict,
    /// All that the first instance printed, warnings of Gymnasium's checker among it.
    pub printed: String,
}

/// The outcome of a comparison; a step counts from 1, 0 is the reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All numbers agree, to the bit.
    Repeats,
    /// A second process departs from the first at this step.
    ProcessesDiffer(usize),
    /// A process departs from itself at this step, once it has played other episodes.
    HistoryMatters(usize),
    /// After `set_state`, the environment departs from the one whose `get_state` it was at this step.
    StateDiffers(usize),
}

/// Makes two instances, the first behind Gymnasium's checker, and compares them.
///
/// # Errors
/// [`EnvError::Python`] as of [`make`](super::make), and failures of a step.
pub fn repetition(id: &str, options: &Options, config: &PythonConfig) -> Result<Repetition, EnvError> {
    let mut checked = PythonEnv::start(id, options, config, Purpose { check: true, render: false })?;
    let mut other = PythonEnv::start(id, options, config, Purpose::default())?;
    let first = trace(&mut checked, STEPS)?;
    let verdict = match (departure(&first, &trace(&mut other, STEPS)?), departure(&first, &trace(&mut other, STEPS)?)) {
        (Some(step), _) => Verdict::ProcessesDiffer(step),
        (None, Some(step)) => Verdict::HistoryMatters(step),
        (None, None) => match state_departs(&mut checked, &mut other)? {
            Some(step) => Verdict::StateDiffers(step),
            None => Verdict::Repeats,
        },
    };
    Ok(Repetition {
        spec: checked.spec().clone(),
        steps: STEPS,
        saves_state: checked.saves_state,
        verdict,
        printed: checked.printed(),
    })
}

/// The hash after the reset and after each of so many steps under random actions.
fn trace(env: &mut PythonEnv, steps: usize) -> Result<Vec<u64>, EnvError> {
    env.reset(Some(SEED), &Options::new(), &mut vec![0.0; env.core.observation_space.dim()])?;
    let mut hashes = vec![env.episode.hash];
    walk(env, &mut NumpyRng::derived(SEED, PURPOSE), steps, &mut hashes)?;
    Ok(hashes)
}

fn walk(env: &mut PythonEnv, rng: &mut NumpyRng, steps: usize, hashes: &mut Vec<u64>) -> Result<(), EnvError> {
    let mut obs = vec![0.0; env.core.observation_space.dim()];
    let space = env.core.action_space.clone();
    for _ in 0..steps {
        let sides = space.low.iter().zip(&space.high);
        let action: Vec<f64> = sides.map(|(low, high)| rng.uniform(*low, *high)).collect();
        if env.step(&action, &mut obs)?.done() {
            env.reset(None, &Options::new(), &mut obs)?;
        }
        hashes.push(env.episode.hash);
    }
    Ok(())
}

fn departure(one: &[u64], other: &[u64]) -> Option<usize> {
    one.iter().zip(other).position(|(one, other)| one != other)
}

/// Moves a state between the instances in the middle of an episode and compares what follows.
fn state_departs(one: &mut PythonEnv, other: &mut PythonEnv) -> Result<Option<usize>, EnvError> {
    trace(one, STEPS / 2)?;
    match other.restore(&one.save()) {
        Err(EnvError::Unrepeatable { .. }) => return Ok(Some(0)),
        restored => restored?,
    }
    // The hash of an own state has no beginning.
    (one.episode, other.episode) = (Episode::default(), Episode::default());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (env, hashes) in [(one, &mut ours), (other, &mut theirs)] {
        walk(env, &mut NumpyRng::derived(SEED + 1, PURPOSE), STEPS / 2, hashes)?;
    }
    Ok(departure(&ours, &theirs).map(|step| step + 1))
}
