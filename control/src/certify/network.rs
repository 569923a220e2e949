//! A network as certificates see it, in f64: y = scale ⊙ h(W_{K+1} φ(… φ(W_1 clamp(x) + b_1) …) + b_{K+1}), h the identity or tanh.
//!
//! Standardising the inputs is folded into W_1 and b_1, an output scale into W_{K+1} where h is the identity. Clamping x to a box stretches
//! no distance in either norm, so a bound on the rest is one on all of it; over a region, the rest need only be bounded on the clamped region.

use faer::Mat;
use liprl_numerics::{Activation, Mlp};

use super::{CertifyError, algebra::scale_rows};

/// What happens to one input coordinate before the first layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    /// clamp((x − mean) · scale, ± clip).
    Standardised {
        /// Taken off.
        mean: f64,
        /// Multiplied by.
        scale: f64,
        /// Largest size afterwards; infinite for none.
        clip: f64,
    },
    /// Always this number: no input of the certified function.
    Held(f64),
}

impl Input {
    /// The coordinate as it is.
    pub const RAW: Self = Self::Standardised { mean: 0.0, scale: 1.0, clip: f64::INFINITY };
}

/// What happens to the outputs of the last layer, coordinate by coordinate.
#[derive(Clone, Debug, PartialEq)]
pub enum Head {
    /// Times these numbers.
    Linear(Vec<f64>),
    /// tanh, then times these numbers.
    Tanh(Vec<f64>),
}

impl Head {
    fn scale(&self) -> &[f64] {
        match self {
            Self::Linear(scale) | Self::Tanh(scale) => scale,
        }
    }
}

/// A network to certify.
#[derive(Clone, Debug)]
pub struct Network {
    name: String,
    clamps: Vec<(f64, f64)>,
    weights: Vec<Mat<f64>>,
    biases: Vec<Vec<f64>>,
    activation: Activation,
    /// The scale after tanh; `None` for a linear head, whose scale is in the last weight.
    squash: Option<Vec<f64>>,
}

impl Network {
    /// The network of these parameters of `mlp`: `inputs` has one entry for each of its inputs, `head` one number for each output that counts, the
    /// first ones.
    ///
    /// # Errors
    /// [`CertifyError::Unsupported`] for LayerNorm, [`CertifyError::BadShape`] for sizes that do not fit, [`CertifyError::NotFinite`] for
    /// numbers that are not.
    pub fn new(name: &str, mlp: &Mlp, params: &[f32], inputs: &[Input], head: Head) -> Result<Self, CertifyError> {
        Self::of_outputs(name, mlp, params, inputs, 0, head)
    }

    /// The same with the outputs from the `first` on, for networks that put out several things side by side.
    ///
    /// # Errors
    /// As `new`.
    pub fn of_outputs(
        name: &str,
        mlp: &Mlp,
        params: &[f32],
        inputs: &[Input],
        first: usize,
        head: Head,
    ) -> Result<Self, CertifyError> {
        let name = name.to_owned();
        if mlp.layer_norm {
            let problem = "has LayerNorm, which stretches small differences without a useful limit; certificates need a network without it";
            return Err(CertifyError::Unsupported { network: name, problem: problem.into() });
        }
        let outputs = head.scale().len();
        let end = first + outputs;
        if params.len() != mlp.len() || inputs.len() != mlp.inputs() || end > mlp.outputs() || outputs == 0 {
            let (wanted, got) = ((mlp.len(), mlp.inputs(), mlp.outputs()), (params.len(), inputs.len(), end));
            let problem = format!("has (parameters, inputs, outputs) {wanted:?}, not {got:?}");
            return Err(CertifyError::BadShape { network: name, problem });
        }
        let numbers = |range: std::ops::Range<usize>| params[range].iter().map(|&x| f64::from(x));
        let mut weights = Vec::new();
        let mut biases = Vec::new();
        for layer in &mlp.layers {
            let (from, rows) = if layer.last { (first, outputs) } else { (0, layer.outputs) };
            let flat: Vec<f64> = numbers(layer.start..layer.bias()).collect();
            weights.push(Mat::from_fn(rows, layer.inputs, |i, j| flat[(from + i) * layer.inputs + j]));
            biases.push(numbers(layer.bias()..layer.scale()).skip(from).take(rows).collect::<Vec<f64>>());
        }
        let mut network = Self { name, clamps: Vec::new(), weights, biases, activation: mlp.activation, squash: None };
        network.fold_inputs(inputs);
        match head {
            Head::Tanh(scale) => network.squash = Some(scale),
            Head::Linear(scale) => network.fold_scale(&scale),
        }
        network.check_finite()?;
        Ok(network)
    }

