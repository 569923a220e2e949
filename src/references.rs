//! Reference lines of a plot of returns: the expert's return and that of random actions, from the
//! runs' own configs, and lines of the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use liprl_agents::{AgentError, demos::DemonstrationsConfig};
use liprl_analysis::{AnalysisError, ReferenceLine, find_runs, variant_folder};
use liprl_numerics::{StreamRng, Streams};
use rand_distr::{Distribution, Uniform};

use crate::config::Config;
use crate::rollout::{Actor, EvalSummary, run_episode};
use crate::task::{Task, TaskError};
use crate::terminal::warn;

/// Metrics that are undiscounted returns of whole episodes.
const RETURNS: [&str; 2] = ["eval/return_mean", "train/return_mean"];
/// The most episodes of random actions.
const EPISODES: u64 = 10;
/// No episode of random actions begins after so many steps.
const STEPS: u32 = 5000;

/// The horizontal lines of a plot: the default ones, unless `omit_default`, and those `given`,
/// which replace default lines of their name.
pub(crate) fn lines(
    given: &[(String, f64)],
    omit_default: bool,
    runs: &[PathBuf],
    metric: &str,
) -> Result<Vec<ReferenceLine>, AnalysisError> {
    let given: Vec<ReferenceLine> =
        given.iter().map(|(label, y)| ReferenceLine { label: label.clone(), y: *y }).collect();
    if omit_default {
        return Ok(given);
    }
    let (mut lines, faults) = default_lines(runs, metric)?;
    faults.iter().for_each(warn);
    lines.retain(|default| !given.iter().any(|line| replaces(&line.label, &default.label)));
    lines.extend(given);
    Ok(lines)
}

/// True if a given line takes the place of a default one, `task:name`: its name is the same, and so
/// is its task if it has one.
fn replaces(given: &str, default: &str) -> bool {
    let parts = |label: &str| {
        let (task, name) = label.rsplit_once(':').unwrap_or(("", label));
        (task.trim().to_owned(), name.trim().to_owned())
    };
    let ((given_task, given_name), (task, name)) = (parts(given), parts(default));
    given_name == name && (given_task.is_empty() || given_task == task)
}

/// The lines `<task>:expert` and `<task>:random` of the tasks that the runs below some paths have,
/// and the reasons why some lines are missing. There are none if the metric is not a return. The
/// expert's line is the mean return of the demonstrations that the configs name.
fn default_lines(paths: &[PathBuf], metric: &str) -> Result<(Vec<ReferenceLine>, Vec<String>), AnalysisError> {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    if paths.is_empty() || !RETURNS.contains(&metric) {
        return Ok((lines, faults));
    }
    for (task, configs) in configs(paths)? {
        let files: BTreeMap<&Path, &DemonstrationsConfig> = configs
            .iter()
            .filter_map(|config| config.agent.demonstrations().map(|named| (named.file(), named)))
            .collect();
        for (file, named) in &files {
            let label = match (files.len(), file.file_stem()) {
                (2.., Some(stem)) => format!("{task}:expert {}", stem.to_string_lossy()),
                _ => format!("{task}:expert"),
            };
            match named.read(None) {
                Ok(read) => lines.push(ReferenceLine { label, y: read.summary().return_mean }),
                Err(error) => faults.push(format!("no line for the expert: {error}")),
            }
        }
        // Other options of a task give other returns.
        let env = &configs[0].env;
        if configs.iter().any(|config| config.env != *env) {
            faults.push(format!("no line for random actions: the runs have {task} with various options"));
            continue;
        }
        match Task::new(env).and_then(|mut task| random_return(&mut task)) {
            Ok(y) => lines.push(ReferenceLine { label: format!("{task}:random"), y }),
            Err(error) => faults.push(format!("no line for random actions: {error}")),
        }
    }
    Ok((lines, faults))
}

/// Task → the configs of its variants, one run of each, as seeds share all other settings.
fn configs(paths: &[PathBuf]) -> Result<BTreeMap<String, Vec<Config>>, AnalysisError> {
    let mut firsts: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for run in find_runs(paths)? {
        firsts.entry(variant_folder(&run)).or_insert(run);
    }
    let mut configs: BTreeMap<String, Vec<Config>> = BTreeMap::new();
    // A folder without a config, or with one of another version, is plotted without reference
    // lines.
    for config in firsts.values().filter_map(|run| Config::load_as_written(&run.join("config.yaml"), &[]).ok()) {
        configs.entry(config.env.id.clone()).or_default().push(config);
    }
    Ok(configs)
}

/// The mean return of actions drawn uniformly from the task's range, the same each time.
fn random_return(task: &mut Task) -> Result<f64, TaskError> {
    let streams = Streams::new(0);
    let mut actor = RandomActor { rng: streams.rng("random/actions") };
    let (mut episodes, mut steps) = (Vec::new(), 0);
    for index in 0..EPISODES {
        let episode = run_episode(task, &mut actor, streams.seed("random").wrapping_add(index), |_, _| {})?;
        episodes.push(episode);
        steps += episode.length;
        if steps >= STEPS {
            break;
        }
    }
    Ok(EvalSummary::of(&episodes).return_mean)
}

struct RandomActor {
    rng: StreamRng,
}

impl Actor for RandomActor {
    fn act_greedy(&mut self, _: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        if let Ok(range) = Uniform::new_inclusive(-1.0_f32, 1.0) {
            action.iter_mut().for_each(|x| *x = range.sample(&mut self.rng));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_replaces_those_of_its_name_and_task() {
        let replaced =
            |given| ["Ant-v5:expert", "Hopper-v5:expert", "Ant-v5:random"].map(|own| super::replaces(given, own));
        assert_eq!(replaced("expert"), [true, true, false]);
        assert_eq!(replaced("Ant-v5:expert"), [true, false, false]);
        assert_eq!(replaced("Ant-v5: random"), [false, false, true]);
        assert_eq!(replaced("paper"), [false; 3]);
    }
}
