//! `liprl demos inspect`.

use std::fmt::Write;
use std::process::ExitCode;

use liprl_agents::demos::Demonstrations;

use crate::cli::DemosCommand;
use crate::terminal::{print, table};

/// Prints a file's episodes, lengths and returns.
pub fn demos(command: &DemosCommand) -> anyhow::Result<ExitCode> {
    let DemosCommand::Inspect { file } = command;
    let demonstrations = Demonstrations::read(file, None)?;
    let summary = demonstrations.summary();
    let steps: usize = summary.lengths.iter().sum();
    let env = demonstrations.meta.env.as_ref().map_or("unknown environment", |env| env.id.as_str());
    let mut text = String::new();
    writeln!(text, "{env}: {} episodes, {steps} steps", summary.lengths.len())?;
    writeln!(text, "observation {}, action {}", demonstrations.obs_dim(), demonstrations.act_dim())?;
    writeln!(text, "return {:.1} ± {:.1}, {} terminated", summary.return_mean, summary.return_std, summary.terminated)?;
    let episodes = summary.lengths.iter().zip(&summary.returns).enumerate();
    let rows = episodes.map(|(index, (length, total))| [index.to_string(), length.to_string(), format!("{total:.2}")]);
    writeln!(text, "\n{}", table(["episode", "length", "return"], 0..3, rows.collect()).trim_end())?;
    print(&text)
}
