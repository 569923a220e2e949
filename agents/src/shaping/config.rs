//! The kinds of shaping that a config can name, each with its constructor.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    constant::{Constant, ConstantConfig},
    expression::{Expression, ExpressionConfig},
    gradient::{Gradient, GradientConfig},
    purple::{Purple, PurpleConfig},
    rows::Shaping,
};
use crate::{AgentError, Setup};

/// A `shaping:` part of a config: `kind` and that kind's own keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ShapingConfig {
    /// κ r with κ from the gradient of a learnt forward model (PURPLE).
    Purple(#[garde(dive)] PurpleConfig),
    /// κ r with κ from the reward's own gradient.
    Gradient(#[garde(dive)] GradientConfig),
    /// κ r with a fixed κ.
    Constant(#[garde(dive)] ConstantConfig),
    /// r + γ Φ(s') − Φ(s) + bonus, by formulas.
    Expression(#[garde(dive)] ExpressionConfig),
}

impl ShapingConfig {
    /// True if the shaping reads [`ShapedRows`](super::ShapedRows)`::reward_gradient`, which not
    /// every reward has.
    pub fn needs_reward_gradient(&self) -> bool {
        matches!(self, Self::Gradient(_))
    }

    /// The shaping of the environment's reward.
    ///
    /// # Errors
    /// Those of [`ShapingConfig::build`], and a shaping that needs a learnt reward.
    pub fn build_for_environment(&self, setup: &Setup, gamma: f64) -> Result<Box<dyn Shaping>, AgentError> {
        if self.needs_reward_gradient() {
            return Err(Self::no_gradient());
        }
        self.build(setup, gamma, false)
    }

    /// The error of shaping the environment's reward by its gradient.
    pub(crate) fn no_gradient() -> AgentError {
        let problem =
            "the environment's reward has no gradient to shape by; choose another shaping or a learned reward";
        AgentError::BadConfig { setting: "agent.shaping".into(), problem: problem.into() }
    }

    /// The shaping of this config, for an agent that discounts by `gamma`. With `absorbing`,
    /// episodes go on in the absorbing state after terminations.
    pub fn build(&self, setup: &Setup, gamma: f64, absorbing: bool) -> Result<Box<dyn Shaping>, AgentError> {
        Ok(match self {
            Self::Purple(config) => Box::new(Purple::new(config, setup, absorbing)?),
            Self::Gradient(config) => Box::new(Gradient::new(config)),
            Self::Constant(config) => Box::new(Constant::new(*config)),
            Self::Expression(config) => Box::new(Expression::new(config, (setup.obs_dim, setup.act_dim), gamma)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Streams;
    use serde_json::{from_value, json};

    use super::*;

    fn read(value: serde_json::Value) -> Result<ShapingConfig, String> {
        let config: ShapingConfig = from_value(value).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn every_kind_is_read_with_its_defaults_and_built() {
        let setup = Setup { obs_dim: 3, act_dim: 2, streams: Streams::new(1), device: tch::Device::Cpu, threads: 1 };
        for value in [
            json!({"kind": "purple"}),
            json!({"kind": "purple", "target": 7.0, "per_call": true, "forward_model": {"lr": 1e-3}}),
            json!({"kind": "gradient"}),
            json!({"kind": "constant", "factor": 0.5}),
            json!({"kind": "expression", "potential": "-(obs[2] - 0.5)^2", "bonus": null}),
            json!({"kind": "expression", "potential": null, "bonus": "0.1 * norm(action) + next_obs[0] * reward - t"}),
        ] {
            let config = read(value).unwrap();
            assert_eq!(read(serde_json::to_value(&config).unwrap()).unwrap(), config);
            config.build(&setup, 0.99, true).unwrap();
        }
        for (value, words) in [
            (
                json!({"kind": "expression", "potential": "1 + obs[3]"}),
                "agent.shaping.potential: column 5: no `obs[3]`",
            ),
            (json!({"kind": "expression", "potential": "action[0]"}), "no `action`; there are obs"),
            (json!({"kind": "expression", "bonus": "action[2]"}), "agent.shaping.bonus: column 1: no `action[2]`"),
            (json!({"kind": "expression"}), "give `potential`, `bonus` or both"),
        ] {
            let error = read(value).unwrap().build(&setup, 0.99, false).err().unwrap();
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (value, word) in [
            (json!({"kind": "purple", "taget": 7.0}), "taget"),
            (json!({"kind": "purple", "floor": 1.5}), "floor"),
            (json!({"kind": "constant", "factor": 0.0}), "factor"),
            (json!({"kind": "constant"}), "factor"),
            (json!({"kind": "expression", "potential": "obs[0] +"}), "column 9: the formula ends"),
            (json!({"kind": "green"}), "green"),
        ] {
            let error = read(value).unwrap_err();
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
