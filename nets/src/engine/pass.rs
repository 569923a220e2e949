//! Values forward and gradients back over a fixed number of rows.

use liprl_numerics::{ActivationCache, Mlp, kernels};
use tch::Tensor;

use super::{Gradient, Tangents, Weights};
use crate::{Buffer, NetsError, network_product};

/// Buffers of one network's forward and backward pass over a fixed number of rows.
#[derive(Debug)]
pub struct Pass {
    mlp: Mlp,
    rows: usize,
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
                    input: numbers(mlp.activation.needs_input() && !layer.last, rows * layer.outputs),
                })
            })
            .collect::<Result<_, NetsError>>()?;
        let widest = mlp.layers.iter().map(|layer| layer.end() - layer.bias()).max().unwrap_or(0);
        Ok(Self { mlp: mlp.clone(), rows, layers, unwanted: vec![0.0; widest] })
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
            weights.multiply_into(i, before.last().map_or(x, |kept| kept.out.tensor()), out.tensor())?;
            layer.activate(params, self.mlp.activation, out.slice_mut(), ActivationCache { hat, rstd, input });
        }
        Ok(())
    }

    /// Layer `layer`'s output of the last forward, `[rows, outputs]`.
    pub(super) fn layer(&self, layer: usize) -> &[f32] {
        self.layers[layer].out.slice()
    }

    /// The inputs of layer `layer`'s activation, `[rows, outputs]`; empty if its output tells its
    /// derivative.
    pub(super) fn activation_input(&self, layer: usize) -> &[f32] {
        &self.layers[layer].input
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
        self.back(weights, Some(x), gradient, false, None, self.rows)
    }

    /// Adds the parameters' gradient to network number `index` of `gradient`; else as `backward`.
    pub fn backward_adding(
        &mut self,
        weights: &Weights,
        x: &Tensor,
        gradient: &mut Gradient,
        index: usize,
    ) -> Result<(), NetsError> {
        self.back(weights, Some(x), Some((gradient, index)), true, None, self.rows)
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
        self.back(weights, Some(x), Some(gradient), false, Some(tangents), self.rows)
    }

    /// Writes the gradient with respect to some columns of the input of a loss that only some rows of
    /// the last forward have a part in, `chosen`, in ascending order, `[chosen, columns]`. The
    /// loss's gradient with respect to their output stands in the first rows of
    /// [`Pass::output_and_gradient`]. The products are over these rows alone. What the pass keeps of
    /// the forward is overwritten.
    pub fn input_gradient_of(
        &mut self,
        weights: &Weights,
        chosen: &[u32],
        columns: &Tensor,
        out: &Buffer,
    ) -> Result<(), NetsError> {
        for (kept, layer) in self.layers.iter_mut().zip(&self.mlp.layers) {
            let width = layer.outputs;
            gather(kept.out.slice_mut(), chosen, width);
            gather(&mut kept.hat, chosen, width);
            gather(&mut kept.input, chosen, width);
            gather(&mut kept.rstd, chosen, 1);
        }
        self.back(weights, None, None, false, None, chosen.len())?;
        let Some(first) = self.layers.first() else { return Ok(()) };
        network_product(&narrowed(out, chosen.len())?, &narrowed(&first.delta, chosen.len())?, columns, false)
    }

    fn back(
        &mut self,
        weights: &Weights,
        x: Option<&Tensor>,
        gradient: Option<(&mut Gradient, usize)>,
        add: bool,
        tangents: Option<&Tangents>,
        rows: usize,
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
            let (delta, out) = (&mut kept.delta.slice_mut()[..rows * layer.outputs], kept.out.slice());
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
            if let (Some(views), Some(input)) = (views, before.last().map(|kept| kept.out.tensor()).or(x)) {
                network_product(&views[i], &kept.delta_t, input, add)?;
            }
            let Some(previous) = before.last() else { continue };
            if rows == self.rows {
                network_product(previous.delta.tensor(), kept.delta.tensor(), &weights.backward[i], false)?;
            } else {
                let (into, delta) = (narrowed(&previous.delta, rows)?, narrowed(&kept.delta, rows)?);
                network_product(&into, &delta, &weights.backward[i], false)?;
            }
        }
        Ok(())
    }

    /// Writes the gradient with respect to some columns of the input, after `backward`; `columns`
    /// is `Weights::first_columns` of them.
    pub fn input_gradient(&self, columns: &Tensor, out: &Buffer) -> Result<(), NetsError> {
        if let Some(first) = self.layers.first() {
            network_product(out.tensor(), first.delta.tensor(), columns, false)?;
        }
        Ok(())
    }
}

/// Moves the chosen rows, in ascending order, to the front.
fn gather(numbers: &mut [f32], chosen: &[u32], width: usize) {
    if numbers.is_empty() {
        return;
    }
    for (to, &from) in chosen.iter().enumerate() {
        let from = from as usize * width;
        numbers.copy_within(from..from + width, to * width);
    }
}

/// The first rows of a buffer, as a tensor on the same memory.
fn narrowed(buffer: &Buffer, rows: usize) -> Result<Tensor, NetsError> {
    Ok(buffer.tensor().f_narrow(0, 0, rows as i64)?)
}
