//! The network of a file, whatever its format.

use liprl_control::PolicyHead;
use liprl_numerics::{Activation, Init, Mlp};

use super::fault::Fault;

/// A network found in a file.
#[derive(Clone, Debug)]
pub(crate) struct FoundNetwork {
    /// The program that wrote it and its kind, in words.
    pub(crate) source: String,
    /// Layers in their order.
    pub(crate) layers: Vec<FoundLayer>,
    /// True if each layer takes the first layer's input and all hidden outputs before it.
    pub(crate) dense: bool,
    /// The function after each hidden layer.
    pub(crate) activation: Told<Activation>,
    /// Map from the last layer's outputs to actions.
    pub(crate) output: Told<Output>,
    /// Standardisation of observations.
    pub(crate) standardise: Option<Standardisation>,
    /// Origin as far as the file tells it.
    pub(crate) origin: Origin,
    /// Sentences for the user.
    pub(crate) notes: Vec<String>,
}

/// A linear layer in f64, row-major `[outputs, inputs]`.
#[derive(Clone, Debug)]
pub(crate) struct FoundLayer {
    /// Its name in the file.
    pub(crate) name: String,
    pub(crate) inputs: usize,
    pub(crate) weight: Vec<f64>,
    pub(crate) bias: Vec<f64>,
    /// Scale and shift of LayerNorm.
    pub(crate) norm: Option<[Vec<f64>; 2]>,
}

impl FoundLayer {
    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Multiplies each output by a factor, then adds a number. Not for layers with LayerNorm.
    pub(super) fn rescale(&mut self, factor: &[f64], add: &[f64]) {
        let rows = self.weight.chunks_exact_mut(self.inputs.max(1)).zip(&mut self.bias);
        for ((row, bias), (factor, add)) in rows.zip(factor.iter().zip(add)) {
            row.iter_mut().for_each(|weight| *weight *= factor);
            *bias = *bias * factor + add;
        }
    }

    /// Puts x ↦ factor x + add before the layer.
    pub(super) fn fold_input(&mut self, factor: &[f64], add: &[f64]) {
        for (row, bias) in self.weight.chunks_exact_mut(self.inputs.max(1)).zip(&mut self.bias) {
            *bias += row.iter().zip(add).map(|(weight, add)| weight * add).sum::<f64>();
            row.iter_mut().zip(factor).for_each(|(weight, factor)| *weight *= factor);
        }
    }
}

/// A fact and its source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told<T> {
    /// The file says it.
    ByFile(T),
    /// The program's default, in words.
    ByDefault(T, &'static str),
    /// The command line says it.
    ByUser(T),
    /// Nothing says it.
    Unknown,
}

impl<T> Told<T> {
    /// The fact.
    pub(crate) fn get(&self) -> Option<&T> {
        match self {
            Self::ByFile(fact) | Self::ByDefault(fact, _) | Self::ByUser(fact) => Some(fact),
            Self::Unknown => None,
        }
    }

    /// The source, as an appendix to the fact.
    pub(crate) fn source(&self) -> String {
        match self {
            Self::ByFile(_) => String::new(),
            Self::ByDefault(_, of) => format!(" (default of {of})"),
            Self::ByUser(_) => " (as given)".to_owned(),
            Self::Unknown => " (not said by the file)".to_owned(),
        }
    }
}

/// Map from a network's outputs to actions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    /// Into [-1, 1]; another program scales to the environment's bounds.
    Unit(PolicyHead),
    /// Into [-1, 1], then centre + half width · action.
    Scaled { head: PolicyHead, centre: Vec<f64>, half_width: Vec<f64> },
    /// In the environment's units, clipped to its bounds; the bounds if the file has them.
    Raw(Option<[Vec<f64>; 2]>),
}

/// clip((x − mean) · scale, ± clip).
#[derive(Clone, Debug)]
pub(crate) struct Standardisation {
    /// The place that it comes from.
    pub(crate) from: String,
    pub(crate) mean: Vec<f64>,
    pub(crate) scale: Vec<f64>,
    /// Infinite for no clip.
    pub(crate) clip: f64,
}

