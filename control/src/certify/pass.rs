//! The network's values and Jacobians, in f64.

use faer::{Mat, MatRef};
use liprl_numerics::Activation;

use super::{
    algebra::scale_rows,
    network::Network,
    slopes::{slope, value},
};

/// Distance to an activation's kink, relative to the size of the terms summed, below which the
/// Jacobian is not certain.
const KINK: f64 = 1e-12;

/// All layers' outputs before the activations.
pub(super) struct Trace {
    /// Inputs of each activation, and last the last layer's outputs.
    pub(super) z: Vec<Vec<f64>>,
    /// True if every number is clear of every kink.
    smooth: bool,
}

impl Network {
    /// `x [inputs]` to `[outputs]`.
    pub fn forward(&self, x: &[f64]) -> Vec<f64> {
        let mut trace = self.trace(x);
        let z = trace.z.pop().unwrap_or_default();
        match self.squash() {
            Some(scale) => z.iter().zip(scale).map(|(z, scale)| scale * z.tanh()).collect(),
            None => z,
        }
    }

    /// Every layer's outputs at `x`.
    pub(super) fn trace(&self, x: &[f64]) -> Trace {
        let piecewise = matches!(self.unit(), Activation::Relu | Activation::LeakyRelu(_));
        let (mut trace, last) = (Trace { z: Vec::new(), smooth: true }, self.weights().len() - 1);
        let mut input: Vec<f64> = x.iter().zip(self.clamps()).map(|(x, range)| x.clamp(range.0, range.1)).collect();
        trace.smooth = x.iter().zip(self.clamps()).all(|(x, range)| *x != range.0 && *x != range.1);
        for (k, (weight, bias)) in self.weights().iter().zip(self.biases()).enumerate() {
            let (mut z, mut size) = (bias.clone(), bias.iter().map(|b| b.abs()).collect::<Vec<f64>>());
            for (j, &x) in input.iter().enumerate().filter(|(_, x)| **x != 0.0) {
                for ((z, size), w) in z.iter_mut().zip(&mut size).zip(weight.col(j).iter()) {
                    *z += w * x;
                    *size += (w * x).abs();
                }
            }
            if piecewise && k < last {
                let own = z.iter().zip(&size).skip(self.carried()[k]);
                trace.smooth &= own.into_iter().all(|(z, size)| z.abs() > KINK * size);
            }
            let carried = self.carried().get(k).copied().unwrap_or(0);
            input = z.iter().enumerate().map(|(i, &z)| if i < carried { z } else { value(self.unit(), z) }).collect();
            trace.z.push(z);
        }
        trace
    }

    /// The Jacobian `[outputs, inputs]` at `x`; `None` if `x` is too close to a kink to be certain
    /// of it.
    pub fn jacobian(&self, x: &[f64]) -> Option<Mat<f64>> {
        let trace = self.trace(x);
        if !trace.smooth {
            return None;
        }
        let last = self.weights().len() - 1;
        let mut back = match self.squash() {
            Some(scale) => {
                let slopes = trace.z[last].iter().zip(scale).map(|(&z, s)| s * slope(Activation::Tanh, z));
                let slopes: Vec<f64> = slopes.collect();
                scale_rows(self.weights()[last].as_ref(), &slopes)
            }
            None => self.weights()[last].clone(),
        };
        for k in (0..last).rev() {
            let own = |(i, &z): (usize, &f64)| if i < self.carried()[k] { 1.0 } else { slope(self.unit(), z) };
            let slopes: Vec<f64> = trace.z[k].iter().enumerate().map(own).collect();
            back = scale_columns(back.as_ref(), &slopes) * &self.weights()[k];
        }
        let inside = |j: usize| self.clamps()[j].0 < x[j] && x[j] < self.clamps()[j].1;
        Some(Mat::from_fn(back.nrows(), back.ncols(), |i, j| if inside(j) { back[(i, j)] } else { 0.0 }))
    }
}

/// a · diag(`by`).
fn scale_columns(a: MatRef<'_, f64>, by: &[f64]) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)] * by[j])
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{Init, Mlp};

    use super::*;
    use crate::certify::network::{Input, OutputMap, testing::*};

    #[test]
    fn jacobians_equal_finite_differences() {
        let mut rng = rng("jacobians");
        for activation in ACTIVATIONS {
            for squashed in [false, true] {
                let network = gaussian(&[3, 8, 6, 2], activation, squashed, &mut rng);
                let (x, h) = ([0.3, -0.4, 0.9], 1e-6);
                let jacobian = network.jacobian(&x).unwrap();
                for j in 0..3 {
                    let moved = |by: f64| {
                        let mut moved = x;
                        moved[j] += by;
                        network.forward(&moved)
                    };
                    for (i, (a, b)) in moved(h).into_iter().zip(moved(-h)).enumerate() {
                        assert!(((a - b) / (2.0 * h) - jacobian[(i, j)]).abs() < 1e-7, "{activation:?} {squashed}");
                    }
                }
            }
        }
    }

    #[test]
    fn kinks_have_no_jacobian_and_clamped_inputs_no_effect() {
        let abs = by_hand(&[(&[1.0, -1.0], &[0.0, 0.0]), (&[1.0, 1.0], &[0.0])], 1, Activation::Relu);
        assert!(abs.jacobian(&[0.0]).is_none());
        assert_eq!(abs.jacobian(&[-2.0]).unwrap()[(0, 0)], -1.0);
        let mlp = Mlp::new(1, &[], 1, Activation::Relu, false, Init::Uniform);
        let input = [Input::Standardised { mean: 1.0, scale: 0.5, clip: 2.0 }];
        let network = Network::new("clipped", &mlp, &[3.0, 1.0], &input, OutputMap::Linear(vec![1.0])).unwrap();
        assert_eq!(network.jacobian(&[4.9]).unwrap()[(0, 0)], 1.5);
        assert_eq!(network.jacobian(&[5.1]).unwrap()[(0, 0)], 0.0);
        assert_eq!(network.forward(&[100.0]), [7.0]);
    }
}
