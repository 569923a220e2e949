//! A network's parameters as products take them, and a gradient laid out likewise.

use liprl_numerics::Mlp;
use tch::Tensor;

use crate::{Buffer, NetsError, network_product, product};

/// One network's parameters as products take them: views into a flat buffer.
#[derive(Debug)]
pub struct Weights {
    flat: Tensor,
    pub(super) forward: Vec<Tensor>,
    pub(super) backward: Vec<Tensor>,
}

impl Weights {
    /// Views of `mlp`'s parameters in `flat` from `offset` on. They follow every later change of
    /// `flat`.
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

    /// The first layer's weight from column `start` on, `[outputs, count]`, for the gradient with
    /// respect to these inputs.
    pub fn first_columns(&self, start: usize, count: usize) -> Tensor {
        self.backward[0].narrow(1, start as i64, count as i64)
    }

    /// Writes `out = x Wᵀ` for layer `layer`: x `[rows, inputs]`, out `[rows, outputs]`; no bias. In
    /// f32 whatever the run's precision.
    pub fn multiply(&self, layer: usize, x: &Tensor, out: &Buffer) -> Result<(), NetsError> {
        product(out.tensor(), x, &self.forward[layer], false)
    }

    /// Writes that product into a tensor of this shape, in the run's precision.
    pub(super) fn multiply_into(&self, layer: usize, x: &Tensor, out: &Tensor) -> Result<(), NetsError> {
        network_product(out, x, &self.forward[layer], false)
    }

    /// Writes `out = delta W` for layer `layer`: delta `[rows, outputs]`, out `[rows, inputs]`.
    pub(super) fn multiply_back(&self, layer: usize, delta: &Tensor, out: &Tensor) -> Result<(), NetsError> {
        product(out, delta, &self.backward[layer], false)
    }

    /// The network's parameters.
    pub fn params(&self) -> &[f32] {
        // SAFETY: a contiguous f32 CPU view whose memory the `Buffer` it came from shares with it;
        // written only between passes.
        unsafe { std::slice::from_raw_parts(self.flat.data_ptr().cast(), self.flat.numel()) }
    }
}

/// A gradient with respect to one network's parameters, laid out as the parameters are.
#[derive(Debug)]
pub struct Gradient {
    pub(super) flat: Buffer,
    pub(super) weights: Vec<Vec<Tensor>>,
    pub(super) offsets: Vec<usize>,
}

impl Gradient {
    /// Allocates the gradients of these networks, which lie one after the other in one flat buffer.
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

    /// All of it, as a tensor on the same memory.
    pub fn tensor(&self) -> &Tensor {
        self.flat.tensor()
    }

    /// Network number `index`'s part.
    pub fn part_mut(&mut self, index: usize, mlp: &Mlp) -> &mut [f32] {
        let start = self.offsets[index];
        &mut self.flat.slice_mut()[start..start + mlp.len()]
    }

    /// Adds `a b` (`[outputs, rows]` by `[rows, inputs]`) to the gradient of network number
    /// `index`'s weight `layer`.
    pub fn add_product(&mut self, index: usize, layer: usize, a: &Tensor, b: &Tensor) -> Result<(), NetsError> {
        product(&self.weights[index][layer], a, b, true)
    }
}
