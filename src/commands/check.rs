//! `liprl check`.

use std::process::ExitCode;

use crate::agent::build_agent;
use crate::cli::{CheckArgs, ConfigArgs};
use crate::config::{Config, explain};
use crate::memory::MemoryEstimate;
use crate::task::Task;
use crate::terminal::print;
use crate::usage::Usage;

/// Reads a config as `train` would, builds what it names and prints it with every default, below a
/// comment with the memory it needs. Or explains one setting.
pub fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.clone();
    let of_config = config.map(|config| ConfigArgs { config, overrides: args.overrides.clone() });
    match (&args.explain, &of_config) {
        (Some(key), of_config) => {
            let config = of_config.as_ref().map(super::load).transpose()?;
            let config = config.map(|config| serde_json::to_value(&config)).transpose()?;
            print(&explain(key, config.as_ref()).map_err(Usage)?)
        }
        (None, Some(args)) => check_config(args, super::load(args)?),
        (None, None) => Err(Usage("name a config file".to_owned()).into()),
    }
}

fn check_config(args: &ConfigArgs, config: Config) -> anyhow::Result<ExitCode> {
    let task = Task::new(&config.env).map_err(|error| super::at_its_setting(args, error.into()))?;
    let memory = MemoryEstimate::of(&config, &task);
    memory.check()?;
    build_agent(&config, &task).map_err(|error| super::at_its_setting(args, error.into()))?;
    print(&format!("# {memory}\n{}", config.to_yaml()?))
}
