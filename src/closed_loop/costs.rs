//! B3 and B4 as bounds on the cost of a policy's episodes.

use liprl_control::bounds::Constant;

use super::bounds;
use super::policy::LoopPolicy;
use super::system::{LoopOptions, System};
use crate::load::LoadedPolicy;

/// An upper bound on the mean cost of the runs for each size of measurement errors: the expert's
/// cost plus the regret. `None` if no region holds its own tube, so that nothing is proven. `known`
/// is the policy's proven constant, in the environment's units; a smaller one that is found is
/// used.
///
/// The task must be a linear system. Its episodes are these runs if its time limit is
/// `options.horizon` steps.
///
/// # Errors
/// If the system has no stabilising feedback or the policy no certificate.
pub(crate) fn cost_bounds(
    loaded: &mut LoadedPolicy,
    options: LoopOptions,
    known: f64,
    sizes: &[f64],
) -> anyhow::Result<Vec<Option<f64>>> {
    let Some(model) = loaded.task.env().model().map(|model| model.boxed()) else { return Ok(vec![None; sizes.len()]) };
    let mut policy = LoopPolicy::new(loaded)?;
    let system = System::new(model, loaded, options)?;
    let (found, _) = policy.constant(options.time_limit)?;
    let alpha = if found.value < known { found } else { Constant::certified(known) };
    let expert = system.expert_cost();
    let mut all: Vec<(f64, Option<f64>)> = Vec::new();
    for &epsilon in sizes {
        if all.iter().all(|(size, _)| *size != epsilon) {
            let bounds = bounds::find(&system, &mut policy, alpha, epsilon, options)?;
            all.push((epsilon, bounds.ok().map(|bounds| expert + bounds.regret.value)));
        }
    }
    let of = |epsilon: f64| all.iter().find(|(size, _)| *size == epsilon).and_then(|(_, cost)| *cost);
    Ok(sizes.iter().map(|&epsilon| of(epsilon)).collect())
}
