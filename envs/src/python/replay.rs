//! The running episode: all that its present state depends on, if the environment is a function of
//! the reset's seed and the actions; and a hash of what came of them, by which that is checked.
//!
//! Pickle and deepcopy are not used: of Gymnasium's MuJoCo tasks they lose positions and velocities
//! without a word.

use crate::env::{Options, Step};
use crate::error::EnvError;
use crate::state::{StateReader, StateWriter};

/// An episode so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Episode {
    pub(super) seed: u64,
    pub(super) options: Options,
    /// All actions since the reset, one behind the other.
    pub(super) actions: Vec<f64>,
    /// Of all observations, rewards and flags since the reset.
    pub(super) hash: u64,
}

/// An odd number with as many ones as zeros, from the golden ratio.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

impl Episode {
    /// An episode that begins now.
    pub(super) fn begin(seed: u64, options: &Options) -> Self {
        Self { seed, options: options.clone(), actions: Vec::new(), hash: 0 }
    }

    /// Takes in an observation.
    pub(super) fn note(&mut self, obs: &[f64]) {
        obs.iter().for_each(|x| self.mix(x.to_bits()));
    }

    /// Takes in a step.
    pub(super) fn push(&mut self, action: &[f64], step: &Step, obs: &[f64]) {
        self.actions.extend_from_slice(action);
        self.mix(step.reward.to_bits());
        self.mix(u64::from(step.terminated) | u64::from(step.truncated) << 1);
        self.note(obs);
    }

    /// Every bit of a word changes the hash.
    fn mix(&mut self, word: u64) {
        let mixed = (self.hash ^ word).wrapping_mul(MULTIPLIER);
        self.hash = mixed ^ (mixed >> 32);
    }

    /// Steps so far, for actions of so many numbers.
    pub(super) fn len(&self, act_dim: usize) -> usize {
        self.actions.len() / act_dim.max(1)
    }

    /// Appends the episode to a state.
    pub(super) fn save(&self, to: StateWriter) -> StateWriter {
        let options = serde_json::to_vec(&self.options).unwrap_or_default();
        to.word(self.seed).bytes(&options).word(self.actions.len() as u64).numbers(&self.actions).word(self.hash)
    }

    /// Reads an episode that `save` appended to a state of so many bytes.
    pub(super) fn read(from: &mut StateReader<'_>, id: &str, bytes: usize) -> Result<Self, EnvError> {
        let bad = |problem: &str| EnvError::BadState { id: id.to_owned(), problem: problem.to_owned() };
        let seed = from.word()?;
        let options = serde_json::from_slice(from.bytes()?).map_err(|_| bad("its options cannot be read"))?;
        let count = from.word()?;
        if count > bytes as u64 / 8 {
            return Err(bad("it ends too early"));
        }
        let mut actions = vec![0.0; count as usize];
        from.numbers(&mut actions)?;
        Ok(Self { seed, options, actions, hash: from.word()? })
    }
}
