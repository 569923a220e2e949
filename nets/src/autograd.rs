//! Autograd forms: of a perceptron, of a normaliser, and what every loss needs around them.

use liprl_numerics::{Activation, Mlp, NORM_EPS, RunningNormaliser};
use tch::Tensor;

use crate::NetsError;

/// The autograd form of a network with flat parameters.
pub trait Autograd {
    /// Outputs `[B, outputs]` at `x [B, inputs]`, on any device and of any float type, over
    /// `params [len]`.
    fn forward(&self, params: &Tensor, x: &Tensor) -> Tensor;
}

impl Autograd for Mlp {
    fn forward(&self, params: &Tensor, x: &Tensor) -> Tensor {
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
                    Activation::Elu => x.elu(),
                    Activation::MaxMin => max_min(&x),
                };
                if self.dense {
                    x = Tensor::cat(&[given, x], -1);
                }
            }
        }
        x
    }
}

/// (max, min) of each two neighbouring columns. Of a tie the first is the larger, so its derivative is
/// a permutation too.
fn max_min(x: &Tensor) -> Tensor {
    let (a, b) = (x.slice(-1, 0, None, 2), x.slice(-1, 1, None, 2));
    let swap = a.lt_tensor(&b);
    Tensor::stack(&[b.where_self(&swap, &a), a.where_self(&swap, &b)], -1).flatten(-2, -1)
}

/// [`RunningNormaliser::apply`] by autograd: rows `[k, dim]` on any device.
pub fn standardise(normaliser: &RunningNormaliser, rows: &Tensor) -> Result<Tensor, NetsError> {
    let on = |numbers: &[f64]| Tensor::f_from_slice(numbers)?.f_to_device(rows.device())?.f_to_kind(rows.kind());
    let standard = rows.f_sub(&on(normaliser.mean())?)?.f_mul(&on(normaliser.scale())?)?;
    let clip = normaliser.options().clip;
    Ok(standard.f_clamp(-clip, clip)?)
}

/// The gradient of `loss` with respect to a flat buffer's leaf.
pub fn gradient(loss: &Tensor, leaf: &Tensor) -> Result<Tensor, NetsError> {
    Ok(Tensor::f_run_backward(&[loss], &[leaf], false, false)?.swap_remove(0))
}

/// A leaf of the autograd graph on these parameters' memory.
pub fn leaf(params: &Tensor) -> Tensor {
    params.detach().set_requires_grad(true)
}

/// Rejects a NaN or infinite `value`, naming it `what`.
///
/// # Errors
/// [`NetsError::NonFinite`].
pub fn finite(what: &str, value: f64, updates: u64) -> Result<(), NetsError> {
    if value.is_finite() { Ok(()) } else { Err(NetsError::NonFinite { what: what.to_owned(), value, updates }) }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{
        Init, NormaliserOptions, PullBack, Single,
        testing::{numbers, widths},
    };
    use tch::Kind;

    use super::*;
    use crate::testing::{assert_gradient, networks};

    #[test]
    fn autograd_equals_finite_differences_in_f64() {
        for net in networks() {
            let mlp = Mlp::new(3, &widths(net.activation, &[7, 5]), 2, net.activation, net.layer_norm, net.init);
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
        for net in networks() {
            let mlp = Mlp::new(19, &widths(net.activation, &[40, 33]), 5, net.activation, net.layer_norm, net.init);
            let (params, x) = (numbers(mlp.len(), "single"), numbers(19, "observation"));
            let batch = mlp.forward(&Tensor::from_slice(&params), &Tensor::from_slice(&x).view([1, 19]));
            assert_gradient(Single::new(&mlp).forward(&params, &x), &batch.flatten(0, -1));
        }
    }

    #[test]
    fn values_and_slopes_are_autograds_in_f64() {
        let plain = networks()
            .into_iter()
            .map(|net| Mlp::new(5, &widths(net.activation, &[9, 8]), 3, net.activation, net.layer_norm, net.init));
        let dense = [Activation::Relu, Activation::Tanh].map(|activation| Mlp::dense(5, &[9, 4, 8], 3, activation));
        for mlp in plain.chain(dense) {
            let params = numbers(mlp.len(), "params");
            let wide = Tensor::from_slice(&params).to_kind(Kind::Double);
            let mut pass = PullBack::new(&mlp);
            for point in numbers(20 * 5, "points").chunks_exact(5) {
                let x: Vec<f64> = point.iter().map(|&x| f64::from(x)).collect();
                let leaf = Tensor::from_slice(&x).view([1, 5]).set_requires_grad(true);
                let (y, slope) = (mlp.forward(&wide, &leaf), [0.3, -1.0, 2.0]);
                let sum = (&y * Tensor::from_slice(&slope)).sum(None);
                let expected = Tensor::run_backward(&[sum], &[&leaf], false, false).swap_remove(0);
                let mut found = [0.0; 5];
                let close = |found: &[f64], expected: &Tensor| {
                    let expected = Vec::<f64>::try_from(expected.flatten(0, -1)).unwrap();
                    for (found, expected) in found.iter().zip(expected) {
                        assert!(
                            (found - expected).abs() < 1e-10 * expected.abs().max(1.0),
                            "{mlp:?} {found} {expected}"
                        );
                    }
                };
                close(pass.forward(&params, &x), &y);
                pass.back(&params, &slope, &mut found);
                close(&found, &expected);
            }
        }
    }

    #[test]
    fn autograd_standardises_as_the_loop_does() {
        let mut normaliser = RunningNormaliser::new(2, NormaliserOptions { clip: 1.5, variance_floor: 0.25 });
        normaliser.update(&[0.0, 7.0, 4.0, 7.0]);
        let mut rows = [3.0, 7.0, 0.0, 7.25, 100.0, -100.0];
        let raw = Tensor::from_slice(&rows).view([3, 2]);
        normaliser.apply(&mut rows);
        let autograd = Vec::<f32>::try_from(standardise(&normaliser, &raw).unwrap().flatten(0, -1)).unwrap();
        assert_eq!(autograd, rows);
    }
}
