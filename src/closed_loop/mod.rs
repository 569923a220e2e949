//! `liprl certify --closed-loop`: the bounds B1 to B4 on a feedback policy in the loop, each beside what simulation met.
//!
//! | file | what |
//! | --- | --- |
//! | `acting` | the policy in f64 and the environment's units, and its constant |
//! | `setting` | the system, its expert u = −Kx, the region |
//! | `bounds` | the constants and what they come to |
//! | `simulate` | runs under random, constant and worst-case measurement errors |
//! | `report` | table and JSON |

mod acting;
mod bounds;
mod report;
mod setting;
mod simulate;

use std::process::ExitCode;

use crate::Usage;
use crate::cli::CertifyArgs;
use crate::saved::Saved;
use acting::Acting;
use setting::Setting;

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
    let mut acting = Acting::new(&saved)?;
    let setting = Setting::new(model, &mut saved, args)?;
    let mut sizes: Vec<f64> = args.epsilon.iter().copied().chain([0.0]).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let slope = acting.everywhere(args)?;
    let mut rows = Vec::new();
    for epsilon in sizes {
        let bounds = bounds::find(&setting, &mut acting, slope, epsilon, args)?;
        let met = simulate::run(&setting, &mut acting, epsilon, bounds.as_ref(), args)?;
        rows.push(report::Row { epsilon, bounds, met });
    }
    report::print(args, &saved, &setting, slope, &rows)
}
