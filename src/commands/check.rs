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
    let task = Task::new(&config.env)?;
    let memory = MemoryEstimate::of(&config, &task);
    memory.check()?;
    build_agent(&config, &task)?;
    print(&format!("# {memory}\n{}", config.to_yaml()?))
}
