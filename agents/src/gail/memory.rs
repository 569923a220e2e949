//! Memory that imitation needs.

use super::{DiscriminatorInput, GailConfig, PolicyConfig, red::RedConfig};
use crate::{
    actor_critic::memory::{sac, td3},
    memory::{COPIES, MemoryParts, MemorySizes, NetworkSizes},
    shaping::forward_model,
};

/// The learner, the discriminator and models beside them.
pub(crate) fn gail(parts: &mut MemoryParts, config: &GailConfig) {
    let MemorySizes { obs_dim, act_dim, .. } = parts.sizes();
    let batch = match &config.policy {
        PolicyConfig::Sac(policy) => {
            sac(parts, "agent.policy", policy);
            policy.shared.batch_size
        }
        PolicyConfig::Td3(policy) => {
            td3(parts, "agent.policy", policy);
            policy.shared.batch_size
        }
    };
    let of = &config.discriminator;
    let inputs = obs_dim + if of.input == DiscriminatorInput::StateState { obs_dim } else { act_dim };
    // Rows of the expert and of the policy, and points of the penalty, which is derived twice.
    let rows = 4 * of.batch_size;
    parts.networks(
        "agent.discriminator",
        "hidden",
        &NetworkSizes { hidden: &of.hidden, inputs, outputs: 1, count: 1, copies: COPIES, rows },
    );
    if let Some(shaping) = &config.shaping {
        shaping.memory(batch, parts);
    }
    if let Some(model) = &config.monitor {
        forward_model(parts, "agent.monitor", model, batch);
    }
    config.reward.memory(parts);
}

/// The two networks of random expert distillation.
pub(super) fn red(parts: &mut MemoryParts, red: &RedConfig) {
    let (inputs, outputs, rows) = (parts.sizes().obs_dim + parts.sizes().act_dim, red.outputs, red.batch_size);
    let of = NetworkSizes { hidden: &red.hidden, inputs, outputs, count: 2, copies: COPIES, rows };
    parts.networks("agent.reward", "hidden", &of);
}
