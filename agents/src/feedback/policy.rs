//! The policy of either kind, as the agent and its evaluations use it.

use liprl_numerics::RunningNormaliser;

use super::{network::Network, pairs::LabelledPairs, solved::SolvedPolicy};
use crate::AgentError;

/// A policy that is trained or solved.
pub(super) enum FeedbackPolicy {
    Network(Box<Network>),
    Solved(Box<SolvedPolicy>),
}

impl FeedbackPolicy {
    /// Writes the greedy action in `[-1, 1]` at `obs [O]` into `action [A]`.
    pub(super) fn act(
        &mut self,
        normaliser: Option<&RunningNormaliser>,
        data: &LabelledPairs,
        obs: &[f32],
        action: &mut [f32],
    ) {
        match self {
            Self::Network(network) => network.act(normaliser, obs, action),
            Self::Solved(solved) => {
                let x: Vec<f64> = obs.iter().map(|&x| f64::from(x)).collect();
                let mut u = vec![0.0; action.len()];
                solved.table.value(&x, &mut u);
                let sides = action.iter_mut().zip(u).zip(&data.half_width);
                sides.for_each(|((action, u), half_width)| *action = (u / half_width).clamp(-1.0, 1.0) as f32);
            }
        }
    }

    /// A proven Lipschitz constant in the environment's units.
    pub(super) fn certified(&self) -> Result<f64, AgentError> {
        match self {
            Self::Network(network) => network.certified(),
            Self::Solved(solved) => Ok(solved.table.alpha()),
        }
    }
}
