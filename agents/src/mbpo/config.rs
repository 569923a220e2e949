//! Settings of model-based policy optimisation. Sources: [J] Janner et al. 2019, "When to Trust Your Model" (arXiv 1906.08253), and
//! its authors' code; [Z] Zheng et al. 2023, "Is Model Ensemble Necessary?" (arXiv 2302.01244).

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::{dynamics::ModelConfig, schedule::Length, termination::TerminationConfig};
use crate::{AgentError, actor_critic::SacConfig, error::validated};

/// Model-based policy optimisation: SAC learns mostly from short rollouts that branch off real states in a learned model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct MbpoConfig {
    /// The learner. `learning_starts` are the random steps before the first fit, `updates` those after each step. Where not given,
    /// they are `5000` and `20` [J], not SAC's own defaults.
    #[serde(deserialize_with = "over_defaults")]
    #[schemars(with = "SacConfig")]
    #[garde(dive)]
    pub policy: SacConfig,
    /// The dynamics model. Default: a probabilistic ensemble of 7 with 5 elites [J].
    #[garde(dive)]
    pub model: ModelConfig,
    /// Environment steps between fits of the model, each followed by rollouts; counted within each epoch, so at most `epoch_steps`.
    /// Default `250` [J].
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
    /// Most imagined transitions kept, whatever `retain_epochs` says, to save memory. Default: no limit.
    #[garde(inner(range(min = 1)))]
    pub model_buffer_size: Option<usize>,
    /// Share of real transitions in a batch, rounded down. Default `0.05` [J]. With `1` the model is still fitted and rolled out, to be looked
    /// at, and learned from not at all.
    #[garde(range(min = 0.0, max = 1.0))]
    pub real_ratio: f64,
    /// When imagined episodes end. Default `known`: the task's own rule, where this program has it.
    #[garde(dive)]
    pub termination: TerminationConfig,
    /// An imagined number beyond ± this has blown up: its transition is dropped and its rollout ends. Default `1e6`.
    #[garde(range(min = 1.0))]
    pub blow_up: f64,
    /// Whose choices hold where authors' code and later ports differ. Default `authors`.
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

/// Where MBPO's later ports to PyTorch differ from its authors' code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// As the authors' code.
    #[default]
    Authors,
    /// As the ports: temperature fixed at 0.2 (unless `policy.temperature` says more than `{kind: auto}`, a `target_entropy` for instance), log-variance bounds fixed, no bootstrap, no
    /// best snapshot restored, no limit on held-out rows, no fit at the first step of an epoch, first steps by the untrained policy, and
    /// batches of real rows alone before the first fit. Their mistakes are not copied: time limits are no terminations.
    Ports,
}

fn policy_defaults() -> SacConfig {
    SacConfig { learning_starts: 5000, updates: 20, ..SacConfig::default() }
}

/// The settings given, over MBPO's defaults rather than SAC's.
fn over_defaults<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SacConfig, D::Error> {
    let defaults = policy_defaults();
    let mut all = Value::deserialize(deserializer)?;
    if let Value::Object(all) = &mut all {
        all.entry("learning_starts").or_insert(json!(defaults.learning_starts));
        all.entry("updates").or_insert(json!(defaults.updates));
    }
    serde_json::from_value(all).map_err(serde::de::Error::custom)
}

impl MbpoConfig {
    /// Refuses what cannot work together, by name.
    pub(super) fn check(&self) -> Result<(), AgentError> {
        let bad = |setting: &str, problem: String| {
            Err(AgentError::BadConfig { setting: format!("agent.{setting}"), problem })
        };
        validated(self)?;
        if self.policy.n_step != 1 {
            return bad("policy.n_step", "imagined transitions do not follow one another in the buffer; use 1".into());
        }
        if self.policy.priorities.is_some() {
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

    /// SAC's settings after the profile.
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
        (self.policy.batch_size as f64 * self.real_ratio) as usize
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
        assert_eq!((config.policy.updates, config.policy.learning_starts, config.policy.gamma), (20, 5000, 0.9));
        let config = read(json!({"policy": {"updates": 3}}));
        assert_eq!((config.policy.updates, config.policy.learning_starts), (3, 5000));
        // What is written out reads back as it was.
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
