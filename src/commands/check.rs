//! `liprl check`.

use std::process::ExitCode;

use crate::agent::build_agent;
use crate::cli::ConfigArgs;
use crate::task::Task;
use crate::terminal::print;

/// Reads a config as `train` would, builds what it names and prints it with every default.
pub fn check(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let config = super::load(args)?;
    let task = Task::new(&config.env)?;
    build_agent(&config, &task)?;
    print(&config.to_yaml()?)
}
