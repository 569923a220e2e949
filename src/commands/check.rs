//! `liprl check`.

use std::process::ExitCode;

use crate::agent::build_agent;
use crate::cli::ConfigArgs;
use crate::memory::MemoryEstimate;
use crate::task::Task;
use crate::terminal::print;

/// Reads a config as `train` would, builds what it names and prints it with every default, below a
/// comment with the memory it needs.
pub fn check(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let config = super::load(args)?;
    let task = Task::new(&config.env).map_err(|error| super::at_its_setting(args, error.into()))?;
    let memory = MemoryEstimate::of(&config, &task);
    memory.check()?;
    build_agent(&config, &task).map_err(|error| super::at_its_setting(args, error.into()))?;
    print(&format!("# {memory}\n{}", config.to_yaml()?))
}
