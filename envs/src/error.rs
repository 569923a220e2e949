//! Errors of environments. Each message names the place and the remedy.

use thiserror::Error;

/// An environment that could not be made, stepped or restored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EnvError {
    /// No environment is registered under this id.
    #[error("unknown environment `{id}`{}; `liprl envs` lists those there are", did_you_mean(suggestion.as_deref()))]
    UnknownId {
        /// The id requested.
        id: String,
        /// The nearest registered id.
        suggestion: Option<String>,
    },
    /// This id is registered already.
    #[error("an environment `{id}` is registered already; choose another id")]
    AlreadyRegistered {
        /// The id.
        id: String,
    },
    /// The task has no such option, or the option has another type or range.
    #[error("{id}: option `{option}`: {problem}")]
    BadOption {
        /// The environment.
        id: String,
        /// The option's name.
        option: String,
        /// The problem, and the value expected.
        problem: String,
    },
    /// `step` was called before `reset`, or after an episode's end.
    #[error("{id}: step called on an episode that is over or was never started; call reset first")]
    NeedsReset {
        /// The environment.
        id: String,
    },
    /// A slice has the wrong length.
    #[error("{id}: {what} has {found} values, the space has {expected}")]
    WrongLength {
        /// The environment.
        id: String,
        /// Action or observation.
        what: &'static str,
        /// Length given.
        found: usize,
        /// Length expected.
        expected: usize,
    },
    /// A NaN or infinite number in an action, an observation or a reward.
    #[error("{id}: {what} is not finite at coordinate {index}")]
    NonFinite {
        /// The environment.
        id: String,
        /// Action, observation or reward.
        what: &'static str,
        /// The coordinate.
        index: usize,
    },
    /// A saved state that does not belong to this environment.
    #[error("{id}: the saved state does not fit: {problem}")]
    BadState {
        /// The environment.
        id: String,
        /// The difference.
        problem: String,
    },
    /// Environments that cannot be stepped together.
    #[error("a batch of environments: {problem}")]
    BadBatch {
        /// The problem.
        problem: String,
    },
    /// This task cannot draw itself.
    #[error("{id} cannot be rendered")]
    CannotRender {
        /// The environment.
        id: String,
    },
    /// An environment in Python, or its process, failed.
    #[error("{id}: {problem}")]
    Python {
        /// The environment.
        id: String,
        /// The setting that is to blame, if one is.
        setting: Option<&'static str>,
        /// The last line of the traceback, its place and the remedy.
        problem: String,
    },
    /// A saved episode that does not repeat when it is played again.
    #[error(
        "{id}: the same seed and the same {steps} actions have led to other numbers: the environment depends on something \
         that outlives its episodes, or on random numbers that the seed does not decide"
    )]
    Unrepeatable {
        /// The environment.
        id: String,
        /// Steps of the episode.
        steps: usize,
    },
    /// This task can draw itself, but not here and now.
    #[error("{id}: there is no picture: {problem}")]
    NoPicture {
        /// The environment.
        id: String,
        /// The problem and the remedy.
        problem: String,
    },
    /// The simulator or one of its files failed.
    #[error("{id}: {problem}")]
    Simulator {
        /// The environment.
        id: String,
        /// The simulator's own message and the remedy.
        problem: String,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|id| format!(", did you mean `{id}`?")).unwrap_or_default()
}
