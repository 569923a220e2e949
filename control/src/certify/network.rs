//! A network to certify, in f64: y = scale ⊙ h(W_{K+1} φ(… φ(W_1 clamp(x) + b_1) …) + b_{K+1}), h
//! the identity or tanh.
//!
//! The inputs' standardisation is folded into W_1 and b_1, and an output scale into W_{K+1} if h is
//! the identity. Clamping x to a box does not stretch a distance in either norm. So a bound on the
//! rest holds for the whole network; over a region, the rest need only be bounded on the clamped
//! region.
//!
//! In a densely connected network each layer sees the inputs and all units before it. It is the same
//! network with those units carried along, by rows of the identity and without an activation.
//! max_min is written by ReLUs (`pairs`).

use std::{sync::OnceLock, time::Duration};

use faer::Mat;
use liprl_numerics::{Activation, Mlp, linalg::spectral_norm};

use super::{
    algebra::{quick_spectral_bound, scale_rows},
    error::CertifyError,
    pairs::by_relus,
    slopes::sector,
};

/// Seconds that a singular value decomposition takes for each product of its n m min(n, m): a
/// guess from above, on which tightness depends but not validity.
const DECOMPOSITION: f64 = 1e-9;

/// Map of one input coordinate before the first layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    /// clamp((x − mean) · scale, ± clip).
    Standardised {
        /// Subtracted.
        mean: f64,
        /// Factor.
        scale: f64,
        /// Largest absolute value afterwards; infinite for no limit.
        clip: f64,
    },
    /// Always this number; not an input of the certified function.
    Held(f64),
}

impl Input {
    /// The coordinate as it is.
    pub const RAW: Self = Self::Standardised { mean: 0.0, scale: 1.0, clip: f64::INFINITY };
}

/// Map of the last layer's outputs, coordinate by coordinate.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputMap {
    /// Multiplication by these numbers.
    Linear(Vec<f64>),
    /// tanh, then multiplication by these numbers.
    Tanh(Vec<f64>),
}

impl OutputMap {
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
    /// Activation of each unit that is not carried along.
    unit: Activation,
    /// Number of units at the head of each hidden layer that have no activation.
    carried: Vec<usize>,
    /// The weights before max_min was written by ReLUs; `None` for other activations.
    pairs: Option<Vec<Mat<f64>>>,
    /// The scale after tanh; `None` for a linear map, whose scale is in the last weight.
    squash: Option<Vec<f64>>,
    /// See [`Network::spectral_norms`].
    spectral_norms: OnceLock<Vec<f64>>,
}

impl Network {
    /// The network of these parameters of `mlp`. `inputs` has one entry for each of its inputs,
    /// `outputs` one number for each of the first outputs, which are certified.
    ///
    /// # Errors
    /// [`CertifyError::Unsupported`] for LayerNorm and densely connected max_min,
    /// [`CertifyError::BadShape`] for sizes that do not fit, [`CertifyError::NotFinite`] for NaN and ∞.
    pub fn new(
        name: &str,
        mlp: &Mlp,
        params: &[f32],
        inputs: &[Input],
        outputs: OutputMap,
    ) -> Result<Self, CertifyError> {
        Self::of_outputs(name, mlp, params, inputs, 0, outputs)
    }

