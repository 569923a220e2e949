//! A perceptron's hand-written forward and backward on a CPU, over buffers allocated once: faer multiplies the matrices, everything
//! between two products is one loop.

use liprl_numerics::{Activation, Mlp, kernels};
use tch::Tensor;

use crate::{Buffer, NetsError, product};

/// One network's parameters as the products want them: views into a flat buffer, kept by whoever runs a `Pass`.
#[derive(Debug)]
pub struct Weights {
    flat: Tensor,
    forward: Vec<Tensor>,
    backward: Vec<Tensor>,
}

impl Weights {
    /// Views of `mlp`'s parameters in `flat` from `offset` on. They follow every later change of `flat`.
    pub fn new(mlp: &Mlp, flat: &Buffer, offset: usize) -> Self {
        let flat = flat.tensor().narrow(0, offset as i64, mlp.len() as i64);
        let backward: Vec<Tensor> = mlp
            .layers
            .iter()
            .map(|layer| {
                let (outputs, inputs) = (layer.outputs as i64, layer.inputs as i64);
                flat.narrow(0, layer.start as i64, outputs * inputs).view([outputs, inputs])
            })
            .collect();
        let forward = backward.iter().map(Tensor::tr).collect();
        Self { flat, forward, backward }
    }

    /// The first layer's weight from column `start` on, `[outputs, count]`: what an input gradient of those columns needs.
    pub fn first_columns(&self, start: usize, count: usize) -> Tensor {
        self.backward[0].narrow(1, start as i64, count as i64)
    }

    /// `out = x Wᵀ` for layer `layer`: x `[rows, inputs]`, out `[rows, outputs]`; no bias.
    pub fn multiply(&self, layer: usize, x: &Tensor, out: &Buffer) -> Result<(), NetsError> {
        product(out.tensor(), x, &self.forward[layer], false)
    }

    /// `multiply` into a tensor of this shape.
    pub(super) fn multiply_into(&self, layer: usize, x: &Tensor, out: &Tensor) -> Result<(), NetsError> {
        product(out, x, &self.forward[layer], false)
    }

    /// `out = delta W` for layer `layer`: delta `[rows, outputs]`, out `[rows, inputs]`.
    pub fn multiply_back(&self, layer: usize, delta: &Tensor, out: &Buffer) -> Result<(), NetsError> {
        product(out.tensor(), delta, &self.backward[layer], false)
    }

    /// The network's parameters.
    pub fn params(&self) -> &[f32] {
        // SAFETY: a contiguous f32 CPU view whose memory the `Buffer` it came from shares with it; written only between passes.
        unsafe { std::slice::from_raw_parts(self.flat.data_ptr().cast(), self.flat.numel()) }
    }
}

/// A gradient with respect to one network's parameters, laid out as the parameters are.
#[derive(Debug)]
pub struct Gradient {
    flat: Buffer,
    weights: Vec<Vec<Tensor>>,
    offsets: Vec<usize>,
}

impl Gradient {
    /// Room for the gradients of these networks, which lie one after the other in one flat buffer.
    pub fn new(mlps: &[&Mlp]) -> Result<Self, NetsError> {
        let flat = Buffer::zeros(&[mlps.iter().map(|mlp| mlp.len()).sum()])?;
        let (mut weights, mut offsets, mut offset) = (Vec::new(), Vec::new(), 0);
        for mlp in mlps {
            weights.push(Weights::new(mlp, &flat, offset).backward);
            offsets.push(offset);
            offset += mlp.len();
        }
        Ok(Self { flat, weights, offsets })
    }

    /// All of it.
    pub fn slice(&self) -> &[f32] {
        self.flat.slice()
    }

    /// All of it, to change.
    pub fn slice_mut(&mut self) -> &mut [f32] {
        self.flat.slice_mut()
    }

