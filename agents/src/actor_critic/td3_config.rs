//! TD3's settings, and DDPG's as its switches. Sources: [F] Fujimoto et al. 2018, "Addressing
//! Function Approximation Error in Actor-Critic Methods" (arXiv 1802.09477), section 6.1; [C] its
//! authors' code (TD3, 2020); [L] the authors' code of arXiv 2006.16785.

use garde::Validate;
use liprl_nets::NetworkConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CriticHead, CriticsKind, OffPolicyConfig, config::ParameterNoise};
use crate::ActionNoise;

/// Twin delayed deep deterministic policy gradient. DDPG is
/// `twin: false, policy_delay: 1, target_noise: 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Td3Config {
    /// Settings that SAC has too.
    #[serde(flatten)]
    #[garde(dive(&self.kind()))]
    pub shared: OffPolicyConfig,
    /// Environment steps of uniformly random actions before the first update. Default `25_000` [C].
    pub learning_starts: u64,
    /// Critic updates to one update of the actor, or rounds to one in which it learns. Default `2`
    /// [F].
    #[garde(range(min = 1))]
    pub policy_delay: u64,
    /// Unit of `policy_delay`. Default `updates` [F].
    pub delay_counts: DelayCounts,
    /// When the target networks move. Default `delayed` [F].
    pub target_updates: TargetUpdates,
    /// Two critics rather than one. Default `true` [F].
    pub twin: bool,
    /// Output of each critic: its value, or a distribution of returns, which takes `twin: false`.
    /// Default `{kind: scalar}` [F].
    #[garde(dive, custom(has_one_critic(self.twin)))]
    pub critic_head: CriticHead,
    /// Rule that makes one value of two target critics. Default `minimum` [F].
    #[garde(dive)]
    pub backup: Backup,
    /// Standard deviation of the noise on the target policy's actions, in `[-1, 1]` units. Default
    /// `0.2` [F].
    #[garde(range(min = 0.0))]
    pub target_noise: f64,
    /// That noise is clipped to ± this. Default `0.5` [F].
    #[garde(range(min = 0.0))]
    pub target_noise_clip: f64,
    /// Noise on the actions of training. Default `{kind: gaussian, std: 0.1}` [F].
    #[garde(dive)]
    pub action_noise: ActionNoise,
    /// Adaptive noise on the acting policy's weights. Default: none.
    #[garde(dive, custom(has_plain_weights(&self.shared.actor)))]
    pub parameter_noise: Option<ParameterNoise>,
}

impl Default for Td3Config {
    fn default() -> Self {
        Self {
            shared: OffPolicyConfig::default(),
            learning_starts: 25_000,
            policy_delay: 2,
            delay_counts: DelayCounts::Updates,
            target_updates: TargetUpdates::Delayed,
            twin: true,
            critic_head: CriticHead::Scalar,
            backup: Backup::Minimum,
            target_noise: 0.2,
            target_noise_clip: 0.5,
            action_noise: ActionNoise::Gaussian { std: 0.1 },
            parameter_noise: None,
        }
    }
}

fn has_plain_weights(actor: &NetworkConfig) -> impl FnOnce(&Option<ParameterNoise>, &()) -> garde::Result {
    let plain = actor.lipschitz.is_none() && actor.weight_constraint.is_none();
    move |noise, _| match noise {
        Some(_) if !plain => Err(garde::Error::new(
            "moves weights past the actor's constant: take `action_noise`, or leave `lipschitz` and `weight_constraint` out",
        )),
        _ => Ok(()),
    }
}

fn has_one_critic(twin: bool) -> impl FnOnce(&CriticHead, &()) -> garde::Result {
    move |head, _| match head {
        CriticHead::Categorical(_) | CriticHead::Quantile(_) if twin => Err(garde::Error::new(format!(
            "{}, which takes one critic: put `twin: false` beside it, or take the scalar head",
            head.name()
        ))),
        _ => Ok(()),
    }
}

impl Td3Config {
    fn kind(&self) -> CriticsKind {
        CriticsKind { head: self.critic_head, stochastic_policy: false }
    }

