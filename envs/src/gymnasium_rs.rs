//! Environments of the `gymnasium-rs` crate as this crate's (feature `gymnasium-rs`).
//!
//! Environments of that crate need not be `Send`, borrow one another when wrapped, cannot be saved,
//! and panic on bad input. So each lives on a thread of its own, where its owner builds it and
//! serves it through a [`Session`]. A panic there becomes an error here. The saved state is the
//! episode's seed and actions; `restore` plays them again, which is exact because every episode
//! starts from a seed.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use gymnasium_rs::core::{Env as Foreign, Space};

use crate::env::{Env, EnvSpec, Options, Step};
use crate::error::EnvError;
use crate::space::BoxSpace;
use crate::task::Core;

/// An environment of the `gymnasium-rs` crate.
pub struct GymnasiumRs {
    core: Core,
    requests: Sender<Request>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
    /// The current episode so far, for saving.
    episode: Episode,
}

/// All that an episode's present state depends on.
#[derive(Clone, Default)]
struct Episode {
    seed: u64,
    options: Options,
    actions: Vec<f64>,
}

enum Request {
    Spaces,
    Reset(u64, Options),
    Step(Vec<f64>),
}

enum Answer {
    Spaces(BoxSpace, BoxSpace),
    Observation(Vec<f64>),
    Step(Vec<f64>, Step),
}

/// The foreign thread's end: the environment's owner calls [`Session::run`] with it.
pub struct Session<A> {
    requests: Receiver<Request>,
    answers: Sender<Answer>,
    decode: fn(&[f64], &Space) -> A,
}

/// Decodes a one-dimensional action in [-1, 1] as one of the `n` moves of a discrete space, by
/// equal intervals. Of two moves a negative action is the first and any other the second. `i32` is
/// the action type of such environments.
pub fn discrete(action: &[f64], space: &Space) -> i32 {
    let Space::Discrete(n) = space else { return 0 };
    let share = (action.first().copied().unwrap_or(0.0) + 1.0) / 2.0;
    ((share * f64::from(*n)).floor() as i32).clamp(0, (n - 1).max(0))
}

impl<A> Session<A> {
    /// Serves this environment until the session's other end is dropped.
    pub fn run<O, T>(self, env: &mut dyn Foreign<O, A>)
    where
        O: IntoIterator<Item = T>,
        T: Into<f64>,
    {
        let numbers = |obs: O| obs.into_iter().map(Into::into).collect();
        let moves = env.action_space();
        for request in &self.requests {
            let answer = match request {
                Request::Spaces => Answer::Spaces(box_space(env.observation_space()), box_space(env.action_space())),
                Request::Reset(seed, options) => {
                    // Seeds of that crate are i32; the low bits are kept.
                    Answer::Observation(numbers(env.reset(Some(seed as i32), options.into_iter().collect()).0))
                }
                Request::Step(action) => {
                    let (obs, reward, terminated, truncated, _info) = env.step((self.decode)(&action, &moves));
                    Answer::Step(numbers(obs), Step { reward: f64::from(reward), terminated, truncated })
                }
            };
            if self.answers.send(answer).is_err() {
                break;
            }
        }
        env.close();
    }
}

fn box_space(space: Space) -> BoxSpace {
    match space {
        Space::Discrete(_) => BoxSpace::uniform(1, -1.0, 1.0),
        Space::Box { low, high } => BoxSpace {
            low: low.iter().map(|x| f64::from(*x)).collect(),
            high: high.iter().map(|x| f64::from(*x)).collect(),
        },
    }
}

