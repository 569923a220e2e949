//! A perceptron's outputs for one observation, computed on the flat buffer. Acting happens at every
//! environment step, and a chain of libtorch calls would cost several times the arithmetic.

use crate::{activate::ActivationCache, kernels, mlp::Mlp};

/// Scratch space for one network.
#[derive(Clone, Debug)]
pub struct Single {
    mlp: Mlp,
    now: Vec<f32>,
    next: Vec<f32>,
    hat: Vec<f32>,
    kept: Vec<f32>,
}

impl Single {
    /// Scratch space for this network.
    pub fn new(mlp: &Mlp) -> Self {
        let widest = mlp.layers.iter().map(|layer| layer.outputs.max(layer.inputs)).max().unwrap_or(0);
        let space = || vec![0.0; widest];
        Self { mlp: mlp.clone(), now: space(), next: space(), hat: space(), kept: space() }
    }

    /// The outputs `[outputs]` of `params [len]` at `x [inputs]`.
    pub fn forward(&mut self, params: &[f32], x: &[f32]) -> &[f32] {
        self.now[..x.len()].copy_from_slice(x);
        for layer in &self.mlp.layers {
            let n = layer.outputs;
            let out = &mut self.next[..n];
            kernels::matvec(&params[layer.start..layer.bias()], &self.now[..layer.inputs], out);
            let (hat, input) = (&mut self.hat[..n], &mut self.kept[..n]);
            let cache = ActivationCache { hat, rstd: &mut [0.0], input };
            layer.activate(params, self.mlp.activation, out, cache);
            if self.mlp.dense && !layer.last {
                self.now[layer.inputs..layer.inputs + n].copy_from_slice(&self.next[..n]);
            } else {
                std::mem::swap(&mut self.now, &mut self.next);
            }
        }
        &self.now[..self.mlp.outputs()]
    }
}
