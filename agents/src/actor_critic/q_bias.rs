//! Bias of the critics' values at evaluations, for agents that learn from the environment's rewards as
//! they are.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `q_bias/mean` | mean of min Q(s, a) − G over the evaluation's pairs; G is the discounted return that followed there |
//! | `q_bias/std` | its standard deviation over them |
//! | `q_bias/return_mean` | mean of G |
//!
//! G is the greedy policy's and has no entropy bonus, both of which SAC's Q has. Pairs of an episode that
//! a time limit cut off too soon (γᵗ > 0.02) are left out; without any pair there is no such metric.

use liprl_nets::autograd::standardise;
use liprl_numerics::RunningNormaliser;
use tch::Tensor;

use super::Learner;
use crate::{AgentError, Visited};

/// Adds the bias of the critics' least value at the evaluation's pairs.
pub(crate) fn q_bias(
    visited: &Visited,
    gamma: f64,
    learner: &dyn Learner,
    normaliser: Option<&RunningNormaliser>,
    metrics: &mut Vec<(String, f64)>,
) -> Result<(), AgentError> {
    let returns = visited.returns(gamma);
    if returns.iter().all(Option::is_none) {
        return Ok(());
    }
    let actor = learner.actor();
    let device = actor.params().tensor().device();
    let rows = |numbers: &[f32], width: i64| Tensor::f_from_slice(numbers)?.f_view([-1, width])?.f_to(device);
    let obs = rows(&visited.obs, actor.mlps()[0].inputs() as i64)?;
    let action = rows(&visited.action, visited.action.len() as i64 / obs.size()[0])?;
    let least = tch::no_grad(|| {
        let seen = normaliser.map_or_else(|| Ok(obs.shallow_clone()), |normaliser| standardise(normaliser, &obs))?;
        let values = learner.critics().values(&seen, &action)?;
        Ok::<_, AgentError>(Tensor::f_stack(&values, 0)?.f_amin([0].as_slice(), false)?)
    })?;
    let values = Vec::<f64>::try_from(&least.f_to_kind(tch::Kind::Double)?)?;
    let known: Vec<(f64, f64)> = values.iter().zip(&returns).filter_map(|(q, g)| Some((*q, (*g)?))).collect();
    let n = known.len() as f64;
    let mean = known.iter().map(|(q, g)| q - g).sum::<f64>() / n;
    let variance = known.iter().map(|(q, g)| (q - g - mean).powi(2)).sum::<f64>() / n;
    metrics.push(("q_bias/mean".into(), mean));
    metrics.push(("q_bias/std".into(), variance.sqrt()));
    metrics.push(("q_bias/return_mean".into(), known.iter().map(|(_, g)| g).sum::<f64>() / n));
    Ok(())
}
