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
use crate::rollout::{Actor, seeds, watch_episode};
use crate::task::Task;
use crate::terminal::{print, warn};
use crate::usage::Usage;
use crate::video::{Film, VideoFile};

/// Records greedy episodes, or an expert's, in Minari's layout.
pub fn record(args: &RecordArgs) -> anyhow::Result<ExitCode> {
    super::demos::check_new_file(&args.out)?;
    let video = args.video.as_deref().map(VideoFile::check).transpose()?;
    let Recorded { task, env: env_config, episodes, about, told } = match args.expert {
        Some(kind) => by_expert(args, kind, video)?,
        None => by_policy(args, video)?,
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
        "{}: {} episodes of {}, return {:.1} ± {:.1}\n{told}",
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
    /// The line about the video.
    told: String,
}

fn by_policy(args: &RecordArgs, video: Option<VideoFile>) -> anyhow::Result<Recorded> {
    let LoadedPolicy { mut task, mut policy, env, agent, config, origin, step } =
        super::open_policy(&args.run)?.runnable()?;
    let (episodes, told) = filmed(args, video, &mut task, &mut policy, |_| ())?;
    let about = json!({
        "algorithm_name": agent, "checkpoint": relative(&origin), "checkpoint_step": step, "config": config,
    });
    Ok(Recorded { task, env, episodes, about: object(about), told })
}

fn by_expert(args: &RecordArgs, kind: ExpertKind, video: Option<VideoFile>) -> anyhow::Result<Recorded> {
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
    let (episodes, told) = filmed(args, video, &mut task, &mut actor, ExpertPolicy::begin)?;
    Ok(Recorded { task, env, episodes, about: object(json!({ "algorithm_name": name })), told })
}

/// Runs and records the episodes, and films the first if a video is wanted; returns the line about it.
fn filmed<A: Actor>(
    args: &RecordArgs,
    video: Option<VideoFile>,
    task: &mut Task,
    actor: &mut A,
    begin: impl FnMut(&mut A),
) -> anyhow::Result<(Vec<Episode>, String)> {
    let Some(video) = video else { return Ok((episodes(args, task, actor, begin, None)?, String::new())) };
    let fps = task.env().render_fps();
    let (episodes, clip) = video.film(fps, |film| episodes(args, task, actor, begin, Some(film)))?;
    Ok((episodes, video.tell(&clip) + "\n"))
}

/// Runs and records the episodes; `begin` is called before each. `film` sees the first.
fn episodes<A: Actor>(
    args: &RecordArgs,
    task: &mut Task,
    actor: &mut A,
    mut begin: impl FnMut(&mut A),
    mut film: Option<&mut Film>,
) -> anyhow::Result<Vec<Episode>> {
    let mut episodes = Vec::new();
    for seed in seeds(args.seed, args.episodes) {
        let mut recorded = Episode::default();
        begin(actor);
        watch_episode(task, actor, seed, |task, step| -> anyhow::Result<()> {
            match step {
                None => recorded = Episode::begin(Some(seed), task.raw_obs(), task.env().info()),
                Some(step) => recorded.push(task.raw_action(), step, task.raw_obs(), task.env().info()),
            }
            Ok(film.iter_mut().try_for_each(|film| film.watch(task))?)
        })?;
        film = None;
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
