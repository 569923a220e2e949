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
    /// Whether each layer is given the network's input and every hidden layer's output, one after the other, and not the last output alone. Hand-written
    /// passes and bounds by layers are for networks that are not.
    pub dense: bool,
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
        Self { layers, activation, layer_norm, init, dense: false }
    }

    /// The network whose layers are each given the input and all outputs before: residual connections multiplied out.
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
            let given = x.shallow_clone();
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
                if self.dense {
                    x = Tensor::cat(&[given, x], -1);
                }
            }
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::{
        actor_critic::testing::{networks, numbers},
        nets::Single,
    };

    #[test]
    fn autograd_equals_finite_differences_in_f64() {
        for (net, _, _) in networks() {
            let mlp = Mlp::new(3, &[7, 5], 2, net.activation, net.layer_norm, net.init);
            let params = Tensor::from_slice(&numbers(mlp.len(), "finite differences")).to_kind(Kind::Double);
            let x = Tensor::from_slice(&numbers(4 * 3, "inputs")).view([4, 3]).to_kind(Kind::Double);
            let loss = |params: &Tensor| mlp.forward(params, &x).square().sum(None);
            let leaf = params.detach().set_requires_grad(true);
            let gradient = Tensor::run_backward(&[loss(&leaf)], &[&leaf], false, false).swap_remove(0);
            for i in 0..mlp.len() as i64 {
                let moved = |by: f64| {
                    let moved = params.copy();
                    let _ = moved.narrow(0, i, 1).g_add_scalar_(by);
                    loss(&moved).double_value(&[])
                };
                let (h, expected) = (1e-6, gradient.double_value(&[i]));
                let difference = (moved(h) - moved(-h)) / (2.0 * h);
                assert!(
                    (difference - expected).abs() < 1e-5 * expected.abs().max(1.0),
                    "{net:?} {i}: {difference} {expected}"
                );
            }
        }
    }

    #[test]
    fn a_network_worked_out_by_hand() {
        // 1 → 2 → 1: hidden = relu([2x + 1, −x]), y = 3 h₁ + 4 h₂ − 5.
        let mlp = Mlp::new(1, &[2], 1, Activation::Relu, false, Init::Uniform);
        let params = [2.0, -1.0, 1.0, 0.0, 3.0, 4.0, -5.0f32];
        for (x, y) in [(1.0, 4.0), (-2.0, 3.0), (-0.25, -2.5)] {
            assert_eq!(Single::new(&mlp).forward(&params, &[x]), [y]);
            assert_eq!(
                mlp.forward(&Tensor::from_slice(&params), &Tensor::from_slice(&[x]).view([1, 1])).double_value(&[0, 0]),
                f64::from(y)
            );
        }
    }

    #[test]
    fn a_dense_network_worked_out_by_hand() {
        // h₁ = relu(2x − 1), h₂ = relu(x + 3 h₁), y = −x + h₁ + h₂ + ½.
        let mlp = Mlp::dense(1, &[1, 1], 1, Activation::Relu);
        assert_eq!((mlp.len(), mlp.inputs(), mlp.outputs()), (2 + 3 + 4, 1, 1));
        let params = [2.0, -1.0, 1.0, 3.0, 0.0, -1.0, 1.0, 1.0, 0.5f32];
        for (x, y) in [(1.0, 4.5 + 0.0), (0.25, 0.5), (-1.0, 1.5)] {
            assert_eq!(Single::new(&mlp).forward(&params, &[x]), [y]);
            let batch = mlp.forward(&Tensor::from_slice(&params), &Tensor::from_slice(&[x]).view([1, 1]));
            assert_eq!(batch.double_value(&[0, 0]), f64::from(y));
        }
    }

    #[test]
    fn one_observation_gives_what_a_batch_gives() {
        for (net, _, _) in networks() {
            let mlp = Mlp::new(19, &[40, 33], 5, net.activation, net.layer_norm, net.init);
            let (params, x) = (numbers(mlp.len(), "single"), numbers(19, "observation"));
            let batch = mlp.forward(&Tensor::from_slice(&params), &Tensor::from_slice(&x).view([1, 19]));
            crate::actor_critic::testing::assert_gradient(
                Single::new(&mlp).forward(&params, &x),
                &batch.flatten(0, -1),
            );
        }
    }

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
