//! Outputs of critic networks: what they take, what they put out, and the units of that.

use liprl_nets::{Buffer, NetsError, optim::TrainState};
use tch::Tensor;

use super::value::TermSums;

/// Units of a critic's output n, which stands for `scale` n + `shift` in units of reward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Units {
    /// σ.
    pub(crate) scale: f32,
    /// μ.
    pub(crate) shift: f32,
}

impl Units {
    /// The output is the value.
    pub(crate) const PLAIN: Self = Self { scale: 1.0, shift: 0.0 };

    /// The values of these outputs, any device.
    pub(crate) fn values(self, outputs: &Tensor) -> Tensor {
        if self == Self::PLAIN {
            outputs.shallow_clone()
        } else {
            outputs * f64::from(self.scale) + f64::from(self.shift)
        }
    }
}

/// Sums over one share's rows of the terms that metrics average.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CriticSums {
    /// wᵢ ℓ, over rows and critics.
    pub(crate) loss: f64,
    /// The first critic's values, in units of reward.
    pub(crate) value: f64,
    /// A value regulariser's sums, over its rows and the critics.
    pub(crate) term: TermSums,
}

/// Writes rows of (s, a).
pub(crate) fn join(obs: &[f32], action: &[f32], obs_dim: usize, act_dim: usize, out: &mut Buffer) {
    let rows = obs.chunks_exact(obs_dim).zip(action.chunks_exact(act_dim));
    for (out, (obs, action)) in out.slice_mut().chunks_exact_mut(obs_dim + act_dim).zip(rows) {
        out[..obs_dim].copy_from_slice(obs);
        out[obs_dim..].copy_from_slice(action);
    }
}

/// Each critic's outputs `[B, N]` at (`obs`, `action`), by autograd over `params`.
pub(crate) fn outputs(
    critics: &TrainState,
    params: &Tensor,
    obs: &Tensor,
    action: &Tensor,
) -> Result<Vec<Tensor>, NetsError> {
    let pairs = Tensor::f_cat(&[obs, action], 1)?;
    Ok((0..critics.mlps().len()).map(|index| critics.forward(index, params, &pairs)).collect())
}

/// The outputs `[B]` of critics that have one each, as [`outputs`].
pub(crate) fn values(
    critics: &TrainState,
    params: &Tensor,
    obs: &Tensor,
    action: &Tensor,
) -> Result<Vec<Tensor>, NetsError> {
    outputs(critics, params, obs, action)?.iter().map(|output| Ok(output.f_squeeze_dim(-1)?)).collect()
}
