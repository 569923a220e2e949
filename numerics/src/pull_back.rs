//! A perceptron's outputs and their gradient by the input, in f64, one input at a time.
//!
//! Attacks on a policy climb this gradient. It works on the flat buffer, as acting does; the
//! autograd form is in `liprl-nets`.

use crate::mlp::{Mlp, NORM_EPS};

/// Scratch space for one network.
#[derive(Clone, Debug)]
pub struct PullBack {
    mlp: Mlp,
    /// Each layer's input, and the last layer's output.
    inputs: Vec<Vec<f64>>,
    /// The input of each layer's activation.
    before: Vec<Vec<f64>>,
    /// Each layer's standardised sums and 1/σ, if LayerNorm follows it.
    hat: Vec<Vec<f64>>,
    inverse_std: Vec<f64>,
    now: Vec<f64>,
    next: Vec<f64>,
}

impl PullBack {
    /// Scratch space for this network.
    pub fn new(mlp: &Mlp) -> Self {
        let widest = mlp.layers.iter().map(|layer| layer.outputs.max(layer.inputs)).max().unwrap_or(0);
        let outputs = || mlp.layers.iter().map(|layer| vec![0.0; layer.outputs]).collect();
        let inputs = mlp.layers.iter().map(|layer| layer.inputs).chain([mlp.outputs()]).map(|n| vec![0.0; n]).collect();
        Self {
            inputs,
            before: outputs(),
            hat: outputs(),
            inverse_std: vec![0.0; mlp.layers.len()],
            now: vec![0.0; widest],
            next: vec![0.0; widest],
            mlp: mlp.clone(),
        }
    }

    /// The outputs `[outputs]` of `params [len]` at `x [inputs]`; `back` then refers to this input.
    pub fn forward(&mut self, params: &[f32], x: &[f64]) -> &[f64] {
        self.inputs[0].copy_from_slice(x);
        for (l, layer) in self.mlp.layers.iter().enumerate() {
            let (past, future) = self.inputs.split_at_mut(l + 1);
            let (x, z) = (&past[l], &mut self.before[l]);
            let weight = params[layer.start..layer.bias()].chunks_exact(layer.inputs);
            for ((z, row), bias) in z.iter_mut().zip(weight).zip(&params[layer.bias()..layer.scale()]) {
                *z = f64::from(*bias) + row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
            }
            if layer.norm {
                let n = layer.outputs as f64;
                let mean = z.iter().sum::<f64>() / n;
                let variance = z.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / n;
                self.inverse_std[l] = (variance + NORM_EPS).sqrt().recip();
                let (scale, shift) = params[layer.scale()..layer.end()].split_at(layer.outputs);
                for (i, z) in z.iter_mut().enumerate() {
                    self.hat[l][i] = (*z - mean) * self.inverse_std[l];
                    *z = self.hat[l][i] * f64::from(scale[i]) + f64::from(shift[i]);
                }
            }
            let (carried, out) = match self.mlp.dense && !layer.last {
                true => future[0].split_at_mut(layer.inputs),
                false => (&mut [][..], &mut future[0][..]),
            };
            carried.copy_from_slice(&x[..carried.len()]);
            out.copy_from_slice(z);
            if !layer.last {
                self.mlp.activation.apply(out);
            }
        }
        &self.inputs[self.mlp.layers.len()]
    }

    /// Writes a function's derivative by the inputs into `out [inputs]`, given its derivative by
    /// the outputs, `slope [outputs]`. Call `forward` first.
    pub fn back(&mut self, params: &[f32], slope: &[f64], out: &mut [f64]) {
        self.now[..slope.len()].copy_from_slice(slope);
        for (l, layer) in self.mlp.layers.iter().enumerate().rev() {
            let now = &mut self.now[..layer.outputs];
            if !layer.last {
                self.mlp.activation.pull_back(&self.before[l], now);
            }
            if layer.norm {
                let (hat, n) = (&self.hat[l], layer.outputs as f64);
                let scale = &params[layer.scale()..layer.scale() + layer.outputs];
                now.iter_mut().zip(scale).for_each(|(d, scale)| *d *= f64::from(*scale));
                let mean = now.iter().sum::<f64>() / n;
                let along = now.iter().zip(hat).map(|(d, hat)| d * hat).sum::<f64>() / n;
                for (d, hat) in now.iter_mut().zip(hat) {
                    *d = self.inverse_std[l] * (*d - mean - hat * along);
                }
            }
            let next = &mut self.next[..layer.inputs];
            if layer.last || !self.mlp.dense {
                next.fill(0.0); // a densely connected layer adds to what those after it have made of its inputs
            }
            for (d, row) in now.iter().zip(params[layer.start..layer.bias()].chunks_exact(layer.inputs)) {
                next.iter_mut().zip(row).for_each(|(next, w)| *next += d * f64::from(*w));
            }
            if !self.mlp.dense {
                std::mem::swap(&mut self.now, &mut self.next);
            } else if let Some(before) = l.checked_sub(1).map(|l| &self.mlp.layers[l]) {
                self.now[..before.outputs].copy_from_slice(&next[before.inputs..]);
            }
        }
        out.copy_from_slice(&if self.mlp.dense { &self.next } else { &self.now }[..out.len()]);
    }
}
