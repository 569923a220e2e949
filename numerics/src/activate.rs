//! One layer's way from its matrix product to its output: bias, LayerNorm, activation.

use crate::{
    activation::Activation,
    kernels::{self, Norm},
    mlp::Layer,
};

/// Buffers for what the way back through a layer needs; those that it does not need may be empty.
#[derive(Debug)]
pub struct ActivationCache<'a> {
    /// LayerNorm's standardised rows, `[rows, outputs]`.
    pub hat: &'a mut [f32],
    /// LayerNorm's inverse deviations, `[rows]`.
    pub rstd: &'a mut [f32],
    /// The activation's input where its derivative needs it (swish, max_min), `[rows, outputs]`.
    pub input: &'a mut [f32],
}

impl Layer {
    /// Turns `z [rows, outputs]`, the matrix product, into the layer's output. `params` are the
    /// whole network's.
    pub fn activate(&self, params: &[f32], activation: Activation, z: &mut [f32], cache: ActivationCache<'_>) {
        let bias = &params[self.bias()..self.scale()];
        if self.last {
            kernels::add_bias(z, bias);
        } else if self.norm {
            let (scale, shift) = params[self.scale()..self.end()].split_at(self.outputs);
            kernels::norm_activate(z, Norm { bias, scale, shift }, activation, cache.hat, cache.rstd, cache.input);
        } else {
            kernels::bias_activate(z, bias, activation, cache.input);
        }
    }
}
