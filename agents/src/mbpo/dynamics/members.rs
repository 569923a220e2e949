//! The gradient of several networks at once: each layer of all of them is one batched product.

use std::ops::Range;

use tch::Tensor;

use super::{
    data::Data,
    params::Parameters,
    step::{Cost, add_decay},
};
use crate::{
    AgentError,
    nets::{Activation, Buffer, Mlp, kernels},
};

/// Some members of an ensemble, each on its own batch.
#[derive(Debug)]
pub(super) struct MemberWorker {
    pub(super) members: Range<usize>,
    mlp: Mlp,
    layers: Vec<Batched>,
    /// `[G, B, I]` and `[G, B, D]`.
    x: Buffer,
    y: Buffer,
    /// `[G, len]`.
    pub(super) gradient: Buffer,
    pub(super) bounds: Vec<f64>,
    pub(super) loss: f64,
}

/// One layer of G networks. Weights are views into the flat buffers, a member's parameters apart.
#[derive(Debug)]
struct Batched {
    /// `[G, inputs, outputs]`.
    forward: Tensor,
    /// `[G, outputs, inputs]`.
    backward: Tensor,
    /// The same, of the gradient.
    gradient: Tensor,
    /// `[G, B, outputs]`.
    out: Buffer,
    delta: Buffer,
    /// `delta` with rows and outputs swapped.
    delta_t: Tensor,
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
                let size = [count as i64, layer.outputs as i64, layer.inputs as i64];
                let strides = [mlp.len() as i64, layer.inputs as i64, 1];
                let view = |flat: &Tensor, start: usize| flat.f_as_strided(size, strides, start as i64);
                let backward = view(params.values.tensor(), members.start * mlp.len() + layer.start)?;
                let delta = Buffer::zeros(&[count, rows, layer.outputs])?;
                let keeps = mlp.activation == Activation::Swish && !layer.last;
                Ok(Batched {
                    forward: backward.f_transpose(1, 2)?,
                    backward,
                    gradient: view(gradient.tensor(), layer.start)?,
                    out: Buffer::zeros(&[count, rows, layer.outputs])?,
                    delta_t: delta.tensor().f_transpose(1, 2)?,
                    delta,
                    kept: vec![0.0; if keeps { count * rows * layer.outputs } else { 0 }],
                })
            })
            .collect::<Result<_, AgentError>>()?;
        Ok(Self {
            x: Buffer::zeros(&[count, rows, mlp.inputs()])?,
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
            let input = before.last().map_or(self.x.tensor(), |before| before.out.tensor());
            let _ = input.f_bmm_out(batched.out.tensor(), &batched.forward)?; // the handle it returns is `out` again
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
            let input = before.last().map_or(self.x.tensor(), |before| before.out.tensor());
            let _ = batched.delta_t.f_bmm_out(&batched.gradient, input)?;
            if let Some(previous) = before.last() {
                let _ = batched.delta.tensor().f_bmm_out(previous.delta.tensor(), &batched.backward)?;
            }
        }
        Ok(())
    }
}
