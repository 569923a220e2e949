//! A regulariser of critics of your own: its settings, its metric and its loss by autograd.

use garde::Validate;
use liprl::agents::{
    AgentError,
    actor_critic::{Networks, Per, StateUnits, TermBatch, TermSettings, TermState, TermSums, ValueTerm},
};
use liprl::tch::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// λ Σⱼ mean Qⱼ(s, a)²: pulls the values towards zero.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmallValues {
    /// λ, the weight of the term beside the critics' loss.
    #[garde(range(min = 0.0))]
    lambda: f64,
}

impl ValueTerm for SmallValues {
    fn settings(&self) -> TermSettings {
        TermSettings { lambda: self.lambda, units: StateUnits::Raw, rows: 64, every: 1 }
    }

    fn metrics(&self) -> Vec<(&'static str, Per)> {
        vec![("train/squared_value", Per::Row)]
    }

    fn loss(&self, _: &Networks<'_>, batch: &TermBatch, state: &TermState) -> Result<(Tensor, TermSums), AgentError> {
        let squares = batch.replayed.iter().map(|values| values.square().sum(values.kind()));
        let sum = squares.reduce(|a, b| a + b).unwrap_or_default();
        Ok((&sum * state.weight, [sum.double_value(&[]), 0.0, 0.0]))
    }
}