/// Training, as far as the file tells it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// Kind of agent: `sac`, `ppo`, …
    pub(crate) agent: Option<String>,
    /// Environment steps.
    pub(crate) step: Option<u64>,
    pub(crate) seed: Option<u64>,
    /// Id of the environment.
    pub(crate) env: Option<String>,
}

impl FoundNetwork {
    /// Numbers in an input.
    pub(crate) fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inputs)
    }

    /// Outputs of the last layer.
    pub(crate) fn outputs(&self) -> usize {
        self.layers.last().map_or(0, FoundLayer::outputs)
    }

    /// True if the second half of the outputs are deviations of the actions, which a file that tells
    /// its layout does not have.
    pub(crate) fn has_deviations(&self, act_dim: usize) -> bool {
        self.outputs() == 2 * act_dim && matches!(self.output, Told::ByUser(_) | Told::Unknown)
    }

    /// Checks that the layers fit each other and that LayerNorm is in all hidden layers or in none.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let mut given = self.inputs();
        for (at, layer) in self.layers.iter().enumerate() {
            let problem = if layer.inputs != given {
                format!("takes {} inputs, the one before it puts out {given}", layer.inputs)
            } else if layer.weight.len() != layer.inputs * layer.outputs() || layer.weight.is_empty() {
                format!(
                    "has {} weights for {} inputs and {} outputs",
                    layer.weight.len(),
                    layer.inputs,
                    layer.outputs()
                )
            } else if layer.norm.is_some() != (at + 1 < self.layers.len() && self.layers[0].norm.is_some()) {
                "LayerNorm has to be in each hidden layer or in none".to_owned()
            } else if layer.norm.iter().flatten().any(|part| part.len() != layer.outputs()) {
                "its LayerNorm has another size".to_owned()
            } else {
                given = if self.dense { given + layer.outputs() } else { layer.outputs() };
                continue;
            };
            return Err(Fault::new(problem).at(format_args!("layer `{}`", layer.name)));
        }
        if self.layers.is_empty() {
            return Err(Fault::new("has no linear layers"));
        }
        Ok(())
    }

    /// The shape, and the parameters in f32. The file must have told the activation, or have no
    /// hidden layers.
    ///
    /// # Errors
    /// If the activation is unknown, or a number is not finite in f32.
    pub(super) fn parameters(&self) -> Result<(Mlp, Vec<f32>), Fault> {
        let hidden: Vec<usize> = self.layers[..self.layers.len() - 1].iter().map(FoundLayer::outputs).collect();
        let activation = match self.activation.get() {
            Some(activation) => *activation,
            None if hidden.is_empty() => Activation::Relu,
            None => {
                return Err(Fault::usage(
                    "does not say the activation after its hidden layers; give it: --activation relu, tanh, elu, …",
                ));
            }
        };
        if let Activation::LeakyRelu(slope) = activation
            && !(0.0..=1.0).contains(&slope)
        {
            return Err(Fault::usage(format!("has leaky ReLUs of slope {slope}; a policy file has slopes of 0 to 1")));
        }
        activation.check(&hidden).map_err(|error| Fault::usage(error.to_string()))?;
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let mlp = match self.dense {
            true => Mlp::dense(inputs, &hidden, outputs, activation),
            false => {
                let norm = self.layers[0].norm.is_some();
                Mlp::new(inputs, &hidden, outputs, activation, norm, Init::Uniform)
            }
        };
        let mut params = Vec::with_capacity(mlp.len());
        for layer in &self.layers {
            let start = params.len();
            let parts = [&layer.weight, &layer.bias].into_iter().chain(layer.norm.iter().flatten());
            params.extend(parts.flatten().map(|number| *number as f32));
            if !params[start..].iter().all(|number| number.is_finite()) {
                let problem = "has numbers that are not finite; take an earlier checkpoint";
                return Err(Fault::new(problem).at(format_args!("layer `{}`", layer.name)));
            }
        }
        Ok((mlp, params))
    }
}
