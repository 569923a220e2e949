//! The gradient penalty on the critics: L = Σⱼ mean w φ(‖U ∇ₛ Qⱼ(s, a)‖₂ − k) at the replayed
//! pairs, U the diagonal of the units' lengths, φ one- or two-sided.
//!
//! `rows` is the CPU form, for piecewise linear critics: their double backward is in closed form.
//! Others learn by autograd.

mod rows;
#[cfg(test)]
mod tests;

use garde::Validate;
use liprl_nets::{Weights, lipschitz::Sides};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{
    StateUnits,
    term::{Networks, Per, TermBatch, TermRows, TermSettings, TermShare, TermState, TermSums, ValueTerm},
};
use crate::{AgentError, actor_critic::outputs::values};

use rows::PenaltyRows;

/// A gradient penalty: λ mean φ(‖∇ₛ Q(s, a)‖₂ − k) at the replayed pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct ValuePenaltyConfig {
    /// λ, the weight of the term beside the critics' loss; both are means over the batch. 0
    /// measures the term and changes nothing. Default `0.1`.
    #[garde(range(min = 0.0, max = 1e9))]
    pub lambda: f64,
    /// k, the wanted norm of ∇ₛ Q, in the critics' outputs for each of `units`. Default `10`: like
    /// β it has to be of the size of the task's returns.
    #[garde(range(min = 0.0, max = 1e9))]
    pub target: f64,
    /// φ. Default `one`: a value may be flatter than k.
    pub sides: Sides,
    /// Unit of distances between states. Default `std`.
    pub units: StateUnits,
    /// Rows of each batch the term looks at, as in `robust`. Default `64`.
    #[garde(range(min = 1))]
    pub rows: usize,
    /// Critic updates from one with the term to the next, as in `robust`. Default `1`.
    #[garde(range(min = 1))]
    pub every: u64,
}

impl Default for ValuePenaltyConfig {
    fn default() -> Self {
        Self { lambda: 0.1, target: 10.0, sides: Sides::One, units: StateUnits::Std, rows: 64, every: 1 }
    }
}

impl ValueTerm for ValuePenaltyConfig {
    fn settings(&self) -> TermSettings {
        TermSettings { lambda: self.lambda, units: self.units, rows: self.rows, every: self.every }
    }

    fn metrics(&self) -> Vec<(&'static str, Per)> {
        vec![
            ("train/value_penalty", Per::Row),
            ("train/value_gradient_norm", Per::Value),
            ("train/value_gradient_above", Per::Value),
        ]
    }

    fn loss(
        &self,
        networks: &Networks<'_>,
        batch: &TermBatch,
        state: &TermState,
    ) -> Result<(Tensor, TermSums), AgentError> {
        let on = &batch.on;
        let unit = Tensor::f_from_slice(&state.unit)?.f_to_device(on.obs.device())?.f_to_kind(on.obs.kind())?;
        let obs = on.obs.f_detach()?.set_requires_grad(true);
        let mut sums = TermSums::default();
        let mut loss = Tensor::f_zeros([], (on.obs.kind(), on.obs.device()))?;
        for values in values(networks.critics, networks.params, &obs, &on.action)? {
            let sum = values.f_sum(values.kind())?;
            let gradient = Tensor::f_run_backward(&[&sum], &[&obs], true, true)?.swap_remove(0) * &unit;
            let (cost, norm) = self.sides.rows_autograd(&gradient, self.target)?;
            let part = (cost * &on.weight).f_sum(on.obs.kind())?;
            sums[0] += part.f_double_value(&[])?;
            sums[1] += norm.f_sum(Kind::Double)?.f_double_value(&[])?;
            sums[2] += norm.gt(self.target).f_sum(Kind::Double)?.f_double_value(&[])?;
            loss += part * state.weight;
        }
        Ok((loss, sums))
    }

    fn rows(
        &self,
        share: TermShare,
        networks: &Networks<'_>,
        _: &[Weights],
    ) -> Result<Option<Box<dyn TermRows>>, AgentError> {
        let rows = PenaltyRows::new(*self, share, networks)?;
        Ok(rows.map(|rows| Box::new(rows) as Box<dyn TermRows>))
    }
}
