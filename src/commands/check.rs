//! `liprl check`.

use std::process::ExitCode;

use liprl_envs::python::{Repetition, Verdict, repetition};

use crate::agent::build_agent;
use crate::cli::{CheckArgs, ConfigArgs};
use crate::config::{Config, explain};
use crate::memory::MemoryEstimate;
use crate::task::{Task, TaskError};
use crate::terminal::{print, tell};
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
    let task = Task::of(&config).map_err(|error| super::at_its_setting(args, error.into()))?;
    let memory = MemoryEstimate::of(&config, &task);
    memory.check()?;
    build_agent(&config, &task).map_err(|error| super::at_its_setting(args, error.into()))?;
    let python = config.env.python.as_ref().map(|python| {
        repetition(&config.env.id, &config.env.options, python)
            .map_err(|error| super::at_its_setting(args, TaskError::from(error).into()))
    });
    let python = python.transpose()?;
    if let Some(found) = python.as_ref().filter(|found| !found.printed.trim().is_empty()) {
        tell(format_args!("the environment and Gymnasium's checker print:\n{}", found.printed.trim_end()));
    }
    let python = python.as_ref().map(describe).unwrap_or_default();
    print(&format!("# {memory}\n{python}{}", config.to_yaml()?))
}

/// Origin, spaces and repeatability of an environment in Python, as comments.
fn describe(found: &Repetition) -> String {
    let Some(python) = &found.spec.python else { return String::new() };
    let versions = python.libraries.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>();
    let parts = python.observation.iter().filter(|part| !part.name.is_empty());
    let parts = parts.map(|part| format!("{} ({})", part.name, part.len())).collect::<Vec<_>>();
    let limit = match found.spec.max_episode_steps {
        Some(steps) => format!("time limit {steps}"),
        None => "no time limit known; if the task does not end by itself, set max_episode_steps".to_owned(),
    };
    let (steps, id) = (found.steps, &found.spec.id);
    let state = if found.saves_state { "; its own get_state and set_state hold" } else { "" };
    let verdict = match found.verdict {
        Verdict::Repeats => {
            format!("it repeats: two processes agree to the bit for {steps} steps{state}; a resumed run is exact")
        }
        Verdict::ProcessesDiffer(step) => format!(
            "it does NOT repeat: under one seed and the same actions, two processes differ at step {step} ({OWN_NUMBERS})"
        ),
        Verdict::HistoryMatters(step) => format!(
            "it does NOT repeat: after other episodes, the same seed and actions differ at step {step} (state outlives \
             episodes)"
        ),
        Verdict::StateDiffers(step) => {
            format!("its get_state and set_state do NOT hold: after them, the steps differ at step {step}")
        }
    };
    let advice = match found.verdict {
        Verdict::Repeats => String::new(),
        _ => "#   a resumed run is not exact: its episode is cut off as truncated; get_state() -> bytes and set_state(bytes) \
              that hold all state would make it so\n"
            .to_owned(),
    };
    let mut text = format!("# {id} in {} ({})\n# {limit}\n", python.interpreter, versions.join(", "));
    if !parts.is_empty() {
        text.push_str(&format!("# observation: {}\n", parts.join(", ")));
    }
    format!("{text}# {verdict}\n{advice}")
}

const OWN_NUMBERS: &str = "random numbers that the seed does not decide";
