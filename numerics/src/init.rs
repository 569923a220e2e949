//! First weights, drawn from a random stream of the run (Glorot & Bengio 2010; Saxe et al. 2014).

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use crate::{
    activation::Init,
    mlp::{Layer, Mlp},
    rng::StreamRng,
};

impl Mlp {
    /// Fills `params [len]` with first weights: LayerNorm at scale 1 and shift 0, the rest as
    /// `init` says.
    pub fn initialise(&self, params: &mut [f32], rng: &mut StreamRng) {
        for layer in &self.layers {
            if layer.norm {
                params[layer.scale()..layer.scale() + layer.outputs].fill(1.0);
                params[layer.scale() + layer.outputs..layer.end()].fill(0.0);
            }
            match self.init {
                Init::Uniform => {
                    let bound = 1.0 / (layer.inputs as f64).sqrt();
                    for weight in &mut params[layer.start..layer.scale()] {
                        *weight = rng.random_range(-bound..bound) as f32;
                    }
                }
                Init::Glorot => {
                    let bound = (6.0 / (layer.inputs + layer.outputs) as f64).sqrt();
                    for weight in &mut params[layer.start..layer.bias()] {
                        *weight = rng.random_range(-bound..bound) as f32;
                    }
                    params[layer.bias()..layer.scale()].fill(0.0);
                }
                Init::Orthogonal { output_gain } => {
                    let gain = if layer.last { output_gain } else { self.activation.gain() };
                    orthogonal(layer, gain, &mut params[layer.start..layer.bias()], rng);
                    params[layer.bias()..layer.scale()].fill(0.0);
                }
            }
        }
    }
}

/// Fills a weight whose rows (or columns, if they are fewer) are orthogonal, each of length `gain`
/// (Saxe et al. 2014). Modified Gram–Schmidt on normal draws, done twice because once loses digits.
fn orthogonal(layer: &Layer, gain: f64, weight: &mut [f32], rng: &mut StreamRng) {
    let (count, len) = (layer.outputs.min(layer.inputs), layer.outputs.max(layer.inputs));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    while vectors.len() < count {
        let mut vector: Vec<f64> = (0..len).map(|_| StandardNormal.sample(rng)).collect();
        for _ in 0..2 {
            for other in &vectors {
                let along = dot(&vector, other);
                vector.iter_mut().zip(other).for_each(|(x, o)| *x -= along * o);
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
        vectors.push(vector);
    }
    for row in 0..layer.outputs {
        for column in 0..layer.inputs {
            let value = if layer.outputs <= layer.inputs { vectors[row][column] } else { vectors[column][row] };
            weight[row * layer.inputs + column] = (gain * value) as f32;
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Streams};

    fn first_weights(hidden: usize, init: Init) -> (Mlp, Vec<f32>) {
        let mlp = Mlp::new(5, &[hidden, hidden], 3, Activation::Relu, true, init);
        let mut params = vec![f32::NAN; mlp.len()];
        mlp.initialise(&mut params, &mut Streams::new(1).rng("init"));
        (mlp, params)
    }

    #[test]
    fn orthogonal_weights_have_orthogonal_rows_of_the_gain_s_length() {
        let (mlp, params) = first_weights(16, Init::Orthogonal { output_gain: 0.01 });
        for (layer, gain2) in mlp.layers.iter().zip([2.0, 2.0, 1e-4]) {
            let w = |r: usize, c: usize| f64::from(params[layer.start + r * layer.inputs + c]);
            let wide = layer.outputs <= layer.inputs;
            let (count, len) = if wide { (layer.outputs, layer.inputs) } else { (layer.inputs, layer.outputs) };
            for a in 0..count {
                for b in 0..count {
                    let product: f64 = (0..len).map(|k| if wide { w(a, k) * w(b, k) } else { w(k, a) * w(k, b) }).sum();
                    let expected = if a == b { gain2 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-6 * gain2, "{a} {b}: {product}");
                }
            }
            assert!(params[layer.bias()..layer.scale()].iter().all(|&b| b == 0.0));
        }
    }

    /// Asserts the variance b²/3 of a uniform law on ± b, within four standard errors of the
    /// estimate.
    fn assert_fills(weights: &[f32], bound: f32) {
        assert!(weights.iter().all(|w| w.abs() <= bound));
        let n = weights.len() as f32;
        let variance = weights.iter().map(|w| w * w).sum::<f32>() / n;
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 4.0 * (0.8 / n).sqrt(), "{variance}");
    }

    #[test]
    fn uniform_weights_fill_plus_minus_one_over_root_inputs() {
        let (mlp, params) = first_weights(400, Init::Uniform);
        for layer in &mlp.layers {
            assert_fills(&params[layer.start..layer.scale()], 1.0 / (layer.inputs as f32).sqrt());
        }
        assert!(params.iter().all(|p| p.is_finite()));
    }

    #[test]
    fn glorot_s_weights_fill_what_keeps_variances_both_ways() {
        let (mlp, params) = first_weights(400, Init::Glorot);
        for layer in &mlp.layers {
            // Variance 2/(inputs + outputs).
            assert_fills(&params[layer.start..layer.bias()], (6.0 / (layer.inputs + layer.outputs) as f32).sqrt());
            assert!(params[layer.bias()..layer.scale()].iter().all(|&b| b == 0.0));
        }
        assert!(params.iter().all(|p| p.is_finite()));
    }
}
