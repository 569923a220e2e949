//! Shaping by formulas that a config writes: r̃ = r + γ Φ(s') − Φ(s) + bonus.
//!
//! A potential Φ (Ng, Harada & Russell 1999, theorem 1) changes every policy's value by −Φ(s) alone,
//! so the best policy stays the best. That needs Φ = 0 if nothing follows: after a termination and in
//! the absorbing state. A time limit is neither. γ is the agent's own, as any other would change the
//! best policy. A bonus changes what is best; in the absorbing state it is 0.

use garde::Validate;
use liprl_nets::slice_of;
use liprl_numerics::{Column, Formula, FormulaError, Variable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rows::{ShapedRows, Shaping, Steps};
use crate::{AgentError, Flags, Metrics};

/// r + γ Φ(s') − Φ(s) + bonus, by formulas; docs/shaping.md lists what a formula may contain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ExpressionConfig {
    /// Φ(s), a formula of `obs`: adds γ Φ(s') − Φ(s). Default: none.
    #[serde(default)]
    #[garde(inner(custom(grammar)))]
    pub potential: Option<String>,
    /// A formula of `obs`, `action`, `next_obs`, `reward` and `t`, which is added as it is. Default:
    /// none.
    #[serde(default)]
    #[garde(inner(custom(grammar)))]
    pub bonus: Option<String>,
}

fn grammar(text: &str, _: &()) -> garde::Result {
    Formula::check_grammar(text).map_err(|error| garde::Error::new(format!("not a formula: {error}")))
}

/// Place of `t` among the bonus' variables.
const T: usize = 4;

/// The shaping.
#[derive(Clone, Debug)]
pub struct Expression {
    potential: Option<Formula>,
    bonus: Option<Formula>,
    gamma: f64,
    obs_dim: usize,
    act_dim: usize,
    /// Φ(s) of the rows, kept between calls.
    before: Vec<f64>,
    /// t of the rows.
    t: Vec<f32>,
}

impl Expression {
    /// The shaping for these numbers in an observation and an action and an agent that discounts by
    /// `gamma`.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] with the column of what does not fit.
    pub fn new(config: &ExpressionConfig, (obs_dim, act_dim): (usize, usize), gamma: f64) -> Result<Self, AgentError> {
        let obs = Variable { name: "obs", coordinates: Some(obs_dim) };
        let bonus = [
            obs,
            Variable { name: "action", coordinates: Some(act_dim) },
            Variable { name: "next_obs", coordinates: Some(obs_dim) },
            Variable { name: "reward", coordinates: None },
            Variable { name: "t", coordinates: None },
        ];
        if config.potential.is_none() && config.bonus.is_none() {
            let problem = "has nothing to add: give `potential`, `bonus` or both".to_owned();
            return Err(AgentError::BadConfig { setting: "agent.shaping".into(), problem });
        }
        let formula = |setting: &str, text: &Option<String>, variables: &[Variable]| {
            let named = |error: FormulaError| AgentError::BadConfig {
                setting: format!("agent.shaping.{setting}"),
                problem: error.to_string(),
            };
            text.as_ref().map(|text| Formula::new(text, variables).map_err(named)).transpose()
        };
        Ok(Self {
            potential: formula("potential", &config.potential, &[obs])?,
            bonus: formula("bonus", &config.bonus, &bonus)?,
            gamma,
            obs_dim,
            act_dim,
            before: Vec::new(),
            t: Vec::new(),
        })
    }

    fn add_potential(&mut self, steps: &Steps<'_>, reward: &mut [f32]) -> Result<(), AgentError> {
        let Some(potential) = &mut self.potential else { return Ok(()) };
        let column = |numbers| [Column { numbers, width: self.obs_dim }];
        let (obs, next) = (slice_of(steps.obs)?, slice_of(steps.next_obs)?);
        self.before.clear();
        self.before.extend_from_slice(potential.evaluate(&column(obs), reward.len()));
        potential.evaluate(&column(next), reward.len());
        for (row, ((reward, (before, after)), flags)) in
            reward.iter_mut().zip(self.before.iter().zip(potential.values())).zip(steps.flags).enumerate()
        {
            let over = flags.contains(Flags::TERMINATED) || flags.contains(Flags::NEXT_ABSORBING);
            let before = if flags.contains(Flags::OBS_ABSORBING) { 0.0 } else { *before };
            let after = if over { 0.0 } else { *after };
            let sum = f64::from(*reward) + self.gamma * after - before;
            if !sum.is_finite() {
                let at = if before.is_finite() { next } else { obs };
                return Err(not_finite("potential", potential.text(), &at[row * self.obs_dim..][..self.obs_dim]));
            }
            *reward = sum as f32;
        }
        Ok(())
    }

    fn add_bonus(&mut self, steps: &Steps<'_>, reward: &mut [f32]) -> Result<(), AgentError> {
        let Some(bonus) = &mut self.bonus else { return Ok(()) };
        let (obs, action, next) = (slice_of(steps.obs)?, slice_of(steps.action)?, slice_of(steps.next_obs)?);
        self.t.clear();
        self.t.extend(steps.t.iter().map(|&t| t as f32));
        self.t.resize(reward.len(), 0.0);
        let columns = [
            Column { numbers: obs, width: self.obs_dim },
            Column { numbers: action, width: self.act_dim },
            Column { numbers: next, width: self.obs_dim },
            Column { numbers: reward, width: 1 },
            Column { numbers: &self.t, width: 1 },
        ];
        bonus.evaluate(&columns, reward.len());
        for (row, (reward, (value, flags))) in reward.iter_mut().zip(bonus.values().iter().zip(steps.flags)).enumerate()
        {
            if flags.contains(Flags::OBS_ABSORBING) {
                continue;
            }
            if !value.is_finite() {
                return Err(not_finite("bonus", bonus.text(), &obs[row * self.obs_dim..][..self.obs_dim]));
            }
            *reward += *value as f32;
        }
        Ok(())
    }
}

fn not_finite(setting: &str, text: &str, obs: &[f32]) -> AgentError {
    let problem = format!("`{text}` is not finite at the observation {obs:?}; bound it, for example by `clip`");
    AgentError::BadConfig { setting: format!("agent.shaping.{setting}"), problem }
}

impl Shaping for Expression {
    fn shape(&mut self, rows: &mut ShapedRows<'_>, reward: &mut [f32], _: &mut Metrics) -> Result<(), AgentError> {
        self.add_bonus(&rows.steps, reward)?;
        self.add_potential(&rows.steps, reward)
    }

    // Φ and the bonus are 0 there.
    fn shape_absorbing(&mut self, _: &mut ShapedRows<'_>, reward: f32) -> Result<f32, AgentError> {
        Ok(reward)
    }

    fn learn(&mut self, _: &Steps<'_>, _: &mut Metrics) -> Result<(), AgentError> {
        Ok(())
    }

    fn reads_t(&self) -> bool {
        self.bonus.as_ref().is_some_and(|bonus| bonus.reads(T))
    }
}

#[cfg(test)]
mod tests;
