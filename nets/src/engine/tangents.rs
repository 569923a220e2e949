//! Jacobians and directional derivatives of a perceptron over rows, and the parameters' gradient of
//! any function of them: the double backward in closed form (docs/derivations/liayn.md).
//!
//! With values zₖ = Wₖ yₖ₋₁ + bₖ and yₖ = σ(zₖ), a direction t₀ is carried forward and cotangents
//! of the output are pulled back:
//!
//!   tₖ = σ′(zₖ) ⊙ Wₖ tₖ₋₁,   uₖ = σ′(zₖ) ⊙ Wₖ₊₁ᵀ uₖ₊₁.
//!
//! For a function of the derivative uᵀ J t the gradient with respect to Wₖ is uₖ tₖ₋₁ᵀ, and zₖ also
//! receives σ″(zₖ) ⊙ Wₖ tₖ₋₁ ⊙ Wₖ₊₁ᵀ uₖ₊₁. For piecewise linear activations σ″ = 0, and biases have
//! no gradient. max_min has a swap of some pairs for σ′(zₖ) ⊙, which is its own transpose.

use liprl_numerics::{Activation, Mlp, kernels};
use tch::Tensor;

use super::{Gradient, Pass, Weights};
use crate::{Buffer, NetsError};

/// Buffers for the tangents of one network over a fixed number of rows.
#[derive(Debug)]
pub struct Tangents {
    mlp: Mlp,
    rows: usize,
    hidden: Vec<Kept>,
    /// J, `[rows · outputs, inputs]`.
    jacobian: Buffer,
    /// t₀, `[rows, inputs]`.
    direction: Buffer,
}

/// One hidden layer's buffers.
#[derive(Debug)]
struct Kept {
    /// The Jacobian's rows on their way back, `[rows · outputs of the network, outputs]`.
    back: Buffer,
    /// uₖ, `[rows, outputs]`: the beginning of `back`; and the same transposed.
    cotangent: Tensor,
    cotangent_t: Tensor,
    /// tₖ, `[rows, outputs]`.
    tangent: Buffer,
    /// Wₖ tₖ₋₁, then what zₖ receives; empty for piecewise linear activations.
    curvature: Vec<f32>,
}

impl Tangents {
    /// Allocates for `rows` rows. `None` for a network of another kind: dense, LayerNorm, swish,
    /// ELU, or a LeakyReLU whose slope is outside [0, 1], so that its output does not tell its slope.
    pub fn new(mlp: &Mlp, rows: usize) -> Result<Option<Self>, NetsError> {
        let supported = match mlp.activation {
            Activation::Relu | Activation::Tanh | Activation::MaxMin => true,
            Activation::LeakyRelu(slope) => (0.0..=1.0).contains(&slope),
            Activation::Swish | Activation::Elu => false,
        };
        if mlp.dense || mlp.layer_norm || !supported {
            return Ok(None);
        }
        let outputs = mlp.outputs();
        let hidden = mlp.layers[..mlp.layers.len() - 1].iter().map(|layer| {
            let back = Buffer::zeros(&[rows * outputs, layer.outputs])?;
            let cotangent = back.tensor().f_narrow(0, 0, rows as i64)?;
            Ok(Kept {
                cotangent_t: cotangent.f_tr()?,
                cotangent,
                back,
                tangent: Buffer::zeros(&[rows, layer.outputs])?,
                curvature: vec![0.0; if mlp.activation == Activation::Tanh { rows * layer.outputs } else { 0 }],
            })
        });
        Ok(Some(Self {
            rows,
            hidden: hidden.collect::<Result<_, NetsError>>()?,
            jacobian: Buffer::zeros(&[rows * outputs, mlp.inputs()])?,
            direction: Buffer::zeros(&[rows, mlp.inputs()])?,
            mlp: mlp.clone(),
        }))
    }