    /// The network with the outputs from `first` on, for networks with several results side by
    /// side.
    ///
    /// # Errors
    /// As `new`.
    pub fn of_outputs(
        name: &str,
        mlp: &Mlp,
        params: &[f32],
        inputs: &[Input],
        first: usize,
        outputs: OutputMap,
    ) -> Result<Self, CertifyError> {
        let name = name.to_owned();
        if mlp.layer_norm {
            let problem = "has LayerNorm, which stretches small differences without a useful limit; use a network without LayerNorm";
            return Err(CertifyError::Unsupported { network: name, problem: problem.into() });
        }
        if mlp.dense && mlp.activation == Activation::MaxMin {
            let problem =
                "is densely connected with max_min, which no construction makes; take layers without residuals";
            return Err(CertifyError::Unsupported { network: name, problem: problem.into() });
        }
        let hidden: Vec<usize> = mlp.layers.iter().filter(|layer| !layer.last).map(|layer| layer.outputs).collect();
        if let Err(error) = mlp.activation.check(&hidden) {
            return Err(CertifyError::BadShape { network: name, problem: error.to_string() });
        }
        let count = outputs.scale().len();
        let end = first + count;
        if params.len() != mlp.len() || inputs.len() != mlp.inputs() || end > mlp.outputs() || count == 0 {
            let (wanted, got) = ((mlp.len(), mlp.inputs(), mlp.outputs()), (params.len(), inputs.len(), end));
            let problem = format!("has (parameters, inputs, outputs) {wanted:?}, not {got:?}");
            return Err(CertifyError::BadShape { network: name, problem });
        }
        let numbers = |range: std::ops::Range<usize>| params[range].iter().map(|&x| f64::from(x));
        let mut weights = Vec::new();
        let (mut biases, mut carried) = (Vec::new(), Vec::new());
        for layer in &mlp.layers {
            let (from, rows) = if layer.last { (first, count) } else { (0, layer.outputs) };
            let flat: Vec<f64> = numbers(layer.start..layer.bias()).collect();
            // Where layers see all units before them, these are carried along.
            let kept = if mlp.dense && !layer.last { layer.inputs } else { 0 };
            weights.push(Mat::from_fn(kept + rows, layer.inputs, |i, j| match i.checked_sub(kept) {
                Some(i) => flat[(from + i) * layer.inputs + j],
                None => f64::from(u8::from(i == j)),
            }));
            let own = numbers(layer.bias()..layer.scale()).skip(from).take(rows);
            biases.push(vec![0.0; kept].into_iter().chain(own).collect::<Vec<f64>>());
            if !layer.last {
                carried.push(kept);
            }
        }
        let (unit, spectral_norms) = (mlp.activation, OnceLock::new());
        let (clamps, pairs, squash) = (Vec::new(), None, None);
        let mut network = Self { name, clamps, weights, biases, unit, carried, pairs, squash, spectral_norms };
        network.fold_inputs(inputs);
        match outputs {
            OutputMap::Tanh(scale) => network.squash = Some(scale),
            OutputMap::Linear(scale) => network.fold_scale(&scale),
        }
        network.check_finite()?;
        if network.unit == Activation::MaxMin {
            network.pairs = Some(network.weights.clone());
            network.unit = Activation::Relu;
            by_relus(&mut network.weights, &mut network.biases, &mut network.carried);
        }
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

    /// Name in messages and tables.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.weights[0].ncols()
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.weights.last().map_or(0, Mat::nrows)
    }

    /// Units of each hidden layer.
    pub fn hidden(&self) -> Vec<usize> {
        // Beside the units of max_min that are carried along stand the ReLUs of their pairs.
        let of = |(weight, &carried): (&Mat<f64>, &usize)| {
            if self.is_max_min() { carried } else { weight.nrows() - carried }
        };
        self.weights.iter().zip(&self.carried).map(of).collect()
    }

    /// Number of units at the head of each hidden layer that pass on what comes in.
    pub(super) fn carried(&self) -> &[usize] {
        &self.carried
    }

    /// Range of every hidden unit's slope everywhere.
    pub(super) fn sectors(&self) -> Vec<Vec<(f64, f64)>> {
        let of = |(carried, weight): (&usize, &Mat<f64>)| {
            let mut sectors = vec![(1.0, 1.0); *carried];
            sectors.resize(weight.nrows(), sector(self.unit));
            sectors
        };
        self.carried.iter().zip(&self.weights).map(of).collect()
    }

