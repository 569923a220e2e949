//! Observation normalisation between agents and their learner, and the learner's networks for
//! export: its policy by itself, its weights by name, its critics for certificates.

use liprl_control::{Policy, certify::Certifiable};
use liprl_nets::optim::TrainState;
use liprl_numerics::RunningNormaliser;

use super::{Learner, NormaliseConfig, certify::critics_to_certify};
use crate::{AgentError, Batch, replay::f32_slice_mut};

/// Writes `obs` as the learner sees it into `obs_norm`.
pub(crate) fn normalise_obs(normaliser: Option<&RunningNormaliser>, obs: &[f32], obs_norm: &mut Vec<f32>) {
    obs_norm.clear();
    obs_norm.extend_from_slice(obs);
    if let Some(normaliser) = normaliser {
        normaliser.apply(obs_norm);
    }
}

/// Turns the batch's observations into what the learner sees.
pub(crate) fn normalise_batch(normaliser: Option<&RunningNormaliser>, batch: &mut Batch) -> Result<(), AgentError> {
    if let Some(normaliser) = normaliser {
        normaliser.apply(f32_slice_mut(&mut batch.obs)?);
        normaliser.apply(f32_slice_mut(&mut batch.next_obs)?);
    }
    Ok(())
}

/// The learner's policy, fed with what `normaliser`, made with `config`, makes of observations
/// `[O]`; actions are `[A]`. A policy with a constant by construction states it in the
/// environment's units, if `action_unit` says how many of those an action of 1 is at most.
pub(crate) fn policy(
    learner: &dyn Learner,
    normaliser: Option<&RunningNormaliser>,
    config: Option<NormaliseConfig>,
    (obs_dim, act_dim): (usize, usize),
    action_unit: Option<f64>,
) -> Result<Policy, AgentError> {
    let actor = learner.actor();
    let normaliser = normaliser.map(|normaliser| normaliser.broadcast(obs_dim));
    let steepest = normaliser.as_ref().map_or(1.0, |n| n.scale().iter().copied().fold(0.0, f64::max));
    let normaliser = normaliser.zip(config.map(NormaliseConfig::options));
    let mut policy = Policy::new(&actor.mlps()[0], actor.params().to_vec()?, act_dim, normaliser);
    if let (Some(unit), Some(certified)) = (action_unit, actor.certified()?) {
        // tanh and the clip of standardised observations have slopes of at most 1.
        let constant = serde_json::json!({
            "certified": certified[0] * steepest * unit,
            "constraint": "by_construction",
            "units": "the environment's, Euclidean",
        });
        policy.about_mut().insert("lipschitz".into(), constant);
    }
    Ok(policy)
}

/// The largest half-width of actions, environment units, empty for ones: the most that an action of
/// 1 is worth.
pub(crate) fn action_unit(half_width: &[f64]) -> f64 {
    half_width.iter().copied().reduce(f64::max).unwrap_or(1.0)
}

/// The learner's critics for certificates, fed with what `normaliser` makes of observations `[O]`
/// and with actions `[A]`.
pub(crate) fn critics(
    learner: &dyn Learner,
    normaliser: Option<&RunningNormaliser>,
    dims: (usize, usize),
) -> Result<Vec<Certifiable>, AgentError> {
    let normaliser = normaliser.map(|normaliser| normaliser.broadcast(dims.0));
    critics_to_certify(learner.critics(), normaliser.as_ref(), dims)
}

/// Weights for TensorBoard, `weights/<network>/<name>`, of actor and critics.
pub(crate) fn weights(learner: &dyn Learner) -> Result<Vec<(String, Vec<f32>)>, AgentError> {
    let mut all = named("actor", learner.actor())?;
    all.extend(named("critic", learner.critics().networks())?);
    Ok(all)
}

fn named(network: &str, trained: &TrainState) -> Result<Vec<(String, Vec<f32>)>, AgentError> {
    let named = trained.named()?.into_iter();
    Ok(named.map(|(name, values)| (format!("weights/{network}/{name}"), values)).collect())
}
