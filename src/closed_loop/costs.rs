//! B3 and B4 as bounds on what a policy's episodes cost.

use liprl_control::bounds::Constant;

use super::{Asked, acting::Acting, bounds, setting::Setting};
use crate::saved::Saved;

/// What the runs cost at most, in the mean, under measurement errors of each of these sizes: the expert's cost and the regret. None where no region holds
/// its own tube, so that nothing is proven. `known` is the policy's proven constant, in the environment's units; a smaller one that is found is used.
///
/// The task must be a linear system. Episodes that its own time limit ends after `asked.horizon` steps are these runs.
///
/// # Errors
/// Where the system has no stabilising feedback or the policy no certificate.
pub(crate) fn cost_bounds(
    saved: &mut Saved,
    asked: Asked,
    known: f64,
    sizes: &[f64],
) -> anyhow::Result<Vec<Option<f64>>> {
    let Some(model) = saved.task.env().model().map(|model| model.boxed()) else { return Ok(vec![None; sizes.len()]) };
    let mut acting = Acting::new(saved)?;
    let setting = Setting::new(model, saved, asked)?;
    let (found, _) = acting.everywhere(asked.time_limit)?;
    let alpha = if found.value < known { found } else { Constant::certified(known) };
    let expert = setting.expert_cost();
    let mut all: Vec<(f64, Option<f64>)> = Vec::new();
    for &epsilon in sizes {
        if all.iter().all(|(size, _)| *size != epsilon) {
            let bounds = bounds::find(&setting, &mut acting, alpha, epsilon, asked)?;
            all.push((epsilon, bounds.ok().map(|bounds| expert + bounds.regret.value)));
        }
    }
    let of = |epsilon: f64| all.iter().find(|(size, _)| *size == epsilon).and_then(|(_, cost)| *cost);
    Ok(sizes.iter().map(|&epsilon| of(epsilon)).collect())
}
