//! `liprl certify --closed-loop`: the bounds B1 to B4 on a feedback policy in the loop, each beside what simulation met; and for
//! `liprl tradeoff` the same bounds as costs.
//!
//! | file | what |
//! | --- | --- |
//! | `acting` | the policy in f64 and the environment's units, and its constant |
//! | `setting` | the system, its expert u = −Kx, its loops |
//! | `region` | where the bounds hold |
//! | `bounds` | the constants and what they come to |
//! | `simulate` | runs under random, constant and worst-case measurement errors |
//! | `report` | table and JSON |
//! | `costs` | at most what episodes from given starts cost on a linear system |

mod acting;
mod bounds;
mod costs;
mod region;
mod report;
mod setting;
mod simulate;

use std::process::ExitCode;
use std::time::Duration;

use crate::Usage;
use crate::cli::CertifyArgs;
use crate::saved::Saved;
use acting::Acting;
pub(crate) use costs::cost_bounds;
use setting::Setting;

/// The runs that bounds are for, and how long one bound may be looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Starts, those of the task's episodes.
    pub(crate) runs: u32,
    /// Steps of a run.
    pub(crate) horizon: u32,
    /// Seed of the first start; the others follow.
    pub(crate) seed: u64,
    /// For each constant of the policy.
    pub(crate) time_limit: Duration,
}

/// Bounds and simulates.
///
/// # Errors
/// Where the environment has no equations or no stabilising feedback; where a run broke a certified bound.
pub(crate) fn certify(args: &CertifyArgs) -> anyhow::Result<ExitCode> {
    let mut saved = Saved::open(&args.run)?;
    let Some(model) = saved.task.env().model().map(|model| model.boxed()) else {
        let id = &saved.env.id;
        let problem = format!("{id} has no equations to bound its loop by; `liprl envs` lists the systems that have");
        return Err(Usage(problem).into());
    };
    let asked = Asked {
        runs: args.runs,
        horizon: args.horizon,
        seed: args.seed,
        time_limit: Duration::from_secs_f64(args.time_limit),
    };
    let mut acting = Acting::new(&saved)?;
    let setting = Setting::new(model, &mut saved, asked)?;
    let mut sizes: Vec<f64> = args.epsilon.iter().copied().chain([0.0]).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let slope = acting.everywhere(asked.time_limit)?;
    let mut rows = Vec::new();
    for epsilon in sizes {
        let bounds = bounds::find(&setting, &mut acting, slope.0, epsilon, asked)?;
        let met = simulate::run(&setting, &mut acting, epsilon, bounds.as_ref().ok(), asked)?;
        rows.push(report::Row { epsilon, bounds, met });
    }
    report::print(args, &saved, &setting, slope, &rows)
}
