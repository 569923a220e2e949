//! The gradient of several networks at once, layer by layer.

use std::ops::Range;

use liprl_nets::{Buffer, product};
use liprl_numerics::{Activation, Mlp, kernels};
use tch::Tensor;

use super::{
    data::Data,
    params::Parameters,
    step::{Cost, add_decay},
};
use crate::AgentError;

/// Some members of an ensemble, each on its own batch.
#[derive(Debug)]
pub(super) struct MemberWorker {
    pub(super) members: Range<usize>,
    mlp: Mlp,
    layers: Vec<Batched>,
    /// `[G, B, I]`, each one's part, and `[G, B, D]`.
    x: Buffer,
    xs: Vec<Tensor>,
    y: Buffer,
    /// `[G, len]`.
    pub(super) gradient: Buffer,
    pub(super) bounds: Vec<f64>,
    pub(super) loss: f64,
}

/// One layer of G networks. Weights are views into the flat buffers, a member's parameters apart.
#[derive(Debug)]
struct Batched {
    /// Of each `[inputs, outputs]`.
    forward: Vec<Tensor>,
    /// Of each `[outputs, inputs]`.
    backward: Vec<Tensor>,
    /// The same, of the gradient.
    gradient: Vec<Tensor>,
    /// `[G, B, outputs]`, and each one's part.
    out: Buffer,
    outs: Vec<Tensor>,
    delta: Buffer,
    deltas: Vec<Tensor>,
    /// `deltas` with rows and outputs swapped.
    deltas_t: Vec<Tensor>,
    /// The activation's input, where its derivative needs it.
    kept: Vec<f32>,
}

impl MemberWorker {
    pub(super) fn new(
        params: &Parameters,
        predicted: usize,
        rows: usize,
        members: Range<usize>,
    ) -> Result<Self, AgentError> {
        let (mlp, count) = (params.mlp.clone(), members.len());
        let gradient = Buffer::zeros(&[count * mlp.len()])?;
        let layers = mlp
            .layers
            .iter()
            .map(|layer| {
                let size = [layer.outputs as i64, layer.inputs as i64];
                let views = |flat: &Tensor, first: usize| -> Result<Vec<Tensor>, AgentError> {
                    let start = |g: usize| ((first + g) * mlp.len() + layer.start) as i64;
                    (0..count).map(|g| Ok(flat.f_as_strided(size, [size[1], 1], start(g))?)).collect()
                };
                let backward = views(params.values.tensor(), members.start)?;
                let out = Buffer::zeros(&[count, rows, layer.outputs])?;
                let delta = Buffer::zeros(&[count, rows, layer.outputs])?;
                let deltas = parts(&delta)?;
                let keeps = mlp.activation == Activation::Swish && !layer.last;
                Ok(Batched {
                    forward: backward.iter().map(Tensor::tr).collect(),
                    backward,
                    gradient: views(gradient.tensor(), 0)?,
                    outs: parts(&out)?,
                    out,
                    deltas_t: deltas.iter().map(Tensor::tr).collect(),
                    deltas,
                    delta,
                    kept: vec![0.0; if keeps { count * rows * layer.outputs } else { 0 }],
                })
            })
            .collect::<Result<_, AgentError>>()?;
        let x = Buffer::zeros(&[count, rows, mlp.inputs()])?;
        Ok(Self {
            xs: parts(&x)?,
            x,
            y: Buffer::zeros(&[count, rows, predicted])?,
            bounds: vec![0.0; params.bounds],
            loss: 0.0,
            layers,
            gradient,
            members,
            mlp,
        })
    }

    /// These members' losses and their gradients; `params [G, len]` are their parameters.
    pub(super) fn gradient(
        &mut self,
        params: &[f32],
        data: &Data,
        rows: &[&[u32]],
        cost: Cost<'_>,
        decay: &[f32],
    ) -> Result<(), AgentError> {
        let count = self.members.len();
        let (x, y) = (self.x.slice_mut(), self.y.slice_mut());
        let (x_len, y_len) = (x.len() / count, y.len() / count);
        let each = x.chunks_exact_mut(x_len).zip(y.chunks_exact_mut(y_len));
        each.zip(&rows[self.members.clone()]).for_each(|((x, y), rows)| data.gather(rows, x, y));
        self.forward(params)?;
        self.bounds.fill(0.0);
        if let Some(last) = self.layers.last_mut() {
            self.loss = cost.of(last.out.slice(), self.y.slice(), last.delta.slice_mut(), &mut self.bounds);
        }
        self.backward()?;
        let len = self.mlp.len();
        for (gradient, params) in self.gradient.slice_mut().chunks_exact_mut(len).zip(params.chunks_exact(len)) {
            add_decay(&self.mlp, params, decay, gradient);
        }
        Ok(())
    }

    fn forward(&mut self, params: &[f32]) -> Result<(), AgentError> {
        let (len, activation) = (self.mlp.len(), self.mlp.activation);
        for (i, layer) in self.mlp.layers.iter().enumerate() {
            let (before, rest) = self.layers.split_at_mut(i);
            let batched = &mut rest[0];
            let inputs = before.last().map_or(&self.xs, |before| &before.outs);
            for ((out, input), weight) in batched.outs.iter().zip(inputs).zip(&batched.forward) {
                product(out, input, weight, false)?;
            }
            let size = batched.out.slice().len() / self.members.len();
            let keeps = !batched.kept.is_empty();
            for (g, out) in batched.out.slice_mut().chunks_exact_mut(size).enumerate() {
                let bias = &params[g * len + layer.bias()..][..layer.outputs];
                let kept = if keeps { &mut batched.kept[g * size..][..size] } else { &mut [][..] };
                match layer.last {
                    true => kernels::add_bias(out, bias),
                    false => kernels::bias_activate(out, bias, activation, kept),
                }
            }
        }
        Ok(())
    }

    fn backward(&mut self) -> Result<(), AgentError> {
        let (len, activation) = (self.mlp.len(), self.mlp.activation);
        for (i, layer) in self.mlp.layers.iter().enumerate().rev() {
            let (before, rest) = self.layers.split_at_mut(i);
            let batched = &mut rest[0];
            let size = batched.out.slice().len() / self.members.len();
            let keeps = !batched.kept.is_empty();
            let (outs, kept) = (batched.out.slice(), &batched.kept);
            for (g, delta) in batched.delta.slice_mut().chunks_exact_mut(size).enumerate() {
                let bias = &mut self.gradient.slice_mut()[g * len + layer.bias()..][..layer.outputs];
                bias.fill(0.0);
                let (out, kept) = (&outs[g * size..][..size], if keeps { &kept[g * size..][..size] } else { &[][..] });
                match layer.last {
                    true => kernels::add_rows(delta, bias),
                    false => kernels::activation_backward(delta, out, kept, activation, bias),
                }
            }
            let inputs = before.last().map_or(&self.xs, |before| &before.outs);
            for ((gradient, delta_t), input) in batched.gradient.iter().zip(&batched.deltas_t).zip(inputs) {
                product(gradient, delta_t, input, false)?;
            }
            if let Some(previous) = before.last() {
                for ((into, delta), weight) in previous.deltas.iter().zip(&batched.deltas).zip(&batched.backward) {
                    product(into, delta, weight, false)?;
                }
            }
        }
        Ok(())
    }
}

/// A `[G, …]` buffer's parts.
fn parts(buffer: &Buffer) -> Result<Vec<Tensor>, AgentError> {
    (0..buffer.tensor().size()[0]).map(|g| Ok(buffer.tensor().f_select(0, g)?)).collect()
}
