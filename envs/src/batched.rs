//! Many environments stepped together, on several threads.

use std::sync::{Mutex, PoisonError};

use crate::env::{Env, Options, Step};
use crate::error::EnvError;
use crate::registry::make;
use crate::space::BoxSpace;
use crate::state::{StateReader, StateWriter};

/// Environments with equal spaces, stepped by one call.
///
/// An environment whose episode ends is reset at once. The observation returned is the next
/// episode's first, and [`BatchedEnv::final_obs`] keeps the finished episode's last. Results do not
/// depend on the number of threads, because the environments share nothing that changes.
pub struct BatchedEnv {
    slots: Vec<Slot>,
    /// The threads beside the caller's, which steps its share too: to wake a waiting thread costs
    /// as much as several environment steps.
    others: Option<rayon::ThreadPool>,
}

struct Slot {
    env: Box<dyn Env>,
    step: Step,
    final_obs: Vec<f64>,
}

impl Slot {
    fn advance(&mut self, action: &[f64], obs: &mut [f64]) -> Result<(), EnvError> {
        self.step = self.env.step(action, obs)?;
        if self.step.done() {
            self.final_obs.copy_from_slice(obs);
            self.env.reset(None, &Options::new(), obs)?;
        }
        Ok(())
    }
}

/// One thread's share of a step: some environments with their rows.
struct ThreadShare<'a> {
    slots: &'a mut [Slot],
    actions: &'a [f64],
    obs: &'a mut [f64],
}

impl ThreadShare<'_> {
    fn advance_all(self) -> Result<(), EnvError> {
        let count = self.slots.len();
        let (actions, obs) = (self.actions.len() / count, self.obs.len() / count);
        let rows = self.actions.chunks_exact(actions).zip(self.obs.chunks_exact_mut(obs));
        self.slots.iter_mut().zip(rows).try_for_each(|(slot, (action, obs))| slot.advance(action, obs))
    }

    /// Steps all, and leaves in `failed` the error of the first share that had one.
    fn advance(self, index: usize, failed: &Mutex<Option<(usize, EnvError)>>) {
        if let Err(error) = self.advance_all() {
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                *failed = Some((index, error));
            }
        }
    }
}

const KIND: &str = "BatchedEnv";

impl BatchedEnv {
    /// Makes `count` environments of one id; environments of one MuJoCo model share it.
    ///
    /// # Errors
    /// Those of [`make`] and [`BatchedEnv::new`].
    pub fn make(id: &str, options: &Options, count: usize, threads: usize) -> Result<Self, EnvError> {
        Self::new((0..count).map(|_| make(id, options)).collect::<Result<_, _>>()?, threads)
    }

    /// Batches these environments, to be stepped by `threads` threads.
    ///
    /// # Errors
    /// [`EnvError::BadBatch`] if `envs` is empty, their spaces differ, or the threads cannot be
    /// started.
    pub fn new(envs: Vec<Box<dyn Env>>, threads: usize) -> Result<Self, EnvError> {
        let bad = |problem: &str| Err(EnvError::BadBatch { problem: problem.to_owned() });
        let Some(first) = envs.first() else {
            return bad("there has to be at least one");
        };
        let spaces = |env: &dyn Env| (env.observation_space().clone(), env.action_space().clone());
        let wanted = spaces(first.as_ref());
        if wanted.0.dim() == 0 || wanted.1.dim() == 0 {
            return bad("observations and actions need at least one coordinate");
        }
        if !envs.iter().all(|env| spaces(env.as_ref()) == wanted) {
            return bad("their observation or action spaces differ");
        }
        let others = (threads > 1)
            .then(|| rayon::ThreadPoolBuilder::new().num_threads(threads - 1).build())
            .transpose()
            .map_err(|e| EnvError::BadBatch { problem: format!("{threads} threads could not be started: {e}") })?;
        let final_obs = vec![0.0; wanted.0.dim()];
        let step = Step { reward: 0.0, terminated: false, truncated: false };
        let slots = envs.into_iter().map(|env| Slot { env, step, final_obs: final_obs.clone() }).collect();
        Ok(Self { slots, others })
    }

