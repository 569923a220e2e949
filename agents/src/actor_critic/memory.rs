//! Memory that an actor–critic needs.

use super::{OffPolicyConfig, SacConfig, Td3Config};
use crate::memory::{COPIES, MemoryParts, MemorySizes, NetworkSizes, TARGET};

/// SAC's replay and networks; the settings lie under `at`.
pub(crate) fn sac(parts: &mut MemoryParts, at: &str, config: &SacConfig) {
    actor_critic(parts, at, &config.shared, (2 * parts.sizes().act_dim, COPIES), (2, 1));
}

/// TD3's replay and networks; the settings lie under `at`.
pub(crate) fn td3(parts: &mut MemoryParts, at: &str, config: &Td3Config) {
    let critics = if config.twin { 2 } else { 1 };
    actor_critic(
        parts,
        at,
        &config.shared,
        (parts.sizes().act_dim, COPIES + TARGET),
        (critics, config.critic_head.outputs()),
    );
}

/// Replay, a policy of so many outputs in so many copies, and so many critics of so many outputs.
fn actor_critic(
    parts: &mut MemoryParts,
    at: &str,
    config: &OffPolicyConfig,
    (outputs, copies): (usize, usize),
    (count, values): (usize, usize),
) {
    let MemorySizes { obs_dim, act_dim, steps, .. } = parts.sizes();
    let rows = config.batch_size;
    if let Some(shaping) = &config.shaping {
        shaping.memory(rows, parts);
    }
    parts.replay(format!("{at}.buffer_size"), "replay", config.buffer_size, steps as f64, config.priorities.is_some());
    let policy = NetworkSizes { hidden: &config.actor.hidden, inputs: obs_dim, outputs, count: 1, copies, rows };
    parts.networks(at, "actor.hidden", &policy);
    // A target, in memory and in checkpoints.
    let (inputs, copies) = (obs_dim + act_dim, COPIES + TARGET);
    let critics = NetworkSizes { hidden: &config.critic.hidden, inputs, outputs: values, count, copies, rows };
    parts.networks(at, "critic.hidden", &critics);
}
