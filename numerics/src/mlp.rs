//! The multilayer perceptron: the place of each parameter in a flat buffer.

use crate::activation::{Activation, Init};

/// Added to LayerNorm's variance, as in PyTorch.
pub const NORM_EPS: f64 = 1e-5;

/// A perceptron's shape: `inputs → hidden… → outputs`, an activation after each hidden layer, none
/// after the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// The activation after each hidden layer.
    pub activation: Activation,
    /// True for LayerNorm before each activation.
    pub layer_norm: bool,
    /// Distribution of the first weights.
    pub init: Init,
    /// True if each layer takes the network's input and the outputs of all hidden layers before it.
    /// Hand-written passes and bounds by layers do not take such networks.
    pub dense: bool,
}

/// One linear layer and the offset of its parameters in the flat buffer: weight `[outputs, inputs]`
/// row-major, then bias `[outputs]`, then, with LayerNorm, scale and shift `[outputs]` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Number of inputs.
    pub inputs: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// Offset of the weight.
    pub start: usize,
    /// True if LayerNorm follows.
    pub norm: bool,
    /// True for the last layer, which has neither LayerNorm nor activation.
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
        Self { layers, activation, layer_norm, init, dense: false }
    }

    /// The densely connected network: each layer takes the input and all outputs before it.
    /// Residual connections, multiplied out, are of this form.
    pub fn dense(inputs: usize, hidden: &[usize], outputs: usize, activation: Activation) -> Self {
        let (mut start, mut given) = (0, inputs);
        let sizes = hidden.iter().map(|&size| (size, false)).chain([(outputs, true)]);
        let layers = sizes.map(|(outputs, last)| {
            let layer = Layer { inputs: given, outputs, start, norm: false, last };
            (start, given) = (layer.end(), given + outputs);
            layer
        });
        Self { layers: layers.collect(), activation, layer_norm: false, init: Init::Uniform, dense: true }
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inputs)
    }

    /// Number of outputs.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cover_the_flat_buffer_without_a_gap() {
        let mlp = Mlp::new(3, &[7, 5], 2, Activation::Relu, true, Init::Uniform);
        let mut end = 0;
        for (name, start, shape) in mlp.named() {
            assert_eq!(start, end, "{name}");
            end += shape.iter().product::<usize>();
        }
        assert_eq!(end, mlp.len());
        assert_eq!(mlp.len(), (3 * 7 + 3 * 7) + (7 * 5 + 3 * 5) + (5 * 2 + 2));
    }
}