impl GymnasiumRs {
    /// Starts the thread on which `host` builds its environment and serves it through the session.
    ///
    /// ```
    /// use gymnasium_rs::envs::cartpole::CartPole;
    /// use gymnasium_rs::wrappers::timelimit::TimeLimitWrapper;
    /// use liprl_envs::gymnasium_rs::{GymnasiumRs, discrete};
    ///
    /// let env = GymnasiumRs::start("CartPole", discrete, |session| {
    ///     session.run(&mut TimeLimitWrapper::new(&mut CartPole::new(), 200));
    /// })?;
    /// # Ok::<(), liprl_envs::EnvError>(())
    /// ```
    ///
    /// `decode` turns an action of this crate into one of the environment's; for box spaces it is
    /// `|action, _| action.iter().map(|x| *x as f32).collect()`.
    ///
    /// # Errors
    /// [`EnvError::Simulator`] if the thread cannot be started or `host` ends before it serves.
    pub fn start<A: 'static>(
        id: &str,
        decode: fn(&[f64], &Space) -> A,
        host: impl FnOnce(Session<A>) + Send + 'static,
    ) -> Result<Self, EnvError> {
        let (requests, inbox) = channel();
        let (outbox, answers) = channel();
        let thread = thread::Builder::new()
            .name(id.to_owned())
            .spawn(move || host(Session { requests: inbox, answers: outbox, decode }))
            .map_err(|e| EnvError::Simulator { id: id.to_owned(), problem: e.to_string() })?;
        let spec = EnvSpec { id: id.to_owned(), max_episode_steps: None, options: Options::new(), python: None };
        let empty = BoxSpace::uniform(0, 0.0, 0.0);
        let core = Core::new(spec, empty.clone(), empty);
        let mut env = Self { core, requests, answers, thread: Some(thread), episode: Episode::default() };
        if let Answer::Spaces(observations, actions) = env.request(Request::Spaces)? {
            (env.core.observation_space, env.core.action_space) = (observations, actions);
        }
        Ok(env)
    }

    /// Sends a request and waits for the answer; an error if the thread has ended, which it does by
    /// panicking.
    fn request(&mut self, request: Request) -> Result<Answer, EnvError> {
        let sent = self.requests.send(request).is_ok();
        sent.then(|| self.answers.recv().ok()).flatten().ok_or_else(|| {
            let message = self.thread.take().and_then(|thread| thread.join().err()).and_then(|panic| {
                panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            });
            let problem = format!("the environment stopped: {}", message.as_deref().unwrap_or("no reason was given"));
            EnvError::Simulator { id: self.core.spec.id.clone(), problem }
        })
    }

    fn start_episode(&mut self, episode: Episode) -> Result<Vec<f64>, EnvError> {
        let answer = self.request(Request::Reset(episode.seed, episode.options.clone()))?;
        self.episode = episode;
        match answer {
            Answer::Observation(obs) => self.checked(obs),
            _ => Err(self.wrong_answer()),
        }
    }

    fn play(&mut self, action: &[f64]) -> Result<(Vec<f64>, Step), EnvError> {
        match self.request(Request::Step(action.to_vec()))? {
            Answer::Step(obs, step) => Ok((self.checked(obs)?, step)),
            _ => Err(self.wrong_answer()),
        }
    }

    /// The observation, if it is finite and has the length that the environment promised.
    fn checked(&self, obs: Vec<f64>) -> Result<Vec<f64>, EnvError> {
        self.core.check_observation(&obs)?;
        self.core.check_finite("observation", &obs)?;
        Ok(obs)
    }

    fn wrong_answer(&self) -> EnvError {
        EnvError::Simulator { id: self.core.spec.id.clone(), problem: "an answer to another question".to_owned() }
    }
}

impl Env for GymnasiumRs {
    fn spec(&self) -> &EnvSpec {
        &self.core.spec
    }

    fn observation_space(&self) -> &BoxSpace {
        &self.core.observation_space
    }

    fn action_space(&self) -> &BoxSpace {
        &self.core.action_space
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        self.core.check_observation(obs)?;
        self.core.reseed(seed);
        let seed = seed.unwrap_or_else(|| self.core.rng.next_u64());
        let first = self.start_episode(Episode { seed, options: options.clone(), actions: Vec::new() })?;
        obs.copy_from_slice(&first);
        self.core.over = false;
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.core.check_step(action, obs)?;
        let (next, step) = self.play(action)?;
        obs.copy_from_slice(&next);
        self.episode.actions.extend_from_slice(action);
        self.core.over = step.done();
        Ok(step)
    }

    fn info(&self) -> &[(&'static str, f64)] {
        &[]
    }

    fn save(&self) -> Vec<u8> {
        let options = serde_json::to_vec(&self.episode.options).unwrap_or_default();
        self.core
            .save()
            .word(self.episode.seed)
            .bytes(&options)
            .word(self.episode.actions.len() as u64)
            .numbers(&self.episode.actions)
            .finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let bad = |problem: &str| EnvError::BadState { id: self.core.spec.id.clone(), problem: problem.to_owned() };
        let (mut reader, over, rng) = self.core.open(state)?;
        let seed = reader.word()?;
        let options = serde_json::from_slice(reader.bytes()?).map_err(|_| bad("its options cannot be read"))?;
        let count = reader.word()?;
        if count > state.len() as u64 / 8 {
            return Err(bad("it ends too early"));
        }
        let mut actions = vec![0.0; count as usize];
        reader.numbers(&mut actions)?;
        reader.finish()?;
        self.start_episode(Episode { seed, options, actions: actions.clone() })?;
        for action in actions.chunks_exact(self.core.action_space.dim().max(1)) {
            self.play(action)?;
        }
        (self.core.over, self.core.rng) = (over, rng);
        Ok(())
    }
}
