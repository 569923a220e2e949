//! `liprl eval`.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::EvalArgs;
use crate::rollout::{self, Summary};
use crate::saved::Saved;

/// Runs a policy greedily and reports its returns.
pub fn eval(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    let Saved { mut task, mut policy, env, origin, step, .. } = Saved::open(&args.run)?;
    let episodes = (0..u64::from(args.episodes))
        .map(|index| rollout::episode(&mut task, &mut policy, args.seed.wrapping_add(index), |_, _| ()))
        .collect::<Result<Vec<_>, _>>()?;
    let summary = Summary::of(&episodes);
    if args.json {
        let report = json!({
            "env": env,
            "policy": origin,
            "step": step,
            "seed": args.seed,
            "return_mean": summary.return_mean,
            "return_std": summary.return_std,
            "length_mean": summary.length_mean,
            "episodes": episodes.iter().map(|e| json!({ "return": e.total, "length": e.length })).collect::<Vec<_>>(),
        });
        return super::print(&format!("{report:#}\n"));
    }
    super::print(&format!(
        "{}: return {:.1} ± {:.1} over {} episodes of {:.0} steps ({})\n",
        env.id,
        summary.return_mean,
        summary.return_std,
        args.episodes,
        summary.length_mean,
        origin.display()
    ))
}