    /// W₁ x̃ + b₁ with x̃ = (x − mean) · scale, or held, as W x + b.
    fn fold_inputs(&mut self, inputs: &[Input]) {
        let first = &self.weights[0];
        let mut columns = Vec::new();
        for (j, input) in inputs.iter().enumerate() {
            let constant = match *input {
                Input::Held(value) => value,
                Input::Standardised { mean, scale, clip } => {
                    columns.push((j, scale));
                    let reach = clip / scale.abs();
                    self.clamps.push((mean - reach, mean + reach));
                    -mean * scale
                }
            };
            for (bias, i) in self.biases[0].iter_mut().zip(0..) {
                *bias += first[(i, j)] * constant;
            }
        }
        self.weights[0] = Mat::from_fn(first.nrows(), columns.len(), |i, j| first[(i, columns[j].0)] * columns[j].1);
    }

    fn fold_scale(&mut self, scale: &[f64]) {
        if let (Some(weight), Some(bias)) = (self.weights.last_mut(), self.biases.last_mut()) {
            *weight = scale_rows(weight.as_ref(), scale);
            bias.iter_mut().zip(scale).for_each(|(bias, scale)| *bias *= scale);
        }
    }

    fn check_finite(&self) -> Result<(), CertifyError> {
        let bad = |what: String| Err(CertifyError::NotFinite { network: self.name.clone(), what });
        for (i, (weight, bias)) in self.weights.iter().zip(&self.biases).enumerate() {
            if !weight.is_all_finite() {
                return bad(format!("the weight of layer {i}"));
            }
            if !bias.iter().all(|b| b.is_finite()) {
                return bad(format!("the bias of layer {i}"));
            }
        }
        if self.clamps.iter().any(|(low, high)| low.is_nan() || high.is_nan()) {
            return bad("an input's moments".into());
        }
        match &self.squash {
            Some(scale) if !scale.iter().all(|s| s.is_finite()) => bad("the output scale".into()),
            _ => Ok(()),
        }
    }

    /// What messages and tables call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Numbers in.
    pub fn inputs(&self) -> usize {
        self.weights[0].ncols()
    }

    /// Numbers out.
    pub fn outputs(&self) -> usize {
        self.weights.last().map_or(0, Mat::nrows)
    }

    /// Units of each hidden layer.
    pub fn hidden(&self) -> Vec<usize> {
        self.weights[..self.weights.len() - 1].iter().map(Mat::nrows).collect()
    }

    /// What follows each hidden layer.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Whether tanh follows the last layer.
    pub fn squashed(&self) -> bool {
        self.squash.is_some()
    }

    /// Where each input stops counting; infinite where it does not.
    pub(super) fn clamps(&self) -> &[(f64, f64)] {
        &self.clamps
    }

    /// W_1 … W_{K+1}.
    pub(super) fn weights(&self) -> &[Mat<f64>] {
        &self.weights
    }

    /// b_1 … b_{K+1}.
    pub(super) fn biases(&self) -> &[Vec<f64>] {
        &self.biases
    }

    /// The scale after tanh, where there is one.
    pub(super) fn squash(&self) -> Option<&[f64]> {
        self.squash.as_deref()
    }

