//! `liprl certify --closed-loop`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::CertifyArgs;
use crate::closed_loop::{LoopOptions, LoopStudy};
use crate::terminal::print;
use crate::usage::Usage;

/// Bounds and simulates a policy's closed loop. A run that breaks a proven bound is an error.
pub(super) fn certify(args: &CertifyArgs, run: &Path) -> anyhow::Result<ExitCode> {
    let mut loaded = super::open_policy(run)?.runnable()?;
    let Some(model) = loaded.task.env().model().map(|model| model.boxed()) else {
        let id = &loaded.env.id;
        let problem =
            format!("{id} has no equations to bound its loop by; `liprl envs` lists the systems with equations");
        return Err(Usage(problem).into());
    };
    let options = LoopOptions {
        runs: args.runs,
        horizon: args.horizon,
        seed: args.seed,
        time_limit: Duration::from_secs_f64(args.time_limit.unwrap_or(10.0)),
        all_starts: true,
    };
    let mut sizes: Vec<f64> = args.epsilon.iter().copied().chain([0.0]).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let study = LoopStudy::new(&mut loaded, model, options, &sizes)?;
    let text = if args.json { format!("{:#}\n", study.to_json(&loaded)?) } else { study.to_text(&loaded)? };
    let code = print(&text)?;
    study.check()?;
    Ok(code)
}
