//! Memory that a model-based agent needs.

use super::{MbpoConfig, TerminationConfig};
use crate::{
    actor_critic::memory::sac,
    memory::{COPIES, MemoryParts, MemorySizes, NUMBER, NetworkSizes, TARGET},
};

/// The learner, the models with their data, and the imagined transitions.
pub(crate) fn mbpo(parts: &mut MemoryParts, config: &MbpoConfig) {
    let MemorySizes { obs_dim, act_dim, steps, .. } = parts.sizes();
    sac(parts, "agent.policy", &config.policy);
    let model = &config.model;
    let predicted = obs_dim + 1;
    let (inputs, outputs) = (obs_dim + act_dim, if model.prediction.gaussian() { 2 * predicted } else { predicted });
    let (count, rows) = (model.members, model.batch_size);
    // Each member's best weights of a fit come on top.
    let of = NetworkSizes { hidden: &model.hidden, inputs, outputs, count, copies: COPIES + TARGET, rows };
    parts.networks("agent.model", "hidden", &of);
    let real = steps.min(config.policy.shared.buffer_size as u64) as f64;
    let fitted = NUMBER * real * (inputs + predicted + count) as f64;
    parts.add("agent.policy.buffer_size".to_owned(), "data of a fit", fitted, false);
    let length = [0, config.epoch(steps)].map(|epoch| config.rollout_length.at(epoch)).into_iter().max().unwrap_or(1);
    let imagined = (steps / config.refit_every + 1) as f64 * config.rollouts as f64 * length as f64;
    let setting = if config.model_buffer_size.is_some() { "model_buffer_size" } else { "rollouts" };
    let capacity = config.model_capacity(length);
    parts.replay(format!("agent.{setting}"), "imagined transitions", capacity, imagined, false);
    if let TerminationConfig::Learned(of) = &config.termination {
        let (inputs, rows) = (2 * obs_dim + act_dim, of.batch_size);
        let of = NetworkSizes { hidden: &of.hidden, inputs, outputs: 1, count: 1, copies: COPIES, rows };
        parts.networks("agent.termination", "hidden", &of);
    }
}
