//! `liprl export`.

use std::process::ExitCode;

use anyhow::{Context, bail};
use liprl_logbook::check_output;
use serde_json::Value;

use crate::cli::{ActionUnits, ExportArgs};
use crate::export::{Parts, facts, write};
use crate::load::{LoadedPolicy, run_folder};
use crate::terminal::{print, rounded_up};
use crate::usage::Usage;

/// Writes a network policy in a format that other programs run.
pub fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    if !args.run.is_dir() && args.run.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
        return Err(Usage(format!(
            "{} is a config and holds no network, nor do its experts `lqr` and `mpc`; train with it (`agent: {{kind: feedback}}` imitates an expert), then name the run folder",
            args.run.display()
        ))
        .into());
    }
    let loaded = LoadedPolicy::open(&args.run)?;
    let origin = loaded.origin.display();
    if let (Ok(from), Ok(to)) = (loaded.origin.canonicalize(), args.out.canonicalize())
        && from == to
    {
        return Err(Usage(format!("--out {origin} is the policy itself; choose another name")).into());
    }
    check_output(&args.out)?;
    let unit = args.actions == ActionUnits::Unit;
    let Some(parts) = Parts::of(&loaded.policy, (!unit).then(|| loaded.task.action_range())) else {
        return Err(Usage(format!(
            "{origin} extends a table of actions (`constraint: {{kind: kirszbraun}}` or `graph`), which no layers of {} express; use it through `liprl eval` and `record`, or train with `constraint: {{kind: by_construction}}`",
            args.to.name()
        ))
        .into());
    };
    if !parts.finite() {
        bail!("{origin}: has numbers that are not finite, so that it cannot act; take an earlier checkpoint");
    }
    let provenance = run_folder(&args.run)?.map(|folder| folder.provenance()).transpose()?;
    let facts = facts(&loaded, provenance.as_ref(), unit);
    write((&parts, &loaded.policy), &facts, args.to, &args.out).with_context(|| args.out.display().to_string())?;
    let bound = facts.get("lipschitz_bound").and_then(Value::as_f64).map(rounded_up);
    let bound = bound.map_or_else(|| "not proven".to_owned(), |bound| format!("at most {bound}"));
    let (out, env) = (args.out.display(), &loaded.env.id);
    print(&format!(
        "{out}: policy of {origin} ({env}, step {}), {} → {}, Lipschitz constant {bound}\n",
        loaded.step,
        loaded.policy.obs_dim(),
        loaded.policy.act_dim()
    ))
}
