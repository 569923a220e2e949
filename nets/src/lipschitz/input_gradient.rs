//! ∇ₓ f of a scalar perceptron with piecewise linear activations, and the parameters' gradient of
//! any function of it: the double backward of gradient penalties (derivation:
//! docs/derivations/liayn.md).
//!
//! g = ∇ₓ f is the Jacobian of one output. For a loss L(g) and v = ∂L/∂g, carried forward as a
//! direction, the gradient with respect to each weight is uₖ vₖ₋₁ᵀ, uₖ being g on its way back
//! (`engine::Tangents`).

use liprl_numerics::{Activation, Mlp, kernels};
use tch::Tensor;

use crate::{Gradient, NetsError, Pass, Tangents, Weights};

/// Buffers for the input gradients of one network over a fixed number of rows, on a CPU.
#[derive(Debug)]
pub struct InputGradient {
    mlp: Mlp,
    pass: Pass,
    tangents: Tangents,
}

impl InputGradient {
    /// Allocates for `rows` rows. `None` for a network of another kind: activations other than ReLU,
    /// LeakyReLU (or a slope outside [0, 1)) and max_min, LayerNorm, more than one output, no hidden layer.
    pub fn new(mlp: &Mlp, rows: usize) -> Result<Option<Self>, NetsError> {
        let linear_pieces = match mlp.activation {
            Activation::Relu | Activation::MaxMin => true,
            Activation::LeakyRelu(slope) => slope < 1.0,
            Activation::Tanh | Activation::Swish | Activation::Elu => false,
        };
        if !linear_pieces || mlp.outputs() != 1 || mlp.layers.len() < 2 {
            return Ok(None);
        }
        let Some(tangents) = Tangents::new(mlp, rows)? else { return Ok(None) };
        Ok(Some(Self { pass: Pass::new(mlp, rows)?, tangents, mlp: mlp.clone() }))
    }

    /// g at `x [rows, I]`, row-major `[rows, I]`.
    pub fn run(&mut self, weights: &Weights, x: &Tensor) -> Result<&[f32], NetsError> {
        self.pass.forward_hidden(weights, x)?;
        Ok(self.tangents.jacobian(weights, &self.pass, None)?)
    }

    /// g, and the buffer for v = ∂L/∂g, both `[rows, I]`.
    pub fn gradient_and_outer(&mut self) -> (&[f32], &mut [f32]) {
        let (gradient, outer) = self.tangents.jacobian_and_direction();
        (gradient, outer)
    }

