//! The commands, one file each.

mod certify;
mod certify_net;
mod certify_report;
mod check;
mod closed_loop;
mod demos;
mod envs;
mod eval;
mod export;
mod game;
mod import;
mod metrics;
mod new;
mod plot;
mod record;
mod render_worker;
mod report;
mod schema;
mod smoothing;
mod sweep;
mod tradeoff;
mod train;

pub use certify::certify;
pub use check::check;
pub use demos::demos;
pub use envs::envs;
pub use eval::eval;
pub use export::export;
pub use import::import;
pub use metrics::metrics;
pub use new::new;
pub use plot::plot;
pub use record::record;
pub use render_worker::render_worker;
pub use report::report;
pub use schema::schema;
pub use sweep::sweep;
pub use tradeoff::tradeoff;
pub use train::train;

use std::path::{Path, PathBuf};

use liprl_agents::AgentError;
use liprl_analysis::find_runs;
use liprl_envs::EnvError;
use liprl_logbook::SweepLock;

use crate::cli::ConfigArgs;
use crate::config::{Config, LoadError, Override, error_at, top_keys};
use crate::load::LoadedPolicy;
use crate::task::TaskError;
use crate::usage::Usage;

/// Loads the config of a command line, with its overrides.
fn load(args: &ConfigArgs) -> anyhow::Result<Config> {
    let (path, overrides) = sources(args);
    Config::load(&path, &overrides).map_err(|error| match sweep_instead(&args.config) {
        Some(usage) => usage.into(),
        None => error.into(),
    })
}

/// The error of a sweep's file or folder where the config of a run was asked for.
fn sweep_instead(path: &Path) -> Option<Usage> {
    let shown = path.display();
    let is_sweep = |keys: &[String]| keys.iter().any(|key| key == "base") && keys.iter().all(|key| key != "agent");
    if top_keys(path).is_some_and(|keys| is_sweep(&keys)) {
        return Some(Usage(format!("{shown} is a sweep file: `liprl sweep {shown}` runs it, --dry-run checks it")));
    }
    let lock = SweepLock::read(path).ok()??;
    let file = lock.sweep_file.display();
    Some(Usage(format!(
        "{shown} is a sweep's folder: name one of its runs, or launch it again by `liprl sweep {file}`"
    )))
}

/// The error of a config or sweep folder where a sweep file was asked for.
fn config_instead(path: &Path) -> Option<Usage> {
    let shown = path.display();
    let is_config = |keys: &[String]| keys.iter().any(|key| key == "agent") && keys.iter().all(|key| key != "base");
    if top_keys(path).is_some_and(|keys| is_config(&keys)) {
        return Some(Usage(format!("{shown} is the config of one run: `liprl train {shown}` runs it")));
    }
    if path.join("config.yaml").is_file() {
        return Some(Usage(format!("{shown} is a run folder: `liprl train {shown} --resume` resumes its run")));
    }
    let lock = SweepLock::read(path).ok()??;
    let file = lock.sweep_file.display();
    Some(Usage(format!(
        "{shown} is a sweep's folder: `liprl sweep {file}` launches it, `liprl sweep status {shown}` shows its progress"
    )))
}

/// The most runs that a message names.
const NAMED: usize = 8;

/// Loads a policy; of a folder around runs the error names the runs.
fn open_policy(path: &Path) -> anyhow::Result<LoadedPolicy> {
    LoadedPolicy::open(path).map_err(|error| {
        let runs = if path.is_dir() { find_runs(&[path.to_owned()]).unwrap_or_default() } else { Vec::new() };
        if !error.is::<Usage>() || runs.is_empty() || runs == [path] {
            return error;
        }
        Usage(names_of_runs(path, &runs)).into()
    })
}

/// The message about a folder of runs where one run was asked for.
fn names_of_runs(folder: &Path, runs: &[PathBuf]) -> String {
    let mut names: Vec<String> = runs.iter().take(NAMED).map(|run| run.display().to_string()).collect();
    if runs.len() > NAMED {
        names.push(format!("and {} more", runs.len() - NAMED));
    }
    format!("{} is a folder of runs; name one of them: {}", folder.display(), names.join(", "))
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
        TaskError::Env(EnvError::Python { setting: Some(setting), .. }) => {
            Some((format!("env.{setting}"), error.to_string()))
        }
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
    let given = &args.overrides;
    let mut overrides: Vec<Override> = given.sets.iter().map(|text| Override::set(text)).collect();
    let flags =
        [("seed", &given.seed), ("steps", &given.steps), ("device", &given.device), ("threads", &given.threads)];
    overrides.extend(flags.into_iter().filter_map(|(name, value)| Some(Override::flag(name, value.as_ref()?))));
    (path, overrides)
}
