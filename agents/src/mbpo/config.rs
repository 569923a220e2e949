//! Settings of model-based policy optimisation, and the schedule that follows from them: when the model
//! is fitted and how many imagined transitions are kept.
//!
//! Sources: [J] Janner et al. 2019, "When to Trust Your Model" (arXiv 1906.08253), appendix C, and its
//! authors' code; [Z] Zheng et al. 2023, "Is Model Ensemble Necessary?" (arXiv 2302.01244).

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::{Profile, dynamics::ModelConfig, schedule::Length, termination::TerminationConfig};
use crate::{
    AgentError,
    actor_critic::{OffPolicyConfig, SacConfig},
    error::validated,
};

/// Model-based policy optimisation: SAC learns mostly from short rollouts in a learned model, which
/// branch off real states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct MbpoConfig {
    /// The learner. `learning_starts` are the random steps before the first fit, `updates` those after
    /// each step. They default to `5000` and `20` [J], not to SAC's own defaults.
    #[serde(deserialize_with = "over_defaults")]
    #[schemars(with = "SacConfig")]
    #[garde(dive)]
    pub policy: SacConfig,
    /// The dynamics model. Default: a probabilistic ensemble of 7 with 5 elites [J].
    #[garde(dive)]
    pub model: ModelConfig,
    /// Environment steps between fits of the model, each followed by rollouts; counted within each
    /// epoch, so at most `epoch_steps`. Default `250` [J].
    #[garde(range(min = 1))]
    pub refit_every: u64,
    /// Environment steps of an epoch, the unit of `rollout_length` and `retain_epochs`. Default `1000` [J].
    #[garde(range(min = 1))]
    pub epoch_steps: u64,
    /// Rollouts after each fit. Default `1e5` [J].
    #[garde(range(min = 1, max = 10_000_000))]
    pub rollouts: usize,
    /// Steps of a rollout. Default `1`.
    #[garde(dive)]
    pub rollout_length: Length,
    /// Epochs for which imagined transitions are kept. Default `1` [J].
    #[garde(range(min = 1, max = 1000))]
    pub retain_epochs: u64,
    /// Most imagined transitions kept, whatever `retain_epochs` is, to save memory. Default: no limit.
    #[garde(inner(range(min = 1)))]
    pub model_buffer_size: Option<usize>,
    /// Share of real transitions in a batch, rounded down. Default `0.05` [J]. With `1` the model is
    /// still fitted and rolled out for its metrics, but the policy does not learn from it.
    #[garde(range(min = 0.0, max = 1.0))]
    pub real_ratio: f64,
    /// When imagined episodes end. Default `known`: the task's own rule, if this program has it.
    #[garde(dive)]
    pub termination: TerminationConfig,
    /// Largest magnitude of an imagined number. A transition with a larger one has blown up: it is
    /// dropped and its rollout ends. Default `1e6`.
    #[garde(range(min = 1.0))]
    pub blow_up: f64,
    /// Implementation to follow: the authors' code or its later ports. Default `authors`.
    pub profile: Profile,
}

impl Default for MbpoConfig {
    fn default() -> Self {
        Self {
            policy: policy_defaults(),
            model: ModelConfig::default(),
            refit_every: 250,
            epoch_steps: 1000,
            rollouts: 100_000,
            rollout_length: Length::Constant(1),
            retain_epochs: 1,
            model_buffer_size: None,
            real_ratio: 0.05,
            termination: TerminationConfig::default(),
            blow_up: 1e6,
            profile: Profile::Authors,
        }
    }
}

fn policy_defaults() -> SacConfig {
    let shared = OffPolicyConfig { updates: 20, ..OffPolicyConfig::default() };
    SacConfig { shared, learning_starts: 5000, ..SacConfig::default() }
}