    /// Number of environments.
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// Bounds of each environment's observation.
    pub fn observation_space(&self) -> &BoxSpace {
        self.slots[0].env.observation_space()
    }

    /// Bounds of each environment's action.
    pub fn action_space(&self) -> &BoxSpace {
        self.slots[0].env.action_space()
    }

    /// Starts an episode in each environment. Environment `i` gets `seed + i`, as in Gymnasium's
    /// vector environments. `obs` is `[count, obs_dim]`, row by row.
    ///
    /// # Errors
    /// [`EnvError::WrongLength`], and the error of the first environment that fails.
    pub fn reset(&mut self, seed: Option<u64>, obs: &mut [f64]) -> Result<(), EnvError> {
        let width = self.observation_space().dim();
        self.check("observation", obs.len(), width)?;
        for (i, (slot, obs)) in self.slots.iter_mut().zip(obs.chunks_exact_mut(width)).enumerate() {
            slot.env.reset(seed.map(|seed| seed.wrapping_add(i as u64)), &Options::new(), obs)?;
        }
        Ok(())
    }

    /// Advances each environment by one step. `actions` is `[count, act_dim]`, `obs` `[count,
    /// obs_dim]`.
    ///
    /// # Errors
    /// Those of [`BatchedEnv::reset`].
    pub fn step(&mut self, actions: &[f64], obs: &mut [f64]) -> Result<(), EnvError> {
        let (width, action_width) = (self.observation_space().dim(), self.action_space().dim());
        self.check("action", actions.len(), action_width)?;
        self.check("observation", obs.len(), width)?;
        let Self { slots, others } = self;
        let each = slots.len().div_ceil(others.as_ref().map_or(1, |others| others.current_num_threads() + 1));
        let mut shares = (slots.chunks_mut(each))
            .zip(actions.chunks(each * action_width))
            .zip(obs.chunks_mut(each * width))
            .map(|((slots, actions), obs)| ThreadShare { slots, actions, obs });
        let Some(mine) = shares.next() else { return Ok(()) };
        let Some(others) = others else { return mine.advance_all() };
        let failed = Mutex::new(None);
        others.in_place_scope(|scope| {
            for (index, share) in shares.enumerate() {
                let failed = &failed;
                scope.spawn(move |_| share.advance(index + 1, failed));
            }
            mine.advance(0, &failed);
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Rewards and flags of each environment's last step.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = Step> {
        self.slots.iter().map(|slot| slot.step)
    }

    /// The last observation of the episode that environment `index` finished in the last step;
    /// `None` if the episode continues.
    pub fn final_obs(&self, index: usize) -> Option<&[f64]> {
        self.slots.get(index).filter(|slot| slot.step.done()).map(|slot| slot.final_obs.as_slice())
    }

    /// The complete state of all environments.
    pub fn save(&self) -> Vec<u8> {
        self.slots.iter().fold(StateWriter::new(KIND), |state, slot| state.bytes(&slot.env.save())).finish()
    }

    /// Takes back a state that [`BatchedEnv::save`] of an equal batch wrote.
    ///
    /// # Errors
    /// [`EnvError::BadState`].
    pub fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let id = self.slots[0].env.spec().id.clone();
        let mut reader = StateReader::new(KIND, &id, state)?;
        for slot in &mut self.slots {
            slot.env.restore(reader.bytes()?)?;
        }
        reader.finish()
    }

    fn check(&self, what: &'static str, found: usize, width: usize) -> Result<(), EnvError> {
        let expected = width * self.count();
        if found == expected {
            return Ok(());
        }
        Err(EnvError::WrongLength { id: self.slots[0].env.spec().id.clone(), what, found, expected })
    }
}
