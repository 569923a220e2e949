//! Settings of off-policy GAIL. Source unless another is named: Blondé, Strasser & Kalousis 2020
//! (arXiv 2006.16785) and its authors' code.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Device;

use super::{discriminator_config::DiscriminatorConfig, reference::Reference, reward::RewardConfig};
use crate::{
    ActionNoise, AgentError, Setup, TaskContext,
    actor_critic::{OffPolicyConfig, SacConfig, Td3Config},
    cloning::CloningConfig,
    demos::DemonstrationsConfig,
    shaping::{ForwardModelConfig, ShapingConfig},
};

/// Off-policy GAIL: an actor–critic learns from replay. Its learned, Lipschitz-regularised rewards
/// come from a discriminator between its own transitions and demonstrated ones, at the moment of
/// sampling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct GailConfig {
    /// File to imitate: a Minari or D4RL HDF5 file, or a Minari dataset's folder. Needed unless the
    /// reward is `environment` or `constant`.
    pub demonstrations: Option<DemonstrationsConfig>,
    /// Number of its episodes that are used, the first ones. Default: all.
    #[garde(inner(range(min = 1)))]
    pub episodes: Option<usize>,
    /// Every n-th step of each episode is used, from a random first one. With `absorbing` on, so is
    /// the step that ended it. Default `20`; 1 uses all.
    #[garde(range(min = 1))]
    pub keep_every: usize,
    /// The learner that imitates. Default `{kind: td3}` with TD3's defaults.
    #[garde(dive)]
    pub policy: PolicyConfig,
    /// Classifier of demonstrated transitions against the policy's.
    #[garde(dive)]
    pub discriminator: DiscriminatorConfig,
    /// Reward, from the discriminator's output or another source. Default `{kind: minimax}`.
    #[garde(dive)]
    pub reward: RewardConfig,
    /// Change of the reward before the policy learns from it. Default: none.
    #[garde(dive)]
    pub shaping: Option<ShapingConfig>,
    /// Forward model, learnt beside the rest, for the diagnostics that need one
    /// (`lipschitz/model_jacobian`, `lipschitz/gamma2c`, …). Default: none.
    #[garde(dive)]
    pub monitor: Option<ForwardModelConfig>,
    /// Treatment of episodes that the task ended. Default: `value` if the task can end an episode,
    /// else `off`.
    pub absorbing: Option<Absorbing>,
    /// Behaviour cloning of the demonstrations before the first step. Default: none.
    #[garde(dive)]
    pub warm_start: Option<CloningConfig>,
    /// Reference-implementation quirks, which change numbers: `true` for all of them, or one by
    /// one. Default `false`.
    pub reference: Reference,
}

impl Default for GailConfig {
    fn default() -> Self {
        Self {
            demonstrations: None,
            episodes: None,
            keep_every: 20,
            policy: PolicyConfig::Td3(Td3Config::default()),
            discriminator: DiscriminatorConfig::default(),
            reward: RewardConfig::default(),
            shaping: None,
            monitor: None,
            absorbing: None,
            warm_start: None,
            reference: Reference::default(),
        }
    }
}

/// Work of a discriminator beside the learner's from which on it is quicker to do both at once than
/// to share out the learner's rows, which at batches of 64 takes two threads 1/1.3 of one's time.
const BESIDE: f64 = 0.25;

impl GailConfig {
    /// True if the discriminator, with so many demonstrated rows, learns on a thread of its own.
    pub(crate) fn learns_beside(&self, rows: usize, setup: &Setup) -> bool {
        let on_cpu = setup.device == Device::Cpu && setup.threads > 1;
        on_cpu && self.reward.from_logits() && self.discriminator_work(rows, setup) > BESIDE * self.learner_work(setup)
    }

    /// Multiplications of the discriminator after an update.
    fn discriminator_work(&self, rows: usize, setup: &Setup) -> f64 {
        let of = &self.discriminator;
        let whole = rows / of.batch_size.max(1);
        let steps = of.steps.map_or(whole, |steps| steps.min(whole)) as f64 * of.passes as f64;
        let parameters = products(&of.hidden, setup.obs_dim + setup.act_dim, 1);
        // Forward and back on both sides, and the penalty's four passes on one.
        let passes = 6.0 + if of.gradient_penalty.scale > 0.0 { 4.0 } else { 0.0 };
        steps * of.batch_size as f64 * passes * parameters
    }

