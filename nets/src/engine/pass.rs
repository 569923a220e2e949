//! Values forward and gradients back over a fixed number of rows.

use liprl_numerics::{Activation, ActivationCache, Mlp, kernels};
use tch::Tensor;

use super::{Gradient, Tangents, Weights};
use crate::{Buffer, NetsError, product};

/// Buffers of one network's forward and backward pass over a fixed number of rows.
#[derive(Debug)]
pub struct Pass {
    mlp: Mlp,
    layers: Vec<Kept>,
    /// Sink for discarded gradients, so that the loops need no second form.
    unwanted: Vec<f32>,
}

/// One layer's buffers between forward and backward.
#[derive(Debug)]
struct Kept {
    /// The layer's output, `[rows, outputs]`.
    out: Buffer,
    /// Gradient with respect to the output, then to the matrix product, `[rows, outputs]`.
    delta: Buffer,
    /// `delta` transposed.
    delta_t: Tensor,
    /// LayerNorm's standardised rows and inverse deviations.
    hat: Vec<f32>,
    rstd: Vec<f32>,
    /// The activation's input, where its derivative needs it.
    input: Vec<f32>,
}

impl Pass {
    /// Allocates for `rows` rows through `mlp`.
    pub fn new(mlp: &Mlp, rows: usize) -> Result<Self, NetsError> {
        let layers = mlp
            .layers
            .iter()
            .map(|layer| {
                let delta = Buffer::zeros(&[rows, layer.outputs])?;
                let numbers = |wanted: bool, n: usize| vec![0.0; if wanted { n } else { 0 }];
                Ok(Kept {
                    out: Buffer::zeros(&[rows, layer.outputs])?,
                    delta_t: delta.tensor().f_tr()?,
                    delta,
                    hat: numbers(layer.norm, rows * layer.outputs),
                    rstd: numbers(layer.norm, rows),
                    input: numbers(mlp.activation == Activation::Swish && !layer.last, rows * layer.outputs),
                })
            })
            .collect::<Result<_, NetsError>>()?;
        let widest = mlp.layers.iter().map(|layer| layer.end() - layer.bias()).max().unwrap_or(0);
        Ok(Self { mlp: mlp.clone(), layers, unwanted: vec![0.0; widest] })
    }

    /// Runs `x [rows, inputs]` through the network. Returns its output, row-major
    /// `[rows, outputs]`.
    pub fn forward(&mut self, weights: &Weights, x: &Tensor) -> Result<&[f32], NetsError> {
        self.run(weights, x, self.layers.len())?;
        Ok(self.output())
    }

    /// Runs `x [rows, inputs]` through the hidden layers alone.
    pub fn forward_hidden(&mut self, weights: &Weights, x: &Tensor) -> Result<(), NetsError> {
        self.run(weights, x, self.layers.len() - 1)
    }

    fn run(&mut self, weights: &Weights, x: &Tensor, layers: usize) -> Result<(), NetsError> {
        let params = weights.params();
        for (i, layer) in self.mlp.layers[..layers].iter().enumerate() {
            let (before, rest) = self.layers.split_at_mut(i);
            let Kept { out, hat, rstd, input, .. } = &mut rest[0];
            weights.multiply(i, before.last().map_or(x, |kept| kept.out.tensor()), out)?;
            layer.activate(params, self.mlp.activation, out.slice_mut(), ActivationCache { hat, rstd, input });
        }
        Ok(())
    }

    /// Layer `layer`'s output of the last forward, `[rows, outputs]`.
    pub(super) fn layer(&self, layer: usize) -> &[f32] {
        self.layers[layer].out.slice()
    }

    /// The last forward's output, `[rows, outputs]`.
    pub fn output(&self) -> &[f32] {
        self.layers.last().map_or(&[], |kept| kept.out.slice())
    }

    /// The output, and the buffer for the loss's gradient with respect to it, both
    /// `[rows, outputs]`.
    pub fn output_and_gradient(&mut self) -> (&[f32], &mut [f32]) {
        match self.layers.last_mut() {
            Some(kept) => (kept.out.slice(), kept.delta.slice_mut()),
            None => (&[], &mut []),
        }
    }

