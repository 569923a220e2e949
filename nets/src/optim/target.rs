//! Networks that follow others slowly.

use liprl_numerics::{Mlp, kernels};
use tch::Device;

use super::flat::{rescale_outputs, weights};
use crate::{Buffer, NetsError, Weights};

/// Networks that follow others slowly (targets), in their layout and without an optimiser.
#[derive(Debug)]
pub struct Target {
    /// Their parameters.
    pub params: Buffer,
}

impl Target {
    /// Views of each network's parameters for hand-written passes.
    pub fn weights(&self, mlps: &[Mlp]) -> Vec<Weights> {
        weights(mlps, &self.params)
    }

    /// Polyak averaging on any device: target ← target + τ (params − target).
    pub fn follow(&mut self, params: &Buffer, tau: f64) -> Result<(), NetsError> {
        match self.params.tensor().device() {
            Device::Cpu => kernels::polyak(self.params.slice_mut(), params.slice(), tau as f32),
            _ => {
                let _ = tch::no_grad(|| self.params.tensor().shallow_clone().f_lerp_(params.tensor(), tau))?;
            }
        }
        Ok(())
    }

    /// Changes the last layers of these networks so that every output o becomes `factor` o +
    /// `shift`.
    pub fn rescale_outputs(&mut self, mlps: &[Mlp], factor: f64, shift: f64) -> Result<(), NetsError> {
        rescale_outputs(mlps, &mut self.params, factor, shift)
    }
}
