//! `liprl envs`.

use std::fmt::Write;
use std::process::ExitCode;

use liprl_envs::{BoxSpace, EnvEntry, Options, make, registry};
use serde_json::{Value, json};

use crate::terminal::print;

/// Lists ids, spaces and options.
pub fn envs(as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        let list = registry().iter().map(to_json).collect::<anyhow::Result<Value>>()?;
        return print(&format!("{list:#}\n"));
    }
    let mut text = String::new();
    for entry in registry() {
        let env = make(entry.id, &Options::new())?;
        let (obs, action) = (env.observation_space(), env.action_space());
        let limit =
            entry.max_episode_steps.map_or("no time limit".to_owned(), |steps| format!("{steps} steps at most"));
        writeln!(text, "{}\n  {}", entry.id, entry.doc)?;
        writeln!(text, "  observation {}, action {} in {}, {limit}", obs.dim(), action.dim(), interval(action))?;
        for option in entry.options.iter().chain([&entry.time_limit_option()]) {
            writeln!(text, "    {}: {}  {}", option.name, option.default.to_json(), option.doc)?;
        }
    }
    writeln!(text, "Environments in Python: `env: {{python: ID, import: [MODULE]}}`, docs/environments.md")?;
    print(&text)
}

/// The bounds, once if all coordinates share them.
fn interval(space: &BoxSpace) -> String {
    let pairs: Vec<(f64, f64)> = space.low.iter().copied().zip(space.high.iter().copied()).collect();
    match pairs.as_slice() {
        [first, rest @ ..] if rest.iter().all(|pair| pair == first) => format!("[{}, {}]", first.0, first.1),
        _ => pairs.iter().map(|(low, high)| format!("[{low}, {high}]")).collect::<Vec<_>>().join(" × "),
    }
}

fn to_json(entry: &EnvEntry) -> anyhow::Result<Value> {
    let env = make(entry.id, &Options::new())?;
    let options: Vec<Value> = entry
        .options
        .iter()
        .chain([&entry.time_limit_option()])
        .map(|option| json!({ "name": option.name, "schema": option.json_schema() }))
        .collect();
    Ok(json!({
        "id": entry.id,
        "doc": entry.doc,
        "max_episode_steps": entry.max_episode_steps,
        "observation_space": bounds(env.observation_space()),
        "action_space": bounds(env.action_space()),
        "options": options,
    }))
}

/// JSON has no infinity: an unbounded side is null.
fn bounds(space: &BoxSpace) -> Value {
    json!({ "low": space.low, "high": space.high })
}
