//! Muon: steps along the orthonormal factor of the momentum (arXiv 2507.13338).

use std::ops::Range;

use liprl_numerics::{Mlp, kernels::AdamStep};
use tch::{Device, Tensor};

use super::matrices::Matrix;
use crate::{MuonConfig, NetsError};

/// Muon on the weight matrices of one or more networks.
#[derive(Debug)]
pub(super) struct Muon {
    config: MuonConfig,
    matrices: Vec<Matrix>,
}

/// A step's size: W ← (1 − `decay`) W, then a change of norm at most `rate` √(outputs / inputs).
#[derive(Clone, Copy, Debug)]
pub(super) struct StepBound {
    pub(super) rate: f64,
    pub(super) decay: f64,
}

impl Muon {
    pub(super) fn new(config: MuonConfig, mlps: &[Mlp], device: Device) -> Result<Self, NetsError> {
        Ok(Self { config, matrices: Matrix::all(mlps, device)? })
    }

    /// The size of a step at this factor of the schedule.
    pub(super) fn bound(&self, factor: f64) -> StepBound {
        let rate = self.config.lr * factor;
        StepBound { rate, decay: rate * self.config.weight_decay }
    }

    /// The ranges between matrices, which are Adam's: biases, LayerNorm's numbers.
    pub(super) fn others(&self, len: usize) -> Vec<Range<usize>> {
        let starts = self.matrices.iter().map(|matrix| matrix.start).chain([len]);
        let ends = [0].into_iter().chain(self.matrices.iter().map(|matrix| matrix.start + matrix.len()));
        ends.zip(starts).map(|(end, start)| end..start).filter(|range| !range.is_empty()).collect()
    }

    /// Moves the matrices in `params`, their momenta in `m`, down `gradient` (flat, all of one
    /// length) times the step's scale.
    pub(super) fn step(
        &mut self,
        [params, m, gradient]: [&Tensor; 3],
        step: AdamStep,
        bound: StepBound,
    ) -> Result<(), NetsError> {
        for matrix in &mut self.matrices {
            let (mut w, mut m, gradient) = (matrix.of(params)?, matrix.of(m)?, matrix.of(gradient)?);
            let kept = self.config.momentum;
            let _ = m.f_mul_scalar_(kept)?.f_add_(&(gradient * ((1.0 - kept) * f64::from(step.scale))))?;
            let sign = matrix.msign(&m)?;
            if bound.decay > 0.0 {
                let _ = w.f_mul_scalar_(1.0 - bound.decay)?;
            }
            let _ = w.f_sub_(&(sign * (bound.rate * matrix.scale())))?;
        }
        Ok(())
    }
}
