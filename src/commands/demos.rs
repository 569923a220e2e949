//! `liprl demos inspect`.

use std::fmt::Write;
use std::process::ExitCode;

use liprl_agents::demos::Demonstrations;
use liprl_envs::BoxSpace;
use serde_json::Value;

use crate::cli::DemosCommand;
use crate::terminal::{print, table};
use crate::usage::Usage;

/// Longest value of the description that is printed whole.
const LONG: usize = 160;

/// Prints a file's description, episodes, lengths and returns.
pub fn demos(command: &DemosCommand) -> anyhow::Result<ExitCode> {
    let DemosCommand::Inspect { file } = command;
    if !file.exists() {
        return Err(Usage(format!("there is no file {}", file.display())).into());
    }
    let demonstrations = Demonstrations::read(file, None)?;
    let summary = demonstrations.summary();
    let steps: usize = summary.lengths.iter().sum();
    let env = demonstrations.meta.env.as_ref().map_or("unknown environment", |env| env.id.as_str());
    let mut text = String::new();
    writeln!(text, "{env}: {} episodes, {steps} steps", summary.lengths.len())?;
    writeln!(text, "observation {}, action {}", demonstrations.obs_dim(), demonstrations.act_dim())?;
    writeln!(text, "return {:.1} ± {:.1}, {} terminated", summary.return_mean, summary.return_std, summary.terminated)?;
    for note in &demonstrations.notes {
        writeln!(text, "note: {note}")?;
    }
    writeln!(text, "\n{}", table(["description", "value"], 0..0, description(&demonstrations)).trim_end())?;
    let episodes = summary.lengths.iter().zip(&summary.returns).enumerate();
    let rows = episodes.map(|(index, (length, total))| [index.to_string(), length.to_string(), format!("{total:.2}")]);
    writeln!(text, "\n{}", table(["episode", "length", "return"], 0..3, rows.collect()).trim_end())?;
    print(&text)
}

/// All that the file says about its environment and origin.
fn description(demonstrations: &Demonstrations) -> Vec<[String; 2]> {
    let meta = &demonstrations.meta;
    let mut rows: Vec<(&str, String)> = Vec::new();
    if let Some(env) = &meta.env {
        let limit = env.max_episode_steps.map_or("none".to_owned(), |steps| steps.to_string());
        let options: Vec<String> = env.options.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        rows.push(("max_episode_steps", limit));
        rows.push(("options", if options.is_empty() { "none".to_owned() } else { options.join(", ") }));
    }
    let wrappers = meta.wrapper_names().join(", ");
    rows.push(("wrappers", if wrappers.is_empty() { "none".to_owned() } else { wrappers }));
    rows.push(("observation space", bounds(meta.observation_space.as_ref())));
    rows.push(("action space", bounds(meta.action_space.as_ref())));
    rows.extend(meta.extra.iter().map(|(name, value)| (name.as_str(), shortened(value))));
    rows.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
}

/// The intervals of a box; one for all coordinates if they are the same.
fn bounds(space: Option<&BoxSpace>) -> String {
    let Some(space) = space else { return "unknown".to_owned() };
    let mut sides: Vec<String> =
        space.low.iter().zip(&space.high).map(|(low, high)| format!("[{low}, {high}]")).collect();
    if sides.iter().all(|side| *side == sides[0]) {
        sides.truncate(1);
    }
    if let [side] = &sides[..] { format!("{side} in each of {}", space.dim()) } else { sides.join(" × ") }
}

/// A value on one line; of a long text its length.
fn shortened(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.chars().count() > LONG || text.contains('\n') {
        return format!("{} lines, {} characters", text.lines().count(), text.chars().count());
    }
    text
}