/// Reads the given settings over MBPO's defaults rather than SAC's.
fn over_defaults<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SacConfig, D::Error> {
    let defaults = policy_defaults();
    let mut all = Value::deserialize(deserializer)?;
    if let Value::Object(all) = &mut all {
        all.entry("learning_starts").or_insert(json!(defaults.learning_starts));
        all.entry("updates").or_insert(json!(defaults.shared.updates));
    }
    serde_json::from_value(all).map_err(serde::de::Error::custom)
}

impl MbpoConfig {
    /// Checks that the settings work together.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] names the setting that does not.
    pub(super) fn check(&self) -> Result<(), AgentError> {
        let bad = |setting: &str, problem: String| {
            Err(AgentError::BadConfig { setting: format!("agent.{setting}"), problem })
        };
        validated(self)?;
        if self.policy.shared.n_step != 1 {
            return bad("policy.n_step", "imagined transitions do not follow one another in the buffer; use 1".into());
        }
        if self.policy.shared.priorities.is_some() {
            return bad(
                "policy.priorities",
                "batches mix two buffers, which are drawn from uniformly; use null".into(),
            );
        }
        if self.policy.learning_starts < 2 {
            let problem = "a model needs at least one transition to fit and one held out; use 2 or more";
            return bad("policy.learning_starts", problem.into());
        }
        let (every, epoch) = (self.refit_every, self.epoch_steps);
        if every > epoch {
            let problem = format!("{every}: more than the {epoch} of `epoch_steps`, within which steps are counted");
            return bad("refit_every", problem);
        }
        if every == epoch && self.profile == Profile::Ports {
            let problem = format!(
                "{every}, the whole of `epoch_steps`: the ports fit no model at an epoch's first step, so never; use {} or less",
                epoch - 1
            );
            return bad("refit_every", problem);
        }
        self.model.check()
    }

    /// SAC's settings, the profile's choices included.
    pub(super) fn sac(&self) -> SacConfig {
        use crate::actor_critic::Temperature;
        let mut sac = self.policy.clone();
        if self.profile == Profile::Ports && sac.temperature == Temperature::default() {
            sac.temperature = Temperature::Fixed { alpha: 0.2 };
        }
        sac
    }

    /// Real rows of a batch.
    pub(super) fn real_rows(&self) -> usize {
        (self.policy.shared.batch_size as f64 * self.real_ratio) as usize
    }

    /// The epoch of step t, counted from 0; t counts environment steps after the random ones.
    pub fn epoch(&self, t: u64) -> u64 {
        t / self.epoch_steps
    }

    /// True if the model is fitted at t: steps are counted within each epoch. The authors' epochs begin
    /// with a fit, the ports' do not.
    pub fn refit_due(&self, t: u64) -> bool {
        let within = t % self.epoch_steps;
        within.is_multiple_of(self.refit_every) && (within > 0 || self.profile == Profile::Authors)
    }