    /// Multiplications of an update of the learner.
    fn learner_work(&self, setup: &Setup) -> f64 {
        let (shared, _) = self.policy_settings();
        let (critics, outputs, delay) = match &self.policy {
            PolicyConfig::Sac(_) => (2.0, 2 * setup.act_dim, 1.0),
            PolicyConfig::Td3(td3) => (if td3.twin { 2.0 } else { 1.0 }, setup.act_dim, td3.policy_delay as f64),
        };
        let actor = products(&shared.actor.hidden, setup.obs_dim, outputs);
        let critic = critics * products(&shared.critic.hidden, setup.obs_dim + setup.act_dim, 1);
        // Target: a pass of each; critics: forward and back; actor: forward and back through both.
        shared.batch_size as f64 * (actor + 4.0 * critic + (3.0 * actor + 2.0 * critic) / delay)
    }

    /// The worth of an agent's action of 1 in the units that the config wants.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] if actions' ranges differ and the environment's units are wanted.
    pub(super) fn action_unit(&self, context: &TaskContext) -> Result<f64, AgentError> {
        let widths = &context.action_half_width;
        match (self.reference.quirks().action_units, widths.first()) {
            (true, Some(&first)) if widths.iter().all(|width| *width == first) => Ok(first),
            (true, Some(_)) if self.reference != Reference::All(true) => {
                let problem = "needs one range for all actions, and this task has several; leave it out".to_owned();
                Err(AgentError::BadConfig { setting: "agent.reference.action_units".into(), problem })
            }
            _ => Ok(1.0),
        }
    }

    /// The learner's settings with noise as an agent's actions in `[-1, 1]` need it.
    ///
    /// # Errors
    /// Those of [`GailConfig::action_unit`].
    pub(crate) fn policy_in_units(&self, context: &TaskContext) -> Result<PolicyConfig, AgentError> {
        let (unit, mut policy) = (self.action_unit(context)?, self.policy.clone());
        if let PolicyConfig::Td3(td3) = &mut policy {
            td3.target_noise /= unit;
            td3.target_noise_clip /= unit;
            match &mut td3.action_noise {
                ActionNoise::None => {}
                ActionNoise::Gaussian { std } => *std /= unit,
                ActionNoise::OrnsteinUhlenbeck { sigma, .. } => *sigma /= unit,
            }
            if let Some(noise) = &mut td3.parameter_noise {
                noise.delta /= unit;
            }
        }
        Ok(policy)
    }

    /// Treatment of terminations.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] if it does not fit the task or the discount.
    pub(super) fn absorbing(&self, gamma: f64, context: &TaskContext) -> Result<Absorbing, AgentError> {
        let all = self.reference == Reference::All(true);
        let chosen = self.absorbing.unwrap_or(match (context.can_terminate, all) {
            (false, _) => Absorbing::Off,
            (true, true) => Absorbing::Reference,
            (true, false) => Absorbing::Value,
        });
        let bad = |problem: &str| AgentError::BadConfig { setting: "agent.absorbing".into(), problem: problem.into() };
        if chosen != Absorbing::Off && !context.can_terminate {
            return Err(bad(
                "this task never ends an episode, so there is no absorbing state; leave it out or write `off`",
            ));
        }
        if chosen == Absorbing::Value && gamma >= 1.0 {
            return Err(bad("with agent.policy.gamma 1 the absorbing state's value r/(1 − gamma) is infinite; \
                 lower gamma or write `off`"));
        }
        Ok(chosen)
    }
}

/// Multiplications of a network's products for one row.
fn products(hidden: &[usize], inputs: usize, outputs: usize) -> f64 {
    let ends = hidden.iter().copied().chain([outputs]);
    ends.fold((0.0, inputs), |(sum, before), units| (sum + (before * units) as f64, units)).0
}

