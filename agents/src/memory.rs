//! Memory that an agent will need, estimated from its settings before anything is built.
//!
//! The parts are those that grow with settings: replay rows, parameters with their optimiser state,
//! and the numbers between the layers of a batch. Numbers take four bytes.

use crate::{
    AgentConfig,
    actor_critic::{OffPolicyConfig, SacConfig, Td3Config},
    feedback::{ConstraintConfig, FeedbackConfig},
    gail::{DiscriminatorInput, GailConfig, PolicyConfig, red::RedConfig},
    mbpo::{MbpoConfig, TerminationConfig},
    shaping::ForwardModelConfig,
};

/// Bytes of an f32.
const NUMBER: f64 = 4.0;
/// Copies of a network's parameters: values, Adam's two moments, one in another layout, and the
/// three of a checkpoint twice, as numbers and as a file. Gradients come on top, one a thread.
const COPIES: usize = 10;
/// Copies of a target network: itself, and the two of a checkpoint.
const TARGET: usize = 3;
/// Numbers that a pass and its derivatives keep for each unit and row.
const PER_UNIT: usize = 4;

/// Sizes that settings are multiplied by.
#[derive(Clone, Copy, Debug)]
pub struct MemorySizes {
    /// Numbers in an observation.
    pub obs_dim: usize,
    /// Numbers in an action.
    pub act_dim: usize,
    /// Threads of an update.
    pub threads: usize,
    /// Environment steps of the run: a replay buffer is not fuller.
    pub steps: u64,
}

/// A part of the memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryPart {
    /// The setting that the part grows with, as in the YAML.
    pub setting: String,
    /// The part in words.
    pub what: &'static str,
    /// Bytes.
    pub bytes: f64,
    /// True if it lies on the device of the networks.
    pub on_device: bool,
}

/// Networks of one shape.
struct Networks<'a> {
    hidden: &'a [usize],
    inputs: usize,
    outputs: usize,
    count: usize,
    /// Copies of the parameters.
    copies: usize,
    /// Rows of a batch.
    rows: usize,
}

/// Parts of the memory that an agent will need, to be listed by its settings.
#[derive(Clone, Debug)]
pub struct MemoryParts {
    sizes: MemorySizes,
    parts: Vec<MemoryPart>,
}

impl MemoryParts {
    /// The parts of an agent.
    pub fn of(agent: &AgentConfig, sizes: MemorySizes) -> Vec<MemoryPart> {
        let mut parts = Self { sizes, parts: Vec::new() };
        agent.memory(&mut parts);
        parts.parts
    }

    /// The sizes that settings are multiplied by.
    pub fn sizes(&self) -> MemorySizes {
        self.sizes
    }

    /// Adds a part.
    pub fn add(&mut self, setting: String, what: &'static str, bytes: f64, on_device: bool) {
        self.parts.push(MemoryPart { setting, what, bytes, on_device });
    }

    /// Networks, and the numbers between their layers.
    fn networks(&mut self, at: &str, key: &str, of: &Networks<'_>) {
        let ends = of.hidden.iter().copied().chain([of.outputs]);
        let (mut parameters, mut before) = (0.0, of.inputs as f64);
        for units in ends.map(|units| units as f64) {
            parameters += (before + 1.0) * units;
            before = units;
        }
        let bytes = NUMBER * parameters * of.count as f64 * (of.copies + self.sizes.threads) as f64;
        self.add(format!("{at}.{key}"), "networks", bytes, true);
        let units = of.hidden.iter().sum::<usize>() + of.inputs + of.outputs;
        let numbers = units as f64 * (PER_UNIT * of.count) as f64 * of.rows as f64;
        self.add(format!("{at}.batch_size"), "batches", NUMBER * numbers, true);
    }

    /// A buffer of as many rows as the run will fill, besides its flags.
    fn replay(&mut self, setting: String, what: &'static str, capacity: usize, rows: f64, priorities: bool) {
        let width = 2 * self.sizes.obs_dim + self.sizes.act_dim + 1;
        let filled = NUMBER * rows.min(capacity as f64) * width as f64;
        let all = capacity as f64 * if priorities { 1.0 + 2.0 * NUMBER } else { 1.0 };
        self.add(setting, what, filled + all, false);
    }

