//! Every kind of agent a config can name, and how each is built.

use std::path::{Path, PathBuf};

use crate::{
    Agent, AgentError, Setup, TaskContext,
    actor_critic::{self, Learner, OffPolicy, OffPolicyConfig, Sac, SacConfig, Td3, Td3Config},
    demos::DemonstrationsConfig,
    feedback::{self, ExpertConfig, Feedback, FeedbackConfig},
    gail::{self, GailConfig, LearnedReward, PolicyConfig},
    kinds::{Choice, Settings, part},
    mbpo::{self, Mbpo, MbpoConfig},
    memory::{MemoryPart, MemoryParts, MemorySizes},
};

/// The `agent:` part of a config: `kind` and that kind's own keys.
pub type AgentConfig = Choice<dyn AgentKind>;

/// Settings of a kind of agent.
pub trait AgentKind: Settings {
    /// The learner that the settings describe.
    fn build(&self, setup: &Setup, context: &TaskContext) -> Result<Box<dyn Agent>, AgentError>;

    /// The demonstrations it needs, for the caller to read: actions are scaled where the environment
    /// is known.
    fn demonstrations(&self) -> Option<&DemonstrationsConfig> {
        None
    }

    /// The demonstrations that it names, to be replaced.
    fn demonstrations_mut(&mut self) -> Option<&mut DemonstrationsConfig> {
        None
    }

    /// The files and folders that it names, by their settings. A dataset's id is not a path.
    fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        Vec::new()
    }

    /// The trained run it asks, for the caller to read as well: run folders are the caller's.
    fn expert(&self) -> Option<&Path> {
        None
    }

    /// Combinations of settings that are allowed and probably not meant, each as a sentence.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Adds the memory that the agent will need; none by default.
    fn memory(&self, _parts: &mut MemoryParts) {}
}

part!(AgentKind, "AgentConfig", "agent", "The `agent:` part of a config: `kind` and that kind's own keys.", {
    "sac": SacConfig,
    "td3": Td3Config,
    "gail": GailConfig,
    "mbpo": MbpoConfig,
    "feedback": FeedbackConfig,
});

impl AgentConfig {
    /// Parts of the memory that the agent will need.
    pub fn memory_parts(&self, sizes: MemorySizes) -> Vec<MemoryPart> {
        let mut parts = MemoryParts::new(sizes);
        self.memory(&mut parts);
        parts.into_vec()
    }
}

impl AgentKind for SacConfig {
    fn build(&self, setup: &Setup, context: &TaskContext) -> Result<Box<dyn Agent>, AgentError> {
        let sac = Box::new(Sac::new(self, setup)?);
        let agent = OffPolicy::new(sac, &self.shared, self.learning_starts, setup)?;
        Ok(Box::new(agent.in_units(&context.action_half_width)))
    }

    fn warnings(&self) -> Vec<String> {
        environment_warnings(&self.shared)
    }

    fn memory(&self, parts: &mut MemoryParts) {
        actor_critic::memory::sac(parts, "agent", self);
    }
}

impl AgentKind for Td3Config {
    fn build(&self, setup: &Setup, context: &TaskContext) -> Result<Box<dyn Agent>, AgentError> {
        let td3 = Box::new(Td3::new(self, setup)?);
        let agent = OffPolicy::new(td3, &self.shared, self.learning_starts, setup)?;
        Ok(Box::new(agent.in_units(&context.action_half_width)))
    }

    fn warnings(&self) -> Vec<String> {
        environment_warnings(&self.shared)
    }

    fn memory(&self, parts: &mut MemoryParts) {
        actor_critic::memory::td3(parts, "agent", self);
    }
}