    /// Returns diag(factors) J at the rows of the last forward of `pass`,
    /// `[rows · outputs, inputs]`; `factors [rows · outputs]` are 1 where left out.
    pub fn jacobian(
        &mut self,
        weights: &Weights,
        pass: &Pass,
        factors: Option<&[f32]>,
    ) -> Result<&mut [f32], NetsError> {
        let (last, outputs) = (self.hidden.len(), self.mlp.outputs());
        let head = &self.mlp.layers[last];
        let matrix = &weights.params()[head.start..head.bias()];
        let into = self.hidden.last_mut().map_or(&mut self.jacobian, |kept| &mut kept.back);
        for (at, row) in into.slice_mut().chunks_exact_mut(head.inputs).enumerate() {
            let factor = factors.map_or(1.0, |factors| factors[at]);
            let from = &matrix[at % outputs * head.inputs..][..head.inputs];
            row.iter_mut().zip(from).for_each(|(x, w)| *x = factor * w);
        }
        for i in (0..last).rev() {
            let width = self.mlp.layers[i].outputs;
            let (before, rest) = self.hidden.split_at_mut(i);
            let (back, y, z) = (&mut rest[0].back, pass.layer(i), pass.activation_input(i));
            if outputs == 1 {
                kernels::slope_backward(back.slice_mut(), y, z, self.mlp.activation);
            } else {
                let rows = back.slice_mut().chunks_exact_mut(outputs * width);
                for (at, (rows, y)) in rows.zip(y.chunks_exact(width)).enumerate() {
                    let z = z.get(at * width..(at + 1) * width).unwrap_or_default();
                    let each = rows.chunks_exact_mut(width);
                    each.for_each(|row| kernels::slope_backward(row, y, z, self.mlp.activation));
                }
            }
            let into = before.last().map_or(&self.jacobian, |kept| &kept.back);
            weights.multiply_back(i, back.tensor(), into.tensor())?;
        }
        Ok(self.jacobian.slice_mut())
    }

    /// The last Jacobian, and the buffer for the direction, `[rows, inputs]`.
    pub fn jacobian_and_direction(&mut self) -> (&mut [f32], &mut [f32]) {
        (self.jacobian.slice_mut(), self.direction.slice_mut())
    }

    /// Carries the direction forward through the hidden layers.
    pub fn push(&mut self, weights: &Weights, pass: &Pass) -> Result<(), NetsError> {
        for i in 0..self.hidden.len() {
            let (before, rest) = self.hidden.split_at_mut(i);
            let Kept { tangent, curvature, .. } = &mut rest[0];
            let input = before.last().map_or(&self.direction, |before| &before.tangent);
            weights.multiply(i, input.tensor(), tangent)?;
            if !curvature.is_empty() {
                curvature.copy_from_slice(tangent.slice());
            }
            let (y, z) = (pass.layer(i), pass.activation_input(i));
            kernels::slope_backward(tangent.slice_mut(), y, z, self.mlp.activation);
        }
        Ok(())
    }

    /// The direction at the head, `[rows, inputs of the head]`; after `push`.
    pub fn last(&self) -> &Buffer {
        self.hidden.last().map_or(&self.direction, |kept| &kept.tangent)
    }

    /// Pulls one cotangent of the output a row back, `top [rows, outputs]`; after `push`.
    pub fn pull(&mut self, weights: &Weights, pass: &Pass, top: &Tensor) -> Result<(), NetsError> {
        for i in (0..self.hidden.len()).rev() {
            let (here, above) = self.hidden.split_at_mut(i + 1);
            let Kept { back, cotangent, curvature, .. } = &mut here[i];
            weights.multiply_back(i + 1, above.first().map_or(top, |above| &above.cotangent), cotangent)?;
            let y = pass.layer(i);
            let cotangent = &mut back.slice_mut()[..self.rows * self.mlp.layers[i].outputs];
            // σ″ = −2 tanh · σ′.
            for ((curvature, u), y) in curvature.iter_mut().zip(cotangent.iter()).zip(y) {
                *curvature = -2.0 * y * (1.0 - y * y) * *curvature * u;
            }
            kernels::slope_backward(cotangent, y, pass.activation_input(i), self.mlp.activation);
        }
        Ok(())
    }

    /// The gradient that hidden layer `layer`'s sums receive, `[rows, outputs]`, after `pull`.
    /// `None` without curvature.
    pub(super) fn curvature(&self, layer: usize) -> Option<&[f32]> {
        self.hidden.get(layer).map(|kept| &kept.curvature[..]).filter(|curvature| !curvature.is_empty())
    }

    /// Adds uₖ tₖ₋₁ᵀ to the hidden layers' weights in network number `index` of `into`. The
    /// cotangents are those of `pull`, or of a single output's `jacobian`.
    pub fn add_gradient(&self, into: &mut Gradient, index: usize) -> Result<(), NetsError> {
        let mut input = &self.direction;
        for (i, kept) in self.hidden.iter().enumerate() {
            into.add_product(index, i, &kept.cotangent_t, input.tensor())?;
            input = &kept.tangent;
        }
        Ok(())
    }
}
