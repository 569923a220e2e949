//! `liprl record`.

use std::path::Path;
use std::process::ExitCode;

use liprl_agents::demos::{DemoMeta, Demonstrations, Episode};
use serde_json::{Map, json};

use crate::Usage;
use crate::cli::RecordArgs;
use crate::rollout;
use crate::saved::Saved;

/// Records greedy episodes in Minari's layout.
pub fn record(args: &RecordArgs) -> anyhow::Result<ExitCode> {
    if args.out.exists() {
        return Err(Usage(format!("{} is there already; choose another name", args.out.display())).into());
    }
    let Saved { mut task, mut policy, env: env_config, agent, config, origin, step } = Saved::open(&args.run)?;
    let mut episodes = Vec::new();
    for index in 0..u64::from(args.episodes) {
        let seed = args.seed.wrapping_add(index);
        let mut recorded = Episode::default();
        rollout::episode(&mut task, &mut policy, seed, |task, step| match step {
            None => recorded = Episode::begin(Some(seed), task.raw_obs(), task.env().info()),
            Some(step) => recorded.push(task.raw_action(), step, task.raw_obs(), task.env().info()),
        })?;
        episodes.push(recorded);
    }
    let env = task.env();
    let mut demonstrations = Demonstrations {
        meta: DemoMeta {
            env: Some(env.spec().clone()),
            observation_space: Some(env.observation_space().clone()),
            action_space: Some(env.action_space().clone()),
            extra: Map::new(),
        },
        episodes,
    };
    let summary = demonstrations.summary();
    let extra = &mut demonstrations.meta.extra;
    extra.insert("algorithm_name".to_owned(), json!(agent));
    extra.insert("program".to_owned(), json!(concat!("liprl ", env!("CARGO_PKG_VERSION"))));
    extra.insert("checkpoint".to_owned(), json!(relative(&origin)));
    extra.insert("checkpoint_step".to_owned(), json!(step));
    extra.insert("config".to_owned(), json!(config));
    extra.insert("return_mean".to_owned(), json!(summary.return_mean));
    extra.insert("return_std".to_owned(), json!(summary.return_std));
    demonstrations.write(&args.out)?;
    super::print(&format!(
        "{}: {} episodes of {}, return {:.1} ± {:.1}\n",
        args.out.display(),
        args.episodes,
        env_config.id,
        summary.return_mean,
        summary.return_std
    ))
}

/// The path from the current folder on, where it lies below it: what a file says of its origin should mean something elsewhere too.
fn relative(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}