    /// Network number `index`'s part.
    pub fn part_mut(&mut self, index: usize, mlp: &Mlp) -> &mut [f32] {
        let start = self.offsets[index];
        &mut self.flat.slice_mut()[start..start + mlp.len()]
    }

    /// Adds `a b` (`[outputs, rows]` by `[rows, inputs]`) to the gradient of network number `index`'s weight `layer`.
    pub fn add_product(&mut self, index: usize, layer: usize, a: &Tensor, b: &Tensor) -> Result<(), NetsError> {
        product(&self.weights[index][layer], a, b, true)
    }
}

/// The buffers of one network's forward and backward pass over a fixed number of rows.
#[derive(Debug)]
pub struct Pass {
    mlp: Mlp,
    layers: Vec<Kept>,
    /// Where gradients nobody asked for go, so that the loops need no second form.
    unwanted: Vec<f32>,
}

/// What one layer keeps between forward and backward.
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
    /// Buffers for `rows` rows through `mlp`.
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

    /// Runs `x [rows, inputs]` through the network and returns its output, row-major `[rows, outputs]`.
    pub fn forward(&mut self, weights: &Weights, x: &Tensor) -> Result<&[f32], NetsError> {
        let params = weights.params();
        for (i, layer) in self.mlp.layers.iter().enumerate() {
            let (before, rest) = self.layers.split_at_mut(i);
            let kept = &mut rest[0];
            let input = before.last().map_or(x, |kept| kept.out.tensor());
            product(kept.out.tensor(), input, &weights.forward[i], false)?;
            let bias = &params[layer.bias()..layer.bias() + layer.outputs];
            let out = kept.out.slice_mut();
            if layer.last {
                kernels::add_bias(out, bias);
            } else if layer.norm {
                let (scale, shift) = params[layer.scale()..layer.end()].split_at(layer.outputs);
                let norm = kernels::Norm { bias, scale, shift };
                kernels::norm_activate(out, norm, self.mlp.activation, &mut kept.hat, &mut kept.rstd, &mut kept.input);
            } else {
                kernels::bias_activate(out, bias, self.mlp.activation, &mut kept.input);
            }
        }
        Ok(self.output())
    }

    /// The last forward's output, `[rows, outputs]`.
    pub fn output(&self) -> &[f32] {
        self.layers.last().map_or(&[], |kept| kept.out.slice())
    }

    /// The output and the place for the loss's gradient with respect to it, both `[rows, outputs]`.
    pub fn output_and_gradient(&mut self) -> (&[f32], &mut [f32]) {
        match self.layers.last_mut() {
            Some(kept) => (kept.out.slice(), kept.delta.slice_mut()),
            None => (&[], &mut []),
        }
    }

    /// Takes the gradient with respect to the output back through every layer. With `gradient`, writes the parameters'
    /// gradient as its network number `index`; `x` is the forward's input.
    pub fn backward(
        &mut self,
        weights: &Weights,
        x: &Tensor,
        gradient: Option<(&mut Gradient, usize)>,
    ) -> Result<(), NetsError> {
        self.back(weights, x, gradient, false)
    }

    /// `backward` that adds to what `gradient` holds as its network number `index`.
    pub fn backward_adding(
        &mut self,
        weights: &Weights,
        x: &Tensor,
        gradient: &mut Gradient,
        index: usize,
    ) -> Result<(), NetsError> {
        self.back(weights, x, Some((gradient, index)), true)
    }

    fn back(
        &mut self,
        weights: &Weights,
        x: &Tensor,
        gradient: Option<(&mut Gradient, usize)>,
        add: bool,
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

    /// After `backward`: the gradient with respect to some columns of the input, `columns` being `Weights::first_columns` of them.
    pub fn input_gradient(&self, columns: &Tensor, out: &Buffer) -> Result<(), NetsError> {
        if let Some(first) = self.layers.first() {
            product(out.tensor(), first.delta.tensor(), columns, false)?;
        }
        Ok(())
    }
}