    /// The last weight with the head at its steepest: every Jacobian of the head times W_{K+1} is D times this, 0 ≤ D ≤ 1 diagonal.
    pub(super) fn last_weight(&self) -> Mat<f64> {
        let last = self.weights.last().map_or_else(|| Mat::zeros(0, 0), Clone::clone);
        match &self.squash {
            Some(scale) => scale_rows(last.as_ref(), scale),
            None => last,
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use liprl_numerics::{Init, StreamRng, Streams};
    use rand::RngExt;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// A network with these layers `[out, in]` row-major and biases.
    pub(crate) fn by_hand(layers: &[(&[f32], &[f32])], inputs: usize, activation: Activation) -> Network {
        let sizes: Vec<usize> = layers.iter().map(|(_, bias)| bias.len()).collect();
        let (outputs, hidden) = sizes.split_last().unwrap();
        let mlp = Mlp::new(inputs, hidden, *outputs, activation, false, Init::Uniform);
        let params: Vec<f32> = layers.iter().flat_map(|(w, b)| w.iter().chain(*b)).copied().collect();
        Network::new("by hand", &mlp, &params, &vec![Input::RAW; inputs], Head::Linear(vec![1.0; *outputs])).unwrap()
    }

    /// A Gaussian network of these sizes, its weights with variance 2/inputs.
    pub(crate) fn gaussian(sizes: &[usize], activation: Activation, squashed: bool, rng: &mut StreamRng) -> Network {
        let (inputs, outputs) = (sizes[0], sizes[sizes.len() - 1]);
        let mlp = Mlp::new(inputs, &sizes[1..sizes.len() - 1], outputs, activation, false, Init::Uniform);
        let mut params = vec![0.0; mlp.len()];
        for layer in &mlp.layers {
            let spread = (2.0 / layer.inputs as f32).sqrt();
            params[layer.start..layer.bias()].iter_mut().for_each(|w| {
                let draw: f32 = StandardNormal.sample(rng);
                *w = spread * draw;
            });
            params[layer.bias()..layer.scale()].iter_mut().for_each(|b| *b = rng.random_range(-0.5..0.5));
        }
        let scale = vec![1.0; outputs];
        let head = if squashed { Head::Tanh(scale) } else { Head::Linear(scale) };
        Network::new("gaussian", &mlp, &params, &vec![Input::RAW; inputs], head).unwrap()
    }

    /// A named stream.
    pub(crate) fn rng(name: &str) -> StreamRng {
        Streams::new(0).rng(name)
    }

    /// Every activation there is.
    pub(crate) const ACTIVATIONS: [Activation; 4] =
        [Activation::Relu, Activation::LeakyRelu(0.1), Activation::Tanh, Activation::Swish];
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{Init, Single};

    use super::{testing::*, *};

    #[test]
    fn the_description_is_the_network_with_everything_folded_in() {
        for activation in ACTIVATIONS {
            let mlp = Mlp::new(4, &[7, 5], 3, activation, false, Init::Uniform);
            let params = liprl_numerics::testing::numbers(mlp.len(), "description");
            let inputs = [
                Input::Standardised { mean: 0.3, scale: 2.0, clip: 1.5 },
                Input::RAW,
                Input::Held(0.7),
                Input::Standardised { mean: -1.0, scale: 0.5, clip: f64::INFINITY },
            ];
            let scale = vec![2.0, 0.5];
            let linear = Network::new("linear", &mlp, &params, &inputs, Head::Linear(scale.clone())).unwrap();
            let squashed = Network::new("tanh", &mlp, &params, &inputs, Head::Tanh(scale.clone())).unwrap();
            assert_eq!((linear.inputs(), linear.outputs(), linear.hidden()), (3, 2, vec![7, 5]));
            // The first coordinate is within the clip, then beyond it.
            for x in [[0.4, -0.2, 3.0], [9.0, 0.1, -2.0]] {
                let seen = [((x[0] - 0.3) * 2.0f64).clamp(-1.5, 1.5), x[1], 0.7, (x[2] + 1.0) * 0.5];
                let expected = Single::new(&mlp).forward(&params, &seen.map(|x| x as f32)).to_vec();
                for (i, (a, b)) in linear.forward(&x).into_iter().zip(squashed.forward(&x)).enumerate() {
                    let z = f64::from(expected[i]);
                    assert!((a - scale[i] * z).abs() < 1e-5 * z.abs().max(1.0), "{activation:?}");
                    assert!((b - scale[i] * z.tanh()).abs() < 1e-5, "{activation:?}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_certified_is_refused() {
        let mlp = Mlp::new(2, &[3], 1, Activation::Relu, true, Init::Uniform);
        let head = || Head::Linear(vec![1.0]);
        let raw = [Input::RAW; 2];
        let error = Network::new("critic", &mlp, &vec![0.1; mlp.len()], &raw, head()).unwrap_err().to_string();
        assert!(error.contains("critic: has LayerNorm"), "{error}");
        let mlp = Mlp::new(2, &[3], 1, Activation::Relu, false, Init::Uniform);
        assert!(Network::new("short", &mlp, &[0.1; 3], &raw, head()).is_err());
        assert!(Network::new("wide", &mlp, &vec![0.1; mlp.len()], &raw[..1], head()).is_err());
        let mut params = vec![0.1; mlp.len()];
        params[7] = f32::NAN;
        let error = Network::new("net", &mlp, &params, &raw, head()).unwrap_err().to_string();
        assert!(error.contains("the bias of layer 0 is not finite"), "{error}");
    }
}
