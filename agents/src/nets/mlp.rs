//! The multilayer perceptron: where its parameters lie in a flat buffer, and its autograd form.

use tch::Tensor;

use super::{Activation, Init};

/// Added to LayerNorm's variance, as in PyTorch.
pub(crate) const NORM_EPS: f64 = 1e-5;

/// A perceptron's shape: `inputs → hidden… → outputs`, an activation after each hidden layer, none after the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// What follows each hidden layer.
    pub activation: Activation,
    /// LayerNorm before each activation.
    pub layer_norm: bool,
    /// How weights start.
    pub init: Init,
}

/// One linear layer and where its parameters start in the flat buffer: weight `[outputs, inputs]` row-major, then
/// bias `[outputs]`, then, with LayerNorm, scale and shift `[outputs]` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Numbers in.
    pub inputs: usize,
    /// Numbers out.
    pub outputs: usize,
    /// Offset of the weight.
    pub start: usize,
    /// Whether LayerNorm follows.
    pub norm: bool,
    /// Whether this is the last layer, which has neither LayerNorm nor activation.
    pub last: bool,
}

impl Layer {
    /// Offset of the bias.
    pub fn bias(&self) -> usize {
        self.start + self.inputs * self.outputs
    }

    /// Offset of LayerNorm's scale; its shift follows.
    pub fn scale(&self) -> usize {
        self.bias() + self.outputs
    }

    /// Offset after the last parameter.
    pub fn end(&self) -> usize {
        self.scale() + if self.norm { 2 * self.outputs } else { 0 }
    }
}

impl Mlp {
    /// The perceptron with these sizes.
    pub fn new(
        inputs: usize,
        hidden: &[usize],
        outputs: usize,
        activation: Activation,
        layer_norm: bool,
        init: Init,
    ) -> Self {
        let mut sizes = vec![inputs];
        sizes.extend_from_slice(hidden);
        sizes.push(outputs);
        let mut start = 0;
        let layers = (1..sizes.len())
            .map(|i| {
                let last = i == sizes.len() - 1;
                let layer = Layer { inputs: sizes[i - 1], outputs: sizes[i], start, norm: layer_norm && !last, last };
                start = layer.end();
                layer
            })
            .collect();
        Self { layers, activation, layer_norm, init }
    }

    /// Numbers in.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inputs)
    }

    /// Numbers out.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }

    /// Number of parameters.
    #[allow(clippy::len_without_is_empty)] // a network without parameters does not exist
    pub fn len(&self) -> usize {
        self.layers.last().map_or(0, Layer::end)
    }

    /// Every parameter: name (`0/weight`, `0/bias`, `0/scale`, `0/shift`), offset, shape.
    pub fn named(&self) -> Vec<(String, usize, Vec<usize>)> {
        let mut names = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            names.push((format!("{i}/weight"), layer.start, vec![layer.outputs, layer.inputs]));
            names.push((format!("{i}/bias"), layer.bias(), vec![layer.outputs]));
            if layer.norm {
                names.push((format!("{i}/scale"), layer.scale(), vec![layer.outputs]));
                names.push((format!("{i}/shift"), layer.scale() + layer.outputs, vec![layer.outputs]));
            }
        }
        names
    }

    /// The autograd form, on any device, of any float type: `params [len]`, `x [B, inputs]` to `[B, outputs]`.
    pub fn forward(&self, params: &Tensor, x: &Tensor) -> Tensor {
        let part = |start: usize, len: usize| params.narrow(0, start as i64, len as i64);
        let mut x = x.shallow_clone();
        for layer in &self.layers {
            let (inputs, outputs) = (layer.inputs as i64, layer.outputs as i64);
            let weight = part(layer.start, layer.inputs * layer.outputs).view([outputs, inputs]);
            x = x.linear(&weight, Some(part(layer.bias(), layer.outputs)));
            if layer.norm {
                let scale = part(layer.scale(), layer.outputs);
                let shift = part(layer.scale() + layer.outputs, layer.outputs);
                x = x.layer_norm([outputs], Some(scale), Some(shift), NORM_EPS, false);
            }
            if !layer.last {
                x = match self.activation {
                    Activation::Relu => x.relu(),
                    Activation::LeakyRelu(slope) => x.maximum(&(&x * slope)),
                    Activation::Tanh => x.tanh(),
                    Activation::Swish => &x * x.sigmoid(),
                };
            }
        }
        x
    }
}
