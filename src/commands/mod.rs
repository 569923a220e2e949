//! The commands, one file each.

mod certify;
mod check;
mod closed_loop;
mod demos;
mod envs;
mod eval;
mod export;
mod plot;
mod record;
mod report;
mod schema;
mod sweep;
mod tradeoff;
mod train;

pub use certify::certify;
pub use check::check;
pub use demos::demos;
pub use envs::envs;
pub use eval::eval;
pub use export::export;
pub use plot::plot;
pub use record::record;
pub use report::report;
pub use schema::schema;
pub use sweep::sweep;
pub use tradeoff::tradeoff;
pub use train::train;

use std::path::PathBuf;

use liprl_agents::AgentError;
use liprl_envs::EnvError;

use crate::cli::ConfigArgs;
use crate::config::{Config, LoadError, Override, error_at};
use crate::task::TaskError;

/// Loads the config of a command line, with its overrides.
fn load(args: &ConfigArgs) -> Result<Config, LoadError> {
    let (path, overrides) = sources(args);
    Config::load(&path, &overrides)
}

/// The error at the place of the setting that it names, if it names one of the config's.
fn at_its_setting(args: &ConfigArgs, error: anyhow::Error) -> anyhow::Error {
    let agent = |error: &AgentError| match error {
        AgentError::BadConfig { setting, problem } => Some((setting.clone(), problem.clone())),
        AgentError::BadDemonstrations { .. } => Some(("agent.demonstrations".to_owned(), error.to_string())),
        _ => None,
    };
    let task = |error: &TaskError| match error {
        TaskError::Agent(error) => agent(error),
        TaskError::Env(EnvError::BadOption { option, problem, .. }) => Some((format!("env.{option}"), problem.clone())),
        TaskError::Env(_) | TaskError::Unbounded { .. } | TaskError::Flat { .. } => {
            Some(("env".to_owned(), error.to_string()))
        }
        TaskError::NonFinite { .. } => None,
    };
    let named = error.downcast_ref().and_then(task).or_else(|| error.downcast_ref().and_then(agent));
    let (path, overrides) = sources(args);
    match named.and_then(|(setting, problem)| error_at(&path, &overrides, &setting, &problem)) {
        Some(placed) => LoadError::from(placed).into(),
        None => error,
    }
}

/// The config file of a command line and the overrides.
fn sources(args: &ConfigArgs) -> (PathBuf, Vec<Override>) {
    let path = if args.config.is_dir() { args.config.join("config.yaml") } else { args.config.clone() };
    let mut overrides: Vec<Override> = args.sets.iter().map(|text| Override::set(text)).collect();
    let flags = [("seed", &args.seed), ("steps", &args.steps), ("device", &args.device), ("threads", &args.threads)];
    overrides.extend(flags.into_iter().filter_map(|(name, value)| Some(Override::flag(name, value.as_ref()?))));
    (path, overrides)
}
