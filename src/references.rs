//! What a curve of returns is measured by: the demonstrator's return and that of random actions, from the runs' own configs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use liprl_agents::{AgentError, demos::Demonstrations};
use liprl_analysis::{AnalysisError, ReferenceLine, find_runs, variant_folder};
use liprl_numerics::{StreamRng, Streams};
use rand_distr::{Distribution, Uniform};

use crate::{
    config::Config,
    rollout::{self, Actor, Summary},
    task::{Task, TaskError},
};

/// Metrics that are undiscounted returns of whole episodes.
const RETURNS: [&str; 2] = ["eval/return_mean", "train/return_mean"];
/// Random actions are tried until either is reached.
const EPISODES: u64 = 10;
const STEPS: u32 = 5000;

/// The lines of the tasks that the runs below some paths are of, `<task>:expert` and `<task>:random`, where the metric is a return; and what kept
/// some from being drawn. The expert is the mean return of the demonstrations that the configs name, random that of uniform actions.
///
/// # Errors
/// When there is no run there.
pub fn references(paths: &[PathBuf], metric: &str) -> Result<(Vec<ReferenceLine>, Vec<String>), AnalysisError> {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    if paths.is_empty() || !RETURNS.contains(&metric) {
        return Ok((lines, faults));
    }
    for (task, configs) in configs(paths)? {
        let files: BTreeSet<PathBuf> =
            configs.iter().filter_map(|config| Some(config.agent.demonstrations()?.to_owned())).collect();
        for file in &files {
            let label = match (files.len(), file.file_stem()) {
                (2.., Some(stem)) => format!("{task}:expert {}", stem.to_string_lossy()),
                _ => format!("{task}:expert"),
            };
            match Demonstrations::read(file, None) {
                Ok(read) => lines.push(ReferenceLine { label, y: read.summary().return_mean }),
                Err(error) => faults.push(format!("no line for the expert: {error}")),
            }
        }
        // Of a task with other options the returns are others.
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

/// Task → the configs of its variants, one run of each: seeds share the rest.
fn configs(paths: &[PathBuf]) -> Result<BTreeMap<String, Vec<Config>>, AnalysisError> {
    let mut firsts: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for run in find_runs(paths)? {
        firsts.entry(variant_folder(&run)).or_insert(run);
    }
    let mut configs: BTreeMap<String, Vec<Config>> = BTreeMap::new();
    // A folder without a config, or with one this program does not know, is a log by itself.
    for config in firsts.values().filter_map(|run| Config::load(&run.join("config.yaml"), &[]).ok()) {
        configs.entry(config.env.id.clone()).or_default().push(config);
    }
    Ok(configs)
}

/// The mean return of actions drawn uniformly from the task's range, the same each time.
pub fn random_return(task: &mut Task) -> Result<f64, TaskError> {
    let streams = Streams::new(0);
    let mut actor = Random { rng: streams.rng("random/actions") };
    let (mut episodes, mut steps) = (Vec::new(), 0);
    for index in 0..EPISODES {
        let episode = rollout::episode(task, &mut actor, streams.seed("random").wrapping_add(index), |_, _| {})?;
        episodes.push(episode);
        steps += episode.length;
        if steps >= STEPS {
            break;
        }
    }
    Ok(Summary::of(&episodes).return_mean)
}

struct Random {
    rng: StreamRng,
}

impl Actor for Random {
    fn act_greedy(&mut self, _: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        if let Ok(range) = Uniform::new_inclusive(-1.0_f32, 1.0) {
            action.iter_mut().for_each(|x| *x = range.sample(&mut self.rng));
        }
        Ok(())
    }
}