    /// Imagined transitions kept while rollouts have `length` steps: those of the last `retain_epochs`
    /// epochs.
    pub fn model_capacity(&self, length: u64) -> usize {
        let fits = self.epoch_steps.div_ceil(self.refit_every);
        let rows = fits.saturating_mul(self.retain_epochs).saturating_mul(length).saturating_mul(self.rollouts as u64);
        let most = self.model_buffer_size.unwrap_or(usize::MAX).min(u32::MAX as usize);
        usize::try_from(rows).unwrap_or(usize::MAX).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: Value) -> MbpoConfig {
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn a_partly_given_policy_keeps_mbpo_s_defaults() {
        let config = read(json!({"policy": {"gamma": 0.9}}));
        assert_eq!(
            (config.policy.shared.updates, config.policy.learning_starts, config.policy.shared.gamma),
            (20, 5000, 0.9)
        );
        let config = read(json!({"policy": {"updates": 3}}));
        assert_eq!((config.policy.shared.updates, config.policy.learning_starts), (3, 5000));
        // The settings written out read back as they were.
        assert_eq!(read(serde_json::to_value(&config).unwrap()), config);
    }

    #[test]
    fn twelve_of_256_rows_are_real_at_a_ratio_of_a_twentieth() {
        assert_eq!(read(json!({})).real_rows(), 12);
        assert_eq!(read(json!({"real_ratio": 0})).real_rows(), 0);
        assert_eq!(read(json!({"real_ratio": 1})).real_rows(), 256);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (config, words) in [
            (json!({"policy": {"n_step": 3}}), "agent.policy.n_step"),
            (json!({"policy": {"priorities": {}}}), "agent.policy.priorities"),
            (json!({"policy": {"learning_starts": 1}}), "agent.policy.learning_starts"),
            (json!({"refit_every": 1001}), "agent.refit_every: 1001: more than the 1000"),
            (json!({"refit_every": 250, "epoch_steps": 250, "profile": "ports"}), "so never; use 249 or less"),
            (json!({"real_ratio": -0.1}), "real_ratio"),
            (json!({"real_ratio": 1.5}), "real_ratio"),
            (json!({"rollout_length": {"first_epoch": 20, "last_epoch": 10, "from": 1, "to": 15}}), "before it starts"),
            (json!({"model": {"members": 3, "elites": 5}}), "model.elites: more than the 3 members"),
            (json!({"model": {"hidden": [200, 200], "weight_decay": [1e-5, 1e-5]}}), "agent.model.weight_decay"),
        ] {
            let error = read(config.clone()).check().unwrap_err().to_string();
            assert!(error.contains(words), "{config}: {error}");
        }
        read(json!({})).check().unwrap();
    }

    #[test]
    fn four_fits_an_epoch_or_the_ports_three() {
        let mut config = MbpoConfig::default();
        let fits = |config: &MbpoConfig| (0..2000).filter(|&t| config.refit_due(t)).collect::<Vec<_>>();
        assert_eq!(fits(&config), [0, 250, 500, 750, 1000, 1250, 1500, 1750]);
        config.profile = Profile::Ports;
        assert_eq!(fits(&config), [250, 500, 750, 1250, 1500, 1750]);
        assert_eq!((config.epoch(999), config.epoch(1000)), (0, 1));
    }

    #[test]
    fn the_model_buffer_holds_400_000_transitions_a_step() {
        let mut config = MbpoConfig::default();
        assert_eq!((config.model_capacity(1), config.model_capacity(15)), (400_000, 6_000_000));
        // Humanoid: F 1000, retain 5.
        config = MbpoConfig { refit_every: 1000, retain_epochs: 5, ..config };
        assert_eq!(config.model_capacity(25), 12_500_000);
        // 300 does not divide an epoch, which has fits at 0, 300, 600 and 900 all the same.
        let uneven = MbpoConfig { refit_every: 300, ..config.clone() };
        assert_eq!((0..5000).filter(|&t| uneven.refit_due(t)).count(), 20);
        assert_eq!(uneven.model_capacity(1), 2_000_000);
        config.model_buffer_size = Some(1_000_000);
        assert_eq!(config.model_capacity(25), 1_000_000);
    }

    #[test]
    fn the_ports_fix_the_temperature_unless_one_is_given() {
        use crate::actor_critic::Temperature;
        let tuned = json!({"profile": "ports", "policy": {"temperature": {"kind": "auto", "target_entropy": -1}}});
        assert!(matches!(read(tuned).sac().temperature, Temperature::Auto { .. }));
        assert_eq!(read(json!({"profile": "ports"})).sac().temperature, Temperature::Fixed { alpha: 0.2 });
        let given = json!({"profile": "ports", "policy": {"temperature": {"kind": "fixed", "alpha": 0.5}}});
        assert_eq!(read(given).sac().temperature, Temperature::Fixed { alpha: 0.5 });
        assert_eq!(read(json!({})).sac().temperature, Temperature::default());
    }
}