    /// The activation after each hidden layer.
    pub fn activation(&self) -> Activation {
        if self.is_max_min() { Activation::MaxMin } else { self.unit }
    }

    /// The activation of each hidden unit that is not carried along: never max_min.
    pub(super) fn unit(&self) -> Activation {
        self.unit
    }

    /// True if the hidden layers are followed by max_min.
    pub(super) fn is_max_min(&self) -> bool {
        self.pairs.is_some()
    }

    /// True if some units are carried along.
    pub(super) fn is_joint(&self) -> bool {
        self.carried.iter().any(|&carried| carried > 0)
    }

    /// The weights whose norms' product is a bound, with the output scale in the last one.
    pub(super) fn layer_weights(&self) -> Vec<Mat<f64>> {
        let mut weights = self.pairs.as_ref().unwrap_or(&self.weights).clone();
        if let (Some(last), Some(scale)) = (weights.last_mut(), &self.squash) {
            *last = scale_rows(last.as_ref(), scale);
        }
        weights
    }

    /// True if tanh follows the last layer.
    pub fn squashed(&self) -> bool {
        self.squash.is_some()
    }

    /// Range to which each input is clamped; infinite for no clamp.
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

    /// The largest singular value of each of [`Network::layer_weights`], with the output scale in the last one's. Found
    /// once: for wide layers it takes longer than most bounds.
    ///
    /// # Errors
    /// [`CertifyError::NotConverged`] if a decomposition fails.
    pub(super) fn spectral_norms(&self) -> Result<&[f64], CertifyError> {
        if self.spectral_norms.get().is_none() {
            let weights = self.layer_weights();
            let norms = weights.iter().map(|weight| spectral_norm(weight.as_ref())).collect::<Result<_, _>>()?;
            // Another thread may have been first, with the same numbers.
            let _ = self.spectral_norms.set(norms);
        }
        Ok(self.spectral_norms.get().map_or(&[], Vec::as_slice))
    }

    /// Those norms if they are known or can be found within the time; else upper bounds on them that
    /// need no decomposition, and false.
    ///
    /// # Errors
    /// As `spectral_norms`.
    pub(super) fn spectral_norms_within(&self, limit: Option<Duration>) -> Result<(Vec<f64>, bool), CertifyError> {
        let products = |a: &Mat<f64>| a.nrows() as f64 * a.ncols() as f64 * a.nrows().min(a.ncols()) as f64;
        let needed = DECOMPOSITION * self.weights.iter().map(products).sum::<f64>();
        if self.spectral_norms.get().is_some() || limit.is_none_or(|limit| needed <= limit.as_secs_f64()) {
            return Ok((self.spectral_norms()?.to_vec(), true));
        }
        Ok((self.layer_weights().iter().map(|weight| quick_spectral_bound(weight.as_ref())).collect(), false))
    }

    /// The scale after tanh; `None` for a linear map.
    pub(super) fn squash(&self) -> Option<&[f64]> {
        self.squash.as_deref()
    }

    /// The last weight times the largest slopes of the output map. A Jacobian of the output map
    /// times W_{K+1} is D times this, 0 ≤ D ≤ 1 diagonal.
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
        Network::new("by hand", &mlp, &params, &vec![Input::RAW; inputs], OutputMap::Linear(vec![1.0; *outputs]))
            .unwrap()
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
        let head = if squashed { OutputMap::Tanh(scale) } else { OutputMap::Linear(scale) };
        Network::new("gaussian", &mlp, &params, &vec![Input::RAW; inputs], head).unwrap()
    }

    /// A named stream.
    pub(crate) fn rng(name: &str) -> StreamRng {
        Streams::new(0).rng(name)
    }

    /// Every activation.
    pub(crate) const ACTIVATIONS: [Activation; 5] =
        [Activation::Relu, Activation::LeakyRelu(0.1), Activation::Tanh, Activation::Swish, Activation::Elu];
}

#[cfg(test)]
mod tests;