    pub(crate) fn sac(&mut self, at: &str, config: &SacConfig) {
        self.actor_critic(at, &config.shared, (2 * self.sizes.act_dim, COPIES), (2, 1));
    }

    pub(crate) fn td3(&mut self, at: &str, config: &Td3Config) {
        let critics = if config.twin { 2 } else { 1 };
        self.actor_critic(
            at,
            &config.shared,
            (self.sizes.act_dim, COPIES + TARGET),
            (critics, config.critic_head.outputs()),
        );
    }

    /// Replay, a policy of so many outputs in so many copies, and so many critics of so many outputs.
    fn actor_critic(
        &mut self,
        at: &str,
        config: &OffPolicyConfig,
        (outputs, copies): (usize, usize),
        (count, values): (usize, usize),
    ) {
        let MemorySizes { obs_dim, act_dim, steps, .. } = self.sizes;
        let rows = config.batch_size;
        if let Some(shaping) = &config.shaping {
            shaping.memory(rows, self);
        }
        self.replay(
            format!("{at}.buffer_size"),
            "replay",
            config.buffer_size,
            steps as f64,
            config.priorities.is_some(),
        );
        let policy = Networks { hidden: &config.actor.hidden, inputs: obs_dim, outputs, count: 1, copies, rows };
        self.networks(at, "actor.hidden", &policy);
        // A target, in memory and in checkpoints.
        let (inputs, copies) = (obs_dim + act_dim, COPIES + TARGET);
        let critics = Networks { hidden: &config.critic.hidden, inputs, outputs: values, count, copies, rows };
        self.networks(at, "critic.hidden", &critics);
    }

    pub(crate) fn gail(&mut self, config: &GailConfig) {
        let MemorySizes { obs_dim, act_dim, .. } = self.sizes;
        let batch = match &config.policy {
            PolicyConfig::Sac(policy) => {
                self.sac("agent.policy", policy);
                policy.shared.batch_size
            }
            PolicyConfig::Td3(policy) => {
                self.td3("agent.policy", policy);
                policy.shared.batch_size
            }
        };
        let of = &config.discriminator;
        let inputs = obs_dim + if of.input == DiscriminatorInput::StateState { obs_dim } else { act_dim };
        // Rows of the expert and of the policy, and points of the penalty, which is derived twice.
        let rows = 4 * of.batch_size;
        self.networks(
            "agent.discriminator",
            "hidden",
            &Networks { hidden: &of.hidden, inputs, outputs: 1, count: 1, copies: COPIES, rows },
        );
        if let Some(shaping) = &config.shaping {
            shaping.memory(batch, self);
        }
        if let Some(model) = &config.monitor {
            self.forward_model("agent.monitor", model, batch);
        }
        config.reward.memory(self);
    }

    /// A forward model that learns from `batch` rows at once.
    pub(crate) fn forward_model(&mut self, at: &str, model: &ForwardModelConfig, batch: usize) {
        let (inputs, outputs) = (self.sizes.obs_dim + self.sizes.act_dim, self.sizes.obs_dim);
        let of = Networks { hidden: &model.hidden, inputs, outputs, count: 1, copies: COPIES, rows: batch };
        self.networks(at, "hidden", &of);
    }

    pub(crate) fn red(&mut self, red: &RedConfig) {
        let (inputs, outputs, rows) = (self.sizes.obs_dim + self.sizes.act_dim, red.outputs, red.batch_size);
        let of = Networks { hidden: &red.hidden, inputs, outputs, count: 2, copies: COPIES, rows };
        self.networks("agent.reward", "hidden", &of);
    }