/// The actor–critic under the learned reward. Its own settings hold the discount, the batch and the
/// schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PolicyConfig {
    /// TD3, or DDPG by its switches.
    Td3(#[garde(dive)] Td3Config),
    /// Soft actor–critic.
    Sac(#[garde(dive)] SacConfig),
}

impl GailConfig {
    /// Settings of the policy's learning that SAC and TD3 share, and the steps of random actions.
    pub fn policy_settings(&self) -> (OffPolicyConfig, u64) {
        let (mut shared, learning_starts) = match &self.policy {
            PolicyConfig::Td3(config) => (config.shared.clone(), config.learning_starts),
            PolicyConfig::Sac(config) => (config.shared.clone(), config.learning_starts),
        };
        if self.reference.quirks().scalar_moments
            && let Some(normalise) = &mut shared.normalise_observations
        {
            normalise.scalar = true;
        }
        (shared, learning_starts)
    }
}

/// Treatment of an episode that the task ended, whose reward would otherwise stop. An imitator
/// rewarded at each step would learn to survive, one punished at each step to end the episode,
/// whatever the demonstrations do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Absorbing {
    /// The next state is worth nothing.
    Off,
    /// The next state is the absorbing one (Kostrikov et al. 2019), which leads to itself for ever.
    /// It is worth r(absorbing)/(1 − γ), in closed form from the current reward. The discriminator
    /// sees one absorbing transition for each ended episode, on both sides.
    Value,
    /// A copy of the last transition is stored, rewarded as the absorbing one and worth that reward
    /// alone (the authors' code).
    Reference,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::AgentConfig;

    fn humanoid(widths: &[f64]) -> TaskContext {
        TaskContext { action_half_width: widths.to_vec(), ..TaskContext::NONE }
    }

    #[test]
    fn the_authors_noise_is_in_the_environment_s_units() {
        // Humanoid's actions go to ± 0.4, so that their 0.2 is half of ours, and 0.5 all and a quarter.
        let td3 = json!({"kind": "td3", "action_noise": {"kind": "gaussian", "std": 0.1}, "parameter_noise": {}});
        let of = |reference: serde_json::Value| -> GailConfig {
            serde_json::from_value(json!({"policy": td3, "reference": reference})).unwrap()
        };
        let context = humanoid(&[0.4; 17]);
        for reference in [json!(true), json!({"action_units": true})] {
            let config = of(reference);
            assert_eq!(config.action_unit(&context).unwrap(), 0.4);
            let PolicyConfig::Td3(td3) = config.policy_in_units(&context).unwrap() else { panic!() };
            assert_eq!((td3.target_noise, td3.target_noise_clip), (0.5, 1.25));
            assert_eq!(td3.action_noise, ActionNoise::Gaussian { std: 0.25 });
            assert_eq!(td3.parameter_noise.unwrap().delta, 0.5);
        }
        let plain = of(json!(false));
        assert_eq!(plain.policy_in_units(&context).unwrap(), plain.policy);
        let error = of(json!({"action_units": true})).action_unit(&humanoid(&[0.4, 1.0])).unwrap_err().to_string();
        assert!(error.contains("agent.reference.action_units"), "{error}");
    }

    #[test]
    fn a_pessimistic_shaping_of_rewards_below_zero_is_warned_of() {
        let warnings = |config: serde_json::Value| -> Vec<String> {
            let config: AgentConfig = serde_json::from_value(config).unwrap();
            config.warnings()
        };
        let gail = |reward: serde_json::Value, shaping: &str| {
            warnings(json!({"kind": "gail", "reward": reward, "shaping": {"kind": shaping}}))
        };
        for (reward, negative) in [
            (json!({"kind": "minimax"}), false),
            (json!({"kind": "red"}), false),
            (json!({"kind": "constant", "value": 1.0}), false),
            (json!({"kind": "constant", "value": -1.0}), true),
            (json!({"kind": "airl"}), true),
            (json!({"kind": "non_saturating"}), true),
            (json!({"kind": "environment"}), true),
        ] {
            for shaping in ["purple", "gradient"] {
                let warned = gail(reward.clone(), shaping);
                assert_eq!(!warned.is_empty(), negative, "{reward} {shaping}: {warned:?}");
            }
        }
        assert!(warnings(json!({"kind": "sac", "shaping": {"kind": "purple"}}))[0].contains("opposite of pessimistic"));
        assert!(warnings(json!({"kind": "sac", "shaping": {"kind": "constant", "factor": 0.5}})).is_empty());
    }
}