    /// Adds ∂L/∂(parameters) to network number `index` of `into`; after `run`, with v in its
    /// buffer.
    pub fn backward(&mut self, weights: &Weights, into: &mut Gradient, index: usize) -> Result<(), NetsError> {
        self.tangents.push(weights, &self.pass)?;
        self.tangents.add_gradient(into, index)?;
        let head = &self.mlp.layers[self.mlp.layers.len() - 1];
        let head = &mut into.part_mut(index, &self.mlp)[head.start..head.bias()];
        kernels::add_rows(self.tangents.last().slice(), head);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{Init, testing::numbers};
    use tch::Kind;

    use super::*;
    use crate::{Autograd, Buffer, testing::assert_gradient};

    const ROWS: usize = 37;

    fn network(hidden: &[usize], activation: Activation) -> (Mlp, Buffer) {
        let mlp = Mlp::new(5, hidden, 1, activation, false, Init::Uniform);
        let mut params = Buffer::zeros(&[mlp.len()]).unwrap();
        params.fill_from(&numbers(mlp.len(), "params")).unwrap();
        (mlp, params)
    }

    /// Σ (‖g‖ − 1)² in f64 by double backward: the loss and its gradient.
    fn by_autograd(mlp: &Mlp, params: &Tensor, x: &Tensor) -> (Tensor, Tensor, Tensor) {
        let params = params.to_kind(Kind::Double).set_requires_grad(true);
        let x = x.to_kind(Kind::Double).set_requires_grad(true);
        let value = mlp.forward(&params, &x).sum(None);
        let g = Tensor::run_backward(&[&value], &[&x], true, true).swap_remove(0);
        let loss = (g.square().sum_dim_intlist(1, false, None::<Kind>).sqrt() - 1.0).square().sum(None);
        let gradient = Tensor::run_backward(&[&loss], &[&params], false, false).swap_remove(0);
        (g, loss, gradient)
    }

    #[test]
    fn double_backward_by_hand_equals_autograd() {
        for hidden in [&[9][..], &[16, 9], &[8, 7, 6]] {
            for activation in [Activation::LeakyRelu(0.1), Activation::Relu, Activation::MaxMin] {
                let (mlp, params) = network(&liprl_numerics::testing::widths(activation, hidden), activation);
                let x = Tensor::from_slice(&numbers(ROWS * 5, "x")).view([ROWS as i64, 5]);
                let (g, _, expected) = by_autograd(&mlp, params.tensor(), &x);
                let weights = Weights::new(&mlp, &params, 0);
                let mut pass = InputGradient::new(&mlp, ROWS).unwrap().unwrap();
                assert_gradient(pass.run(&weights, &x).unwrap(), &g.flatten(0, -1).to_kind(Kind::Float));
                let (g, outer) = pass.gradient_and_outer();
                for (g, outer) in g.chunks_exact(5).zip(outer.chunks_exact_mut(5)) {
                    let norm = g.iter().map(|g| g * g).sum::<f32>().sqrt();
                    let factor = 2.0 * (norm - 1.0) / norm.max(1e-12);
                    outer.iter_mut().zip(g).for_each(|(outer, g)| *outer = factor * g);
                }
                let mut gradient = Gradient::new(&[&mlp]).unwrap();
                pass.backward(&weights, &mut gradient, 0).unwrap();
                assert_gradient(gradient.slice(), &expected.to_kind(Kind::Float));
            }
        }
    }

    /// The formula itself, in f64 and without libtorch's products, to the 1e-8 that f32 cannot
    /// show.
    #[test]
    fn the_closed_form_equals_autograd_in_f64() {
        let (mlp, params) = network(&[16, 9], Activation::LeakyRelu(0.1));
        let x = Tensor::from_slice(&numbers(ROWS * 5, "x")).view([ROWS as i64, 5]);
        let (_, _, expected) = by_autograd(&mlp, params.tensor(), &x);
        let expected = Vec::<f64>::try_from(&expected).unwrap();
        let flat: Vec<f64> = params.slice().iter().map(|&p| f64::from(p)).collect();
        let weight = |l: usize| {
            let layer = mlp.layers[l];
            (0..layer.outputs)
                .map(|o| flat[layer.start + o * layer.inputs..][..layer.inputs].to_vec())
                .collect::<Vec<_>>()
        };
        let bias = |l: usize| flat[mlp.layers[l].bias()..mlp.layers[l].scale()].to_vec();
        let forward = |w: &[Vec<f64>], x: &[f64]| -> Vec<f64> {
            w.iter().map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
        };
        let back = |w: &[Vec<f64>], u: &[f64]| -> Vec<f64> {
            (0..w[0].len()).map(|j| w.iter().zip(u).map(|(row, u)| row[j] * u).sum()).collect()
        };
        let times = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
        let [w1, w2, w3] = [weight(0), weight(1), weight(2)];
        let mut gradient = vec![0.0; flat.len()];
        for row in Vec::<f32>::try_from(x.flatten(0, -1)).unwrap().chunks_exact(5) {
            let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let add = |a: Vec<f64>, b: Vec<f64>| -> Vec<f64> { a.iter().zip(&b).map(|(a, b)| a + b).collect() };
            let slopes = |z: &[f64]| -> Vec<f64> { z.iter().map(|&z| if z > 0.0 { 1.0 } else { 0.1 }).collect() };
            let z1 = add(forward(&w1, &row), bias(0));
            let d1 = slopes(&z1);
            let d2 = slopes(&add(forward(&w2, &times(&d1, &z1)), bias(1)));
            let u2 = times(&d2, &w3[0]);
            let u1 = times(&d1, &back(&w2, &u2));
            let g = back(&w1, &u1);
            let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
            let v: Vec<f64> = g.iter().map(|g| 2.0 * (norm - 1.0) / norm * g).collect();
            let s1 = times(&d1, &forward(&w1, &v));
            let s2 = times(&d2, &forward(&w2, &s1));
            for (l, u, s) in [(0, &u1, &v), (1, &u2, &s1), (2, &vec![1.0], &s2)] {
                let layer = mlp.layers[l];
                for o in 0..layer.outputs {
                    for i in 0..layer.inputs {
                        gradient[layer.start + o * layer.inputs + i] += u[o] * s[i];
                    }
                }
            }
        }
        let largest = expected.iter().fold(0f64, |largest, g| largest.max(g.abs()));
        assert!(largest > 0.0);
        for (by_hand, autograd) in gradient.iter().zip(&expected) {
            assert!((by_hand - autograd).abs() <= 1e-8 * largest, "{by_hand} and {autograd}");
        }
    }

    #[test]
    fn networks_without_the_closed_form_are_told_apart() {
        for (activation, norm, outputs) in [
            (Activation::Tanh, false, 1),
            (Activation::Swish, false, 1),
            (Activation::Elu, false, 1),
            (Activation::LeakyRelu(1.0), false, 1),
            (Activation::LeakyRelu(2.0), false, 1),
            (Activation::LeakyRelu(-0.5), false, 1),
            (Activation::Relu, true, 1),
            (Activation::Relu, false, 2),
        ] {
            let mlp = Mlp::new(3, &[4], outputs, activation, norm, Init::Uniform);
            assert!(InputGradient::new(&mlp, 2).unwrap().is_none());
        }
    }
}