    /// True if the actor learns in the update after `done` others.
    pub fn actor_learns(&self, done: u64) -> bool {
        match self.delay_counts {
            DelayCounts::Updates => (done + 1).is_multiple_of(self.policy_delay),
            DelayCounts::Rounds => (done / self.shared.updates).is_multiple_of(self.policy_delay),
        }
    }
}

/// The unit of the policy delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DelayCounts {
    /// Updates: the actor learns in the last of every `policy_delay` [F].
    #[default]
    Updates,
    /// Rounds of `updates`: the actor learns in the first of every `policy_delay` rounds.
    /// It learns in every update of that round, and in none of the others [L].
    Rounds,
}

/// When the target networks move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetUpdates {
    /// When the actor learns [F], [C].
    #[default]
    Delayed,
    /// In every update [L].
    EveryUpdate,
}

/// One value from two target critics: w·min + (1 − w)·max.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum Backup {
    /// The smaller one: w = 1 (clipped double Q-learning).
    #[default]
    Minimum,
    /// Mostly the smaller one; w = 0.75 in Fujimoto et al. 2019 (BCQ, arXiv 1812.02900) and in
    /// arXiv 2006.16785.
    Soft {
        /// Weight w of the smaller value, in `[0, 1]`.
        #[garde(range(min = 0.0, max = 1.0))]
        minimum_weight: f64,
    },
}

impl Backup {
    /// The weight w of the smaller value.
    pub fn minimum_weight(self) -> f64 {
        match self {
            Self::Minimum => 1.0,
            Self::Soft { minimum_weight } => minimum_weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor_critic::{CategoricalConfig, QuantileConfig, ReturnsConfig};

    fn learns(updates: u64, policy_delay: u64, delay_counts: DelayCounts) -> Vec<u8> {
        let shared = OffPolicyConfig { updates, ..OffPolicyConfig::default() };
        let config = Td3Config { shared, policy_delay, delay_counts, ..Td3Config::default() };
        (0..8).map(|done| u8::from(config.actor_learns(done))).collect()
    }

    #[test]
    fn the_delay_counts_updates_or_rounds() {
        assert_eq!(learns(1, 2, DelayCounts::Updates), [0, 1, 0, 1, 0, 1, 0, 1]);
        assert_eq!(learns(4, 3, DelayCounts::Updates), [0, 0, 1, 0, 0, 1, 0, 0]);
        assert_eq!(learns(2, 2, DelayCounts::Rounds), [1, 1, 0, 0, 1, 1, 0, 0]);
        assert_eq!(learns(1, 3, DelayCounts::Rounds), [1, 0, 0, 1, 0, 0, 1, 0]);
        for counts in [DelayCounts::Updates, DelayCounts::Rounds] {
            assert_eq!(learns(2, 1, counts), [1; 8]);
        }
    }

    #[test]
    fn settings_that_exclude_one_another_are_refused_with_a_remedy() {
        let categorical = |v_max| CategoricalConfig { atoms: 51, v_min: 0.0, v_max, clamp: None };
        let heads = [CriticHead::Categorical(categorical(1.0)), CriticHead::Quantile(QuantileConfig::default())];
        let complaint =
            |config: &Td3Config| config.validate().map_or_else(|report| report.to_string(), |()| String::new());
        for critic_head in heads {
            let mut config = Td3Config { critic_head, ..Td3Config::default() };
            let text = complaint(&config);
            assert!(text.contains("critic_head") && text.contains("put `twin: false`"), "{text}");
            config.twin = false;
            assert_eq!(complaint(&config), "");
            config.shared.normalise_returns = Some(ReturnsConfig::default());
            let text = complaint(&config);
            assert!(text.contains("normalise_returns") && text.contains(critic_head.name()), "{text}");
        }
        let critic_head = CriticHead::Categorical(categorical(0.0));
        let text = complaint(&Td3Config { critic_head, twin: false, ..Td3Config::default() });
        assert!(text.contains("v_max") && text.contains("more than `v_min`, which is 0"), "{text}");
    }
}
