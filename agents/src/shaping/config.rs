//! The kinds of shaping that a config can name, each with its constructor.

use super::{
    constant::{Constant, ConstantConfig},
    expression::{Expression, ExpressionConfig},
    forward::ForwardModelConfig,
    gradient::{Gradient, GradientConfig},
    purple::{Purple, PurpleConfig},
    rows::Shaping,
};
use crate::{
    AgentError, Setup,
    kinds::{Choice, Settings, part},
    memory::{COPIES, MemoryParts, NetworkSizes},
};

/// A `shaping:` part of a config: `kind` and that kind's own keys.
pub type ShapingConfig = Choice<dyn ShapingKind>;

/// Settings of a kind of shaping.
pub trait ShapingKind: Settings {
    /// The shaping, for an agent that discounts by `gamma`. With `absorbing`, episodes go on in the
    /// absorbing state after terminations.
    fn build(&self, setup: &Setup, gamma: f64, absorbing: bool) -> Result<Box<dyn Shaping>, AgentError>;

    /// True if the shaping reads [`ShapedRows`](super::ShapedRows)`::gradient_norms`, which not
    /// every reward has.
    fn needs_reward_gradient(&self) -> bool {
        false
    }

    /// True if it multiplies rewards by a κ below 1 to make them worse.
    fn is_pessimistic(&self) -> bool {
        false
    }

    /// Adds the memory of its networks, which learn from `batch` rows at once; none by default.
    fn memory(&self, _batch: usize, _parts: &mut MemoryParts) {}
}

part!(ShapingKind, "ShapingConfig", "shaping", "A `shaping:` part of a config: `kind` and that kind's own keys.", {
    "purple": PurpleConfig,
    "gradient": GradientConfig,
    "constant": ConstantConfig,
    "expression": ExpressionConfig,
});

impl ShapingKind for PurpleConfig {
    fn build(&self, setup: &Setup, _: f64, absorbing: bool) -> Result<Box<dyn Shaping>, AgentError> {
        Ok(Box::new(Purple::new(self, setup, absorbing)?))
    }

    fn is_pessimistic(&self) -> bool {
        true
    }

    fn memory(&self, batch: usize, parts: &mut MemoryParts) {
        forward_model(parts, "agent.shaping.forward_model", &self.forward_model, batch);
    }
}

impl ShapingKind for GradientConfig {
    fn build(&self, _: &Setup, _: f64, _: bool) -> Result<Box<dyn Shaping>, AgentError> {
        Ok(Box::new(Gradient::new(self)))
    }

    fn needs_reward_gradient(&self) -> bool {
        true
    }

    fn is_pessimistic(&self) -> bool {
        true
    }
}

impl ShapingKind for ConstantConfig {
    fn build(&self, _: &Setup, _: f64, _: bool) -> Result<Box<dyn Shaping>, AgentError> {
        Ok(Box::new(Constant::new(*self)))
    }
}

impl ShapingKind for ExpressionConfig {
    fn build(&self, setup: &Setup, gamma: f64, _: bool) -> Result<Box<dyn Shaping>, AgentError> {
        Ok(Box::new(Expression::new(self, (setup.obs_dim, setup.act_dim), gamma)?))
    }
}

impl ShapingConfig {
    /// A warning if the shaping is of no use for rewards of this sign.
    pub fn warning(&self, can_be_negative: bool) -> Option<String> {
        (self.is_pessimistic() && can_be_negative).then(|| {
            format!(
                "shaping `{}` multiplies rewards by κ ≤ 1, which makes negative ones better, the opposite of \
                 pessimistic; take a reward that is never negative, such as minimax",
                self.kind()
            )
        })
    }

    /// The shaping of the environment's reward.
    ///
    /// # Errors
    /// Those of [`ShapingKind::build`], and a shaping that needs a learnt reward.
    pub fn build_for_environment(&self, setup: &Setup, gamma: f64) -> Result<Box<dyn Shaping>, AgentError> {
        if self.needs_reward_gradient() {
            return Err(no_gradient());
        }
        self.build(setup, gamma, false)
    }
}

/// A forward model that learns from `batch` rows at once.
pub(crate) fn forward_model(parts: &mut MemoryParts, at: &str, model: &ForwardModelConfig, batch: usize) {
    let (inputs, outputs) = (parts.sizes().obs_dim + parts.sizes().act_dim, parts.sizes().obs_dim);
    let of = NetworkSizes { hidden: &model.hidden, inputs, outputs, count: 1, copies: COPIES, rows: batch };
    parts.networks(at, "hidden", &of);
}

/// The error of shaping the environment's reward by its gradient.
pub(crate) fn no_gradient() -> AgentError {
    let problem = "the environment's reward has no gradient to shape by; choose another shaping or a learned reward";
    AgentError::BadConfig { setting: "agent.shaping".into(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use garde::Validate;
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
