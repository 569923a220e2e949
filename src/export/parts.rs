//! A network policy taken apart into what every format stores.

use liprl_control::{Policy, PolicyHead};
use liprl_numerics::Activation;

/// The map from observations to actions, step by step.
pub(crate) struct Parts {
    /// Numbers in an observation.
    pub(super) obs_dim: usize,
    /// Numbers in an action.
    pub(super) act_dim: usize,
    /// The first step, if observations are standardised.
    pub(super) standardise: Option<Standardise>,
    /// Layers in their order. The last one has the rows of the actions alone.
    pub(super) layers: Vec<LayerParts>,
    /// The function after each hidden layer.
    pub(super) activation: Activation,
    /// True if each layer takes the first layer's input and all hidden outputs before it, in order.
    pub(super) dense: bool,
    /// Map from the last layer's outputs to `[-1, 1]`.
    pub(super) head: PolicyHead,
    /// The last step, if actions are in the environment's units.
    pub(super) scaling: Option<Scaling>,
}

/// Standardisation of observations: clip((x − mean) · scale, ± clip).
pub(super) struct Standardise {
    pub(super) mean: Vec<f64>,
    pub(super) scale: Vec<f64>,
    /// Infinite for no clip.
    pub(super) clip: f64,
}

impl Standardise {
    /// The mean as a sum of two f32 numbers. Where x is near a mean that is large beside the
    /// deviation, x − first is exact, so that subtracting one after the other costs no accuracy.
    pub(super) fn mean_in_two(&self) -> (Vec<f32>, Vec<f32>) {
        self.mean.iter().map(|&mean| (mean as f32, (mean - f64::from(mean as f32)) as f32)).unzip()
    }
}

/// One layer, row-major as in the policy file.
pub(super) struct LayerParts {
    /// `[outputs, inputs]`.
    pub(super) weight: Vec<f32>,
    /// `[outputs]`.
    pub(super) bias: Vec<f32>,
    /// Scale and shift of LayerNorm, `[outputs]` each.
    pub(super) norm: Option<[Vec<f32>; 2]>,
}

impl LayerParts {
    /// Rows and columns of the weight.
    pub(super) fn shape(&self) -> [usize; 2] {
        [self.bias.len(), self.weight.len() / self.bias.len().max(1)]
    }
}

/// Scaling of actions: centre + half width · action.
pub(super) struct Scaling {
    pub(super) centre: Vec<f64>,
    pub(super) half_width: Vec<f64>,
}

impl Parts {
    /// The parts of a policy; `None` if it is not a network. `range` holds centre and half width of
    /// each action, for actions in the environment's units.
    pub(crate) fn of(policy: &Policy, range: Option<(&[f64], &[f64])>) -> Option<Self> {
        let (mlp, params) = policy.network()?;
        let act_dim = policy.act_dim();
        let layers = mlp.layers.iter().map(|layer| {
            let rows = if layer.last { act_dim } else { layer.outputs };
            let part = |start: usize, length: usize| params[start..start + length].to_vec();
            LayerParts {
                weight: part(layer.start, rows * layer.inputs),
                bias: part(layer.bias(), rows),
                norm: layer.norm.then(|| [part(layer.scale(), rows), part(layer.scale() + rows, rows)]),
            }
        });
        Some(Self {
            obs_dim: policy.obs_dim(),
            act_dim,
            standardise: policy.normaliser().map(|normaliser| Standardise {
                mean: normaliser.mean().to_vec(),
                scale: normaliser.scale().to_vec(),
                clip: normaliser.options().clip,
            }),
            layers: layers.collect(),
            activation: mlp.activation,
            dense: mlp.dense,
            head: policy.head(),
            scaling: range
                .map(|(centre, half_width)| Scaling { centre: centre.to_vec(), half_width: half_width.to_vec() }),
        })
    }

    /// True if every number that a file would hold is finite.
    pub(crate) fn finite(&self) -> bool {
        let standardise = self.standardise.iter().flat_map(|of| of.mean.iter().chain(&of.scale));
        let layers =
            self.layers.iter().flat_map(|of| [&of.weight, &of.bias].into_iter().chain(of.norm.iter().flatten()));
        standardise.copied().all(|x| (x as f32).is_finite()) && layers.flatten().all(|x| x.is_finite())
    }
}

/// Numbers in the formats' precision.
pub(super) fn narrow(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|&x| x as f32).collect()
}