impl AgentKind for GailConfig {
    fn build(&self, setup: &Setup, context: &TaskContext) -> Result<Box<dyn Agent>, AgentError> {
        let (shared, learning_starts) = self.policy_settings();
        let rewards = Box::new(LearnedReward::new(self, shared.gamma, context, setup)?);
        let beside = self.learns_beside(rewards.demonstrated_rows(), setup);
        // The discriminator has one thread, the learner the others.
        let of_learner = Setup { threads: if beside { setup.threads - 1 } else { setup.threads }, ..*setup };
        let learner: Box<dyn Learner> = match &self.policy_in_units(context)? {
            PolicyConfig::Td3(config) => Box::new(Td3::new(config, &of_learner)?),
            PolicyConfig::Sac(config) => Box::new(Sac::new(config, &of_learner)?),
        };
        let agent = OffPolicy::with_rewards(rewards, learner, &shared, learning_starts, setup)?;
        let agent = agent.in_units(&context.action_half_width);
        Ok(Box::new(if beside { agent.beside()? } else { agent }))
    }

    fn demonstrations(&self) -> Option<&DemonstrationsConfig> {
        self.demonstrations.as_ref()
    }

    fn demonstrations_mut(&mut self) -> Option<&mut DemonstrationsConfig> {
        self.demonstrations.as_mut()
    }

    fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        file_of(self.demonstrations.as_mut()).into_iter().collect()
    }

    fn warnings(&self) -> Vec<String> {
        let warning = self.shaping.as_ref().and_then(|shaping| shaping.warning(self.reward.can_be_negative()));
        warning.into_iter().collect()
    }

    fn memory(&self, parts: &mut MemoryParts) {
        gail::memory::gail(parts, self);
    }
}

impl AgentKind for MbpoConfig {
    fn build(&self, setup: &Setup, context: &TaskContext) -> Result<Box<dyn Agent>, AgentError> {
        Ok(Box::new(Mbpo::new(self, setup, context)?))
    }

    fn warnings(&self) -> Vec<String> {
        environment_warnings(&self.policy.shared)
    }

    fn memory(&self, parts: &mut MemoryParts) {
        mbpo::memory::mbpo(parts, self);
    }
}

impl AgentKind for FeedbackConfig {
    fn build(&self, setup: &Setup, context: &TaskContext) -> Result<Box<dyn Agent>, AgentError> {
        Ok(Box::new(Feedback::new(self, setup, context)?))
    }

    fn demonstrations(&self) -> Option<&DemonstrationsConfig> {
        self.demonstrations.as_ref()
    }

    fn demonstrations_mut(&mut self) -> Option<&mut DemonstrationsConfig> {
        self.demonstrations.as_mut()
    }

    fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let expert = match &mut self.expert {
            Some(ExpertConfig::Run { path }) => Some(("agent.expert.path", path)),
            _ => None,
        };
        file_of(self.demonstrations.as_mut()).into_iter().chain(expert).collect()
    }

    fn expert(&self) -> Option<&Path> {
        match &self.expert {
            Some(ExpertConfig::Run { path }) => Some(path),
            _ => None,
        }
    }

    fn memory(&self, parts: &mut MemoryParts) {
        feedback::memory::feedback(parts, self);
    }
}

/// Warnings of a shaping of the environment's reward, whose sign nobody knows.
fn environment_warnings(shared: &OffPolicyConfig) -> Vec<String> {
    shared.shaping.as_ref().and_then(|shaping| shaping.warning(true)).into_iter().collect()
}

/// The file of demonstrations, by its setting.
fn file_of(demonstrations: Option<&mut DemonstrationsConfig>) -> Option<(&'static str, &mut PathBuf)> {
    Some(("agent.demonstrations", demonstrations?.file_mut()?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HOPPER: MemorySizes = MemorySizes { obs_dim: 11, act_dim: 3, threads: 1, steps: 1_000_000 };

    fn bytes(config: Value, sizes: MemorySizes, what: &str) -> f64 {
        let config: AgentConfig = serde_json::from_value(config).unwrap();
        config.memory_parts(sizes).iter().filter(|part| part.what == what).map(|part| part.bytes).sum()
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