    /// Takes the gradient with respect to the output back through every layer. With `gradient`,
    /// writes the parameters' gradient as its network number `index`; `x` is the forward's input.
    pub fn backward(
        &mut self,
        weights: &Weights,
        x: &Tensor,
        gradient: Option<(&mut Gradient, usize)>,
    ) -> Result<(), NetsError> {
        self.back(weights, x, gradient, false, None)
    }

    /// Adds the parameters' gradient to network number `index` of `gradient`; else as `backward`.
    pub fn backward_adding(
        &mut self,
        weights: &Weights,
        x: &Tensor,
        gradient: &mut Gradient,
        index: usize,
    ) -> Result<(), NetsError> {
        self.back(weights, x, Some((gradient, index)), true, None)
    }

    /// Goes back as `backward` for a loss that also depends on `tangents`, which have pulled their
    /// cotangents back: hidden values receive the curvature's part. The caller adds the tangents'
    /// own gradient.
    pub fn backward_curved(
        &mut self,
        weights: &Weights,
        x: &Tensor,
        gradient: (&mut Gradient, usize),
        tangents: &Tangents,
    ) -> Result<(), NetsError> {
        self.back(weights, x, Some(gradient), false, Some(tangents))
    }

    fn back(
        &mut self,
        weights: &Weights,
        x: &Tensor,
        gradient: Option<(&mut Gradient, usize)>,
        add: bool,
        tangents: Option<&Tangents>,
    ) -> Result<(), NetsError> {
        let params = weights.params();
        let (mut flat, views) = match gradient {
            Some((gradient, index)) => {
                let start = gradient.offsets[index];
                (Some(&mut gradient.flat.slice_mut()[start..start + self.mlp.len()]), Some(&gradient.weights[index]))
            }
            None => (None, None),
        };
        for (i, layer) in self.mlp.layers.iter().enumerate().rev() {
            let (before, rest) = self.layers.split_at_mut(i);
            let kept = &mut rest[0];
            let outside = match &mut flat {
                Some(flat) => &mut flat[layer.bias()..layer.end()],
                None => &mut self.unwanted[..layer.end() - layer.bias()],
            };
            if !add {
                outside.fill(0.0);
            }
            let (bias, norm) = outside.split_at_mut(layer.outputs);
            let (delta, out) = (kept.delta.slice_mut(), kept.out.slice());
            if layer.last {
                kernels::add_rows(delta, bias);
            } else if layer.norm {
                let (scale_grad, shift_grad) = norm.split_at_mut(layer.outputs);
                let grad = kernels::NormGrad { bias, scale: scale_grad, shift: shift_grad };
                let scale = &params[layer.scale()..layer.scale() + layer.outputs];
                kernels::norm_backward(
                    delta,
                    out,
                    &kept.input,
                    &kept.hat,
                    &kept.rstd,
                    scale,
                    self.mlp.activation,
                    grad,
                );
            } else if let Some(curvature) = tangents.and_then(|tangents| tangents.curvature(i)) {
                kernels::slope_backward(delta, out, &kept.input, self.mlp.activation);
                kernels::add(delta, curvature);
                kernels::add_rows(delta, bias);
            } else {
                kernels::activation_backward(delta, out, &kept.input, self.mlp.activation, bias);
            }
            if let Some(views) = views {
                let input = before.last().map_or(x, |kept| kept.out.tensor());
                product(&views[i], &kept.delta_t, input, add)?;
            }
            if let Some(previous) = before.last() {
                product(previous.delta.tensor(), kept.delta.tensor(), &weights.backward[i], false)?;
            }
        }
        Ok(())
    }

    /// Writes the gradient with respect to some columns of the input, after `backward`; `columns`
    /// is `Weights::first_columns` of them.
    pub fn input_gradient(&self, columns: &Tensor, out: &Buffer) -> Result<(), NetsError> {
        if let Some(first) = self.layers.first() {
            product(out.tensor(), first.delta.tensor(), columns, false)?;
        }
        Ok(())
    }
}