    pub(crate) fn mbpo(&mut self, config: &MbpoConfig) {
        let MemorySizes { obs_dim, act_dim, steps, .. } = self.sizes;
        self.sac("agent.policy", &config.policy);
        let model = &config.model;
        let predicted = obs_dim + 1;
        let (inputs, outputs) =
            (obs_dim + act_dim, if model.prediction.gaussian() { 2 * predicted } else { predicted });
        let (count, rows) = (model.members, model.batch_size);
        // Each member's best weights of a fit come on top.
        let of = Networks { hidden: &model.hidden, inputs, outputs, count, copies: COPIES + TARGET, rows };
        self.networks("agent.model", "hidden", &of);
        let real = steps.min(config.policy.shared.buffer_size as u64) as f64;
        let fitted = NUMBER * real * (inputs + predicted + count) as f64;
        self.add("agent.policy.buffer_size".to_owned(), "data of a fit", fitted, false);
        let length =
            [0, config.epoch(steps)].map(|epoch| config.rollout_length.at(epoch)).into_iter().max().unwrap_or(1);
        let imagined = (steps / config.refit_every + 1) as f64 * config.rollouts as f64 * length as f64;
        let setting = if config.model_buffer_size.is_some() { "model_buffer_size" } else { "rollouts" };
        let capacity = config.model_capacity(length);
        self.replay(format!("agent.{setting}"), "imagined transitions", capacity, imagined, false);
        if let TerminationConfig::Learned(of) = &config.termination {
            let (inputs, rows) = (2 * obs_dim + act_dim, of.batch_size);
            let of = Networks { hidden: &of.hidden, inputs, outputs: 1, count: 1, copies: COPIES, rows };
            self.networks("agent.termination", "hidden", &of);
        }
    }

    pub(crate) fn feedback(&mut self, config: &FeedbackConfig) {
        let MemorySizes { obs_dim, act_dim, .. } = self.sizes;
        let (inputs, outputs, rows) = (obs_dim, act_dim, config.batch_size);
        let of = Networks { hidden: &config.network.hidden, inputs, outputs, count: 1, copies: COPIES, rows };
        self.networks("agent", "network.hidden", &of);
        // Distances of all pairs, in f64.
        let pairs = |rows: usize| 2.0 * NUMBER * (rows as f64).powi(2);
        if let Some(rows) = config.oracle {
            self.add("agent.oracle".to_owned(), "pairs", pairs(rows), false);
        }
        if let ConstraintConfig::Kirszbraun { rows, .. } = config.constraint {
            self.add("agent.constraint.rows".to_owned(), "pairs", pairs(rows), false);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HOPPER: MemorySizes = MemorySizes { obs_dim: 11, act_dim: 3, threads: 1, steps: 1_000_000 };

    fn bytes(config: Value, sizes: MemorySizes, what: &str) -> f64 {
        let config: AgentConfig = serde_json::from_value(config).unwrap();
        MemoryParts::of(&config, sizes).iter().filter(|part| part.what == what).map(|part| part.bytes).sum()
    }

    #[test]
    fn parts_equal_hand_calculations() {
        // A million rows of 11 + 3 + 11 numbers and a reward, and a flag each.
        assert_eq!(bytes(json!({"kind": "sac"}), HOPPER, "replay"), 105e6);
        let short = MemorySizes { steps: 1000, ..HOPPER };
        assert_eq!(bytes(json!({"kind": "sac"}), short, "replay"), 104e3 + 1e6);
        // Policy 11 → 2 → 6 with 24 + 18 numbers, 11 times; critics 14 → 2 → 1 with 30 + 3, two of
        // them, 14 times.
        let small = json!({"kind": "sac", "actor": {"hidden": [2]}, "critic": {"hidden": [2]}});
        assert_eq!(bytes(small, HOPPER, "networks"), 4.0 * (42.0 * 11.0 + 66.0 * 14.0));
        let wide = json!({"kind": "td3", "critic": {"hidden": [65536, 65536]}});
        assert!(bytes(wide, HOPPER, "networks") > 4.0 * 14.0 * 2.0 * 65536.0_f64.powi(2));
    }

    #[test]
    fn an_ensemble_counts_each_member_and_its_rollouts() {
        let of = |members: usize| {
            let model = json!({"members": members, "elites": 1, "hidden": [200, 200]});
            bytes(json!({"kind": "mbpo", "model": model}), HOPPER, "networks")
        };
        assert!((of(7) - of(5) - (of(5) - of(3))).abs() < 1.0 && of(7) > of(3));
        // Four fits an epoch of 100,000 transitions each, kept for one epoch.
        assert_eq!(bytes(json!({"kind": "mbpo"}), HOPPER, "imagined transitions"), 400_000.0 * 105.0);
    }
}
