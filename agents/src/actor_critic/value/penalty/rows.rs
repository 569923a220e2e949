//! The CPU form of the gradient penalty over a share of the rows.

use liprl_nets::{
    Buffer, Gradient, Weights,
    lipschitz::{InputGradient, NORM_FLOOR},
};

use super::ValuePenaltyConfig;
use crate::{
    AgentError,
    actor_critic::{
        batch::Rows,
        value::term::{Networks, TermRows, TermShare, TermState, TermSums},
    },
};

/// The term over one share's rows.
#[derive(Debug)]
pub(super) struct PenaltyRows {
    config: ValuePenaltyConfig,
    share: TermShare,
    obs_dim: usize,
    act_dim: usize,
    /// (s, a), `[n, O + A]`.
    pairs: Buffer,
    input_gradient: InputGradient,
    sums: TermSums,
}

impl PenaltyRows {
    /// Buffers for these rows; `None` if the critics are not piecewise linear.
    pub(super) fn new(
        config: ValuePenaltyConfig,
        share: TermShare,
        networks: &Networks<'_>,
    ) -> Result<Option<Self>, AgentError> {
        let (obs_dim, act_dim) = networks.dims();
        let count = share.rows.len();
        let Some(input_gradient) = InputGradient::new(&networks.critics.mlps()[0], count)? else { return Ok(None) };
        let pairs = Buffer::zeros(&[count, obs_dim + act_dim])?;
        Ok(Some(Self { config, share, obs_dim, act_dim, pairs, input_gradient, sums: TermSums::default() }))
    }
}

impl TermRows for PenaltyRows {
    fn finish(
        &mut self,
        state: &TermState,
        (index, weights): (usize, &Weights),
        rows: &Rows,
        gradient: &mut Gradient,
    ) -> Result<(), AgentError> {
        let (obs_dim, act_dim, width) = (self.obs_dim, self.act_dim, self.obs_dim + self.act_dim);
        for (pair, &row) in self.pairs.slice_mut().chunks_exact_mut(width).zip(&self.share.rows) {
            pair[..obs_dim].copy_from_slice(&rows.obs.slice()[row * obs_dim..(row + 1) * obs_dim]);
            pair[obs_dim..].copy_from_slice(&rows.action.slice()[row * act_dim..(row + 1) * act_dim]);
        }
        self.input_gradient.run(weights, self.pairs.tensor())?;
        let (g, outer) = self.input_gradient.gradient_and_outer();
        let each = g.chunks_exact(width).zip(outer.chunks_exact_mut(width)).zip(&self.share.rows);
        for ((g, outer), &row) in each {
            let (g, weight) = (&g[..obs_dim], f64::from(rows.weight.slice()[row]));
            let squares = g.iter().zip(&state.unit).map(|(g, unit)| f64::from(g * unit).powi(2)).sum::<f64>();
            let norm = (squares + NORM_FLOOR).sqrt();
            let (outer, of_action) = outer.split_at_mut(obs_dim);
            of_action.fill(0.0); // the penalty is on ∇ₛ alone
            let (sides, target) = (self.config.sides, self.config.target);
            let cost = sides.row_by_hand((norm, target), state.weight * weight, (g, &state.unit), outer);
            self.sums[0] += weight * cost;
            self.sums[1] += norm;
            self.sums[2] += f64::from(u8::from(norm > target));
        }
        Ok(self.input_gradient.backward(weights, gradient, index)?)
    }

    fn take_sums(&mut self) -> TermSums {
        std::mem::take(&mut self.sums)
    }
}
