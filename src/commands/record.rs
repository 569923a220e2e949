//! `liprl record`.

use std::path::Path;
use std::process::ExitCode;

use liprl_agents::AgentError;
use liprl_agents::demos::{DemoMeta, Demonstrations, Episode};
use liprl_agents::feedback::{ExpertPolicy, QueriedExpert};
use liprl_control::{ExpertConfig, MpcConfig};
use liprl_envs::EnvSpec;
use serde_json::{Map, Value, json};

use crate::cli::{ExpertKind, RecordArgs};
use crate::config::{Config, EnvConfig};
use crate::load::LoadedPolicy;
use crate::rollout::{Actor, run_episode, seeds};
use crate::task::Task;
use crate::terminal::{print, warn};
use crate::usage::Usage;

/// Records greedy episodes, or an expert's, in Minari's layout.
pub fn record(args: &RecordArgs) -> anyhow::Result<ExitCode> {
    super::demos::check_new_file(&args.out)?;
    let Recorded { task, env: env_config, episodes, about } = match args.expert {
        Some(kind) => by_expert(args, kind)?,
        None => by_policy(args)?,
    };
    if task.restarts() > 0 {
        let (times, out) = (task.restarts(), args.out.display());
        warn(format_args!(
            "the simulator started over {times} times; {out} holds steps that do not follow one another"
        ));
    }
    let env = task.env();
    let mut demonstrations = Demonstrations {
        meta: DemoMeta {
            env: Some(env.spec().clone()),
            wrappers: wrappers(env.spec()),
            observation_space: Some(env.observation_space().clone()),
            action_space: Some(env.action_space().clone()),
            ..DemoMeta::default()
        },
        episodes,
        ..Demonstrations::default()
    };
    let summary = demonstrations.summary();
    let extra = &mut demonstrations.meta.extra;
    extra.insert("program".to_owned(), json!(concat!("liprl ", env!("CARGO_PKG_VERSION"))));
    extra.extend(about);
    extra.insert("return_mean".to_owned(), json!(summary.return_mean));
    extra.insert("return_std".to_owned(), json!(summary.return_std));
    demonstrations.write(&args.out)?;
    print(&format!(
        "{}: {} episodes of {}, return {:.1} ± {:.1}\n",
        args.out.display(),
        args.episodes,
        env_config.id,
        summary.return_mean,
        summary.return_std
    ))
}

/// Wrappers around an environment in Python, as Gymnasium describes them.
fn wrappers(spec: &EnvSpec) -> Vec<Value> {
    let all = spec.python.iter().flat_map(|python| &python.config.wrappers);
    all.map(|wrapper| {
        let class = &wrapper.class;
        let entry = if class.contains(':') { class.clone() } else { format!("gymnasium.wrappers:{class}") };
        json!({ "name": wrapper.name(), "entry_point": entry, "kwargs": wrapper.kwargs })
    })
    .collect()
}

/// Recorded episodes with their task and origin.
struct Recorded {
    task: Task,
    env: EnvConfig,
    episodes: Vec<Episode>,
    about: Map<String, Value>,
}

fn by_policy(args: &RecordArgs) -> anyhow::Result<Recorded> {
    let LoadedPolicy { mut task, mut policy, env, agent, config, origin, step } =
        super::open_policy(&args.run)?.runnable()?;
    let episodes = episodes(args, &mut task, &mut policy, |_| ())?;
    let about = json!({
        "algorithm_name": agent, "checkpoint": relative(&origin), "checkpoint_step": step, "config": config,
    });
    Ok(Recorded { task, env, episodes, about: object(about) })
}

fn by_expert(args: &RecordArgs, kind: ExpertKind) -> anyhow::Result<Recorded> {
    // The demonstrations that it names may be those to record.
    let config = Config::load_as_written(&args.run, &[]).map_err(|error| match super::sweep_instead(&args.run) {
        Some(usage) => usage.into(),
        None => anyhow::Error::from(error),
    })?;
    let (mut task, env) = (Task::new(&config.env)?, config.env);
    let (name, expert) = match kind {
        ExpertKind::Lqr => ("lqr", ExpertConfig::Lqr),
        ExpertKind::Mpc => ("mpc", ExpertConfig::Mpc(MpcConfig::default())),
    };
    let unknown = || Usage(format!("{} has no equations that an expert could be made from", env.id));
    let expert = expert.build(task.env().model().ok_or_else(unknown)?)?;
    let mut actor = ExpertPolicy::new(expert, task.env())?;
    let episodes = episodes(args, &mut task, &mut actor, ExpertPolicy::begin)?;
    Ok(Recorded { task, env, episodes, about: object(json!({ "algorithm_name": name })) })
}

/// Runs and records the episodes; `begin` is called before each.
fn episodes<A: Actor>(
    args: &RecordArgs,
    task: &mut Task,
    actor: &mut A,
    mut begin: impl FnMut(&mut A),
) -> anyhow::Result<Vec<Episode>> {
    let mut episodes = Vec::new();
    for seed in seeds(args.seed, args.episodes) {
        let mut recorded = Episode::default();
        begin(actor);
        run_episode(task, actor, seed, |task, step| match step {
            None => recorded = Episode::begin(Some(seed), task.raw_obs(), task.env().info()),
            Some(step) => recorded.push(task.raw_action(), step, task.raw_obs(), task.env().info()),
        })?;
        episodes.push(recorded);
    }
    Ok(episodes)
}

impl Actor for ExpertPolicy {
    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        self.act(obs, action)
    }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// The path relative to the current folder if it lies below it, so that it means something on other
/// machines too.
fn relative(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}
