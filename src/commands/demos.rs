//! `liprl demos`.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use liprl_agents::demos::{Demonstrations, DemonstrationsConfig, DemonstrationsDataset, DemonstrationsFile};
use liprl_envs::BoxSpace;
use serde_json::{Value, json};

use crate::cli::{ConvertArgs, DemosCommand, DemosLayout, ReadingArgs};
use crate::terminal::{print, table, warn};
use crate::usage::Usage;

/// Endings of an HDF5 file's name.
const ENDINGS: [&str; 2] = ["hdf5", "h5"];

/// Longest value of the description that is printed whole.
const LONG: usize = 160;

/// Inspects or converts demonstrations.
pub fn demos(command: &DemosCommand) -> anyhow::Result<ExitCode> {
    match command {
        DemosCommand::Inspect { file, reading } => inspect(&read(file, reading)?),
        DemosCommand::Convert(args) => convert(args),
    }
}

/// Reads a file, a folder, or a dataset by its id.
fn read(file: &Path, reading: &ReadingArgs) -> anyhow::Result<Demonstrations> {
    let ReadingArgs { obs_keys, filter, skip_bad_episodes } = reading.clone();
    if !file.exists() {
        let minari = file.display().to_string();
        if is_hdf5(file) || file.is_absolute() || minari.starts_with('.') {
            return Err(Usage(format!("there is no file {minari}")).into());
        }
        let dataset = DemonstrationsDataset { minari, skip_bad_episodes, ..DemonstrationsDataset::default() };
        let located = DemonstrationsConfig::Minari(dataset).located();
        let located = located.map_err(|error| Usage(format!("there is no file of this name, and {error}")))?;
        return Ok(located.read(None)?);
    }
    let file = file.to_owned();
    let settings = DemonstrationsFile { file, obs_keys, filter, skip_bad_episodes, ..DemonstrationsFile::default() };
    Ok(DemonstrationsConfig::Settings(settings).read(None)?)
}

fn is_hdf5(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
}

/// Checks the name of a file of demonstrations that is to be written.
///
/// # Errors
/// [`Usage`] for another ending, and for a file that is there.
pub(super) fn check_new_file(out: &Path) -> Result<(), Usage> {
    if !is_hdf5(out) {
        let (out, endings) = (out.display(), ENDINGS.join(" or ."));
        return Err(Usage(format!("{out}: demonstrations are written as HDF5; the name has to end in .{endings}")));
    }
    if out.exists() {
        return Err(Usage(format!("{} exists already; choose another name", out.display())));
    }
    Ok(())
}

/// Writes the episodes of some files into one.
fn convert(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    check_new_file(&args.out)?;
    let mut all: Option<Demonstrations> = None;
    for input in &args.inputs {
        let read = read(input, &args.reading)?;
        read.notes.iter().for_each(|note| warn(format_args!("{}: {note}", input.display())));
        match &mut all {
            Some(all) => all.append(read).map_err(|problem| {
                Usage(format!("{}: {problem}, unlike {}", input.display(), args.inputs[0].display()))
            })?,
            None => all = Some(read),
        }
    }
    let Some(mut all) = all else { return Err(Usage("name a file".to_owned()).into()) };
    let there = all.episodes.len();
    if let Some(wanted) = args.episodes.or(args.best).filter(|wanted| *wanted > there) {
        return Err(Usage(format!("{wanted} episodes are asked for, there are {there}")).into());
    }
    match (args.episodes, args.best) {
        (Some(first), _) => all.episodes.truncate(first),
        (None, Some(best)) => all.keep_best(best),
        (None, None) => {}
    }
    let summary = all.summary();
    for (name, value) in [("return_mean", summary.return_mean), ("return_std", summary.return_std)] {
        all.meta.extra.insert(name.to_owned(), json!(value));
    }
    let names: Vec<String> = args.inputs.iter().map(|input| input.display().to_string()).collect();
    all.meta.extra.insert("converted_from".to_owned(), json!(names));
    all.meta.extra.insert("converted_by".to_owned(), json!(concat!("liprl ", env!("CARGO_PKG_VERSION"))));
    match args.to {
        DemosLayout::Minari => all.write(&args.out)?,
        DemosLayout::D4rl => all.write_d4rl(&args.out)?,
    }
    let steps: usize = summary.lengths.iter().sum();
    print(&format!(
        "{}: {} of {there} episodes, {steps} steps, return {:.1} ± {:.1}\n",
        args.out.display(),
        all.episodes.len(),
        summary.return_mean,
        summary.return_std
    ))
}

/// Prints description, episodes, lengths and returns.
fn inspect(demonstrations: &Demonstrations) -> anyhow::Result<ExitCode> {
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
    writeln!(text, "\n{}", table(["description", "value"], 0..0, description(demonstrations)).trim_end())?;
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
