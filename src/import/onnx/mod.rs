//! ONNX models that are one chain of layers: Gemm or MatMul, Add, activations, LayerNormalization;
//! a standardisation before and a scaling of actions after it.

mod array;
mod model;
mod steps;
mod wire;

use liprl_control::PolicyHead;
use liprl_numerics::Activation;

use super::fault::Fault;
use super::found::{FoundLayer, FoundNetwork, Origin, Output, Standardisation, Told};
use array::spread;
use model::Model;
use steps::Step;

/// Names of outputs that are actions, where a model has several outputs.
const ACTIONS: &[&str] = &["actions", "action"];

/// Reads the network of a model.
///
/// # Errors
/// If the file is damaged, or the model is not such a chain.
pub(super) fn read(bytes: &[u8]) -> Result<FoundNetwork, Fault> {
    let model = Model::read(bytes)?;
    let &[input] = &model.inputs[..] else {
        return Err(Fault::usage(format!("has the inputs {:?}; a policy has one, the observation", model.inputs)));
    };
    let named = model.outputs.iter().find(|name| ACTIONS.contains(name));
    let output = named.or(model.outputs.first()).ok_or_else(|| Fault::new("has no outputs"))?;
    let mut chain = Chain::default();
    for step in steps::steps(&model, input, output)? {
        chain.add(step)?;
    }
    let mut found = chain.finish()?;
    let producer = if model.producer.is_empty() { String::new() } else { format!(" of {}", model.producer) };
    found.source = format!("ONNX{producer}");
    let told = |key: &str| model.metadata.get(key).map(|text| (*text).to_owned());
    found.origin = Origin {
        agent: told("agent"),
        step: told("step").and_then(|text| text.parse().ok()),
        seed: told("seed").and_then(|text| text.parse().ok()),
        env: told("env_id"),
    };
    if model.outputs.len() > 1 {
        found.notes.push(format!("of its outputs {:?}, `{output}` is taken for the actions", model.outputs));
    }
    Ok(found)
}

/// Layers in the making.
#[derive(Default)]
struct Chain {
    /// (x − mean) · scale before the first layer.
    mean: Vec<f64>,
    scale: Vec<f64>,
    clip: Option<f64>,
    layers: Vec<FoundLayer>,
    dense: bool,
    /// The activation of the last layer, if there is one.
    active: Option<Activation>,
    activations: Vec<Activation>,
    /// Clip after the last layer.
    end: Option<[Vec<f64>; 2]>,
    /// Factor and addend after the last layer's activation or clip.
    after: Option<[Vec<f64>; 2]>,
}

impl Chain {
    fn add(&mut self, step: Step) -> Result<(), Fault> {
        let late = || Fault::usage("a layer follows the scaling of actions");
        match step {
            Step::Linear { name, inputs, weight, bias } => {
                if self.end.is_some() || self.after.is_some() {
                    return Err(late().at(format_args!("layer `{name}`")));
                }
                if !self.layers.is_empty() {
                    let activation = self.active.take().ok_or_else(|| {
                        Fault::usage("follows another layer without an activation between")
                            .at(format_args!("layer `{name}`"))
                    })?;
                    self.activations.push(activation);
                }
                let mut layer = FoundLayer { name, inputs, weight, bias, norm: None };
                if self.layers.is_empty() && self.clip.is_none() && self.scale.iter().any(|scale| *scale <= 0.0) {
                    // A standardisation has positive factors.
                    let (factor, mean) = self.affine(inputs)?;
                    let add: Vec<f64> = mean.iter().zip(&factor).map(|(mean, factor)| -mean * factor).collect();
                    layer.fold_input(&factor, &add);
                    (self.mean, self.scale) = (Vec::new(), Vec::new());
                }
                self.layers.push(layer);
            }
            Step::Activate(activation) => {
                if self.layers.is_empty() || self.active.is_some() || self.end.is_some() || self.after.is_some() {
                    return Err(Fault::usage("an activation does not come right after a layer"));
                }
                self.active = Some(activation);
            }
            Step::LayerNorm(parts) => match self.layers.last_mut() {
                Some(last) if self.active.is_none() && last.norm.is_none() => last.norm = Some(parts),
                _ => return Err(Fault::usage("a LayerNormalization does not come right after a layer")),
            },
            Step::Beside => self.dense = true,
            Step::Sigmoid => return Err(Fault::usage("a Sigmoid is not a part of swish")),
            Step::Clip([low, high]) => self.clip(low, high)?,
            Step::Subtract(by) => self.scaled(&[1.0], &by.iter().map(|by| -by).collect::<Vec<f64>>())?,
            Step::Multiply(by) => self.scaled(&by, &[0.0])?,
            Step::Divide(by) => self.scaled(&by.iter().map(|by| 1.0 / by).collect::<Vec<f64>>(), &[0.0])?,
        }
        Ok(())
    }

    /// Factor and mean before the first layer, for so many coordinates.
    fn affine(&self, count: usize) -> Result<(Vec<f64>, Vec<f64>), Fault> {
        let fit = |numbers: &[f64], none: f64| {
            let numbers = if numbers.is_empty() { &[none] } else { numbers };
            spread(numbers, count)
                .ok_or_else(|| Fault::usage("the standardisation has another size than the observation"))
        };
        Ok((fit(&self.scale, 1.0)?, fit(&self.mean, 0.0)?))
    }

    /// x ↦ factor · x + add, wherever the chain has come to.
    fn scaled(&mut self, factor: &[f64], add: &[f64]) -> Result<(), Fault> {
        let odd = || Fault::usage("a factor or addend has another size than its layer");
        let count = factor.len().max(add.len());
        let Some(last) = self.layers.last_mut() else {
            if self.clip.is_some() {
                return Err(Fault::usage("a scaling follows the clip of the observation"));
            }
            let count = count.max(self.mean.len());
            let fit = |numbers: &[f64]| spread(numbers, count).ok_or_else(odd);
            let (factor, add) = (fit(factor)?, fit(add)?);
            let scale = if self.scale.is_empty() { vec![1.0; count] } else { fit(&self.scale)? };
            let mean = if self.mean.is_empty() { vec![0.0; count] } else { fit(&self.mean)? };
            // ((x − mean) scale) factor + add = (x − (mean − add / (scale factor))) scale factor.
            self.scale = scale.iter().zip(&factor).map(|(scale, factor)| scale * factor).collect();
            let shifted = mean
                .iter()
                .zip(&add)
                .zip(&self.scale)
                .map(|((mean, add), scale)| if *add == 0.0 { *mean } else { mean - add / scale });
            self.mean = shifted.collect();
            return Ok(());
        };
        let fit = |numbers: &[f64]| spread(numbers, last.outputs()).ok_or_else(odd);
        let (factor, add) = (fit(factor)?, fit(add)?);
        if self.active.is_none() && self.end.is_none() {
            if last.norm.is_some() {
                return Err(Fault::usage("a scaling follows a LayerNormalization"));
            }
            last.rescale(&factor, &add);
            return Ok(());
        }
        let [scale, shift] = self.after.take().unwrap_or_else(|| [vec![1.0; factor.len()], vec![0.0; factor.len()]]);
        let shift = shift.iter().zip(&factor).zip(&add).map(|((shift, factor), add)| shift * factor + add).collect();
        self.after = Some([scale.iter().zip(&factor).map(|(scale, factor)| scale * factor).collect(), shift]);
        Ok(())
    }

    fn clip(&mut self, low: Vec<f64>, high: Vec<f64>) -> Result<(), Fault> {
        let count = self.layers.last().map_or(low.len().max(high.len()), FoundLayer::outputs);
        let ends = spread(&low, count).zip(spread(&high, count));
        let (low, high) = ends.ok_or_else(|| Fault::usage("a clip has another size than its layer"))?;
        if self.layers.is_empty() {
            let limit = high.first().copied().unwrap_or(f64::INFINITY);
            if self.clip.is_some() || low.iter().any(|low| *low != -limit) || high.iter().any(|high| *high != limit) {
                return Err(Fault::usage("the observation's clip is not from −c to c for one c"));
            }
            self.clip = Some(limit);
            return Ok(());
        }
        if self.end.is_some() {
            return Err(Fault::usage("actions are clipped twice"));
        }
        // After tanh and scaling, a clip to the bounds changes nothing but rounding.
        if self.active.is_none() {
            self.end = Some([low, high]);
        }
        Ok(())
    }

    fn finish(self) -> Result<FoundNetwork, Fault> {
        let activation = match self.activations.first() {
            Some(first) if self.activations.iter().all(|other| other == first) => Told::ByFile(*first),
            Some(_) => {
                let all = &self.activations;
                return Err(Fault::usage(format!(
                    "its hidden layers have different activations, {all:?}; a policy file has one"
                )));
            }
            None => Told::Unknown,
        };
        let unit =
            |[low, high]: &[Vec<f64>; 2]| low.iter().all(|low| *low == -1.0) && high.iter().all(|high| *high == 1.0);
        let head = match (self.active, &self.end) {
            (Some(Activation::Tanh), _) => Some(PolicyHead::Tanh),
            (None, Some(ends)) if unit(ends) => Some(PolicyHead::Clamp),
            (None, _) => None,
            (Some(other), _) => {
                return Err(Fault::usage(format!(
                    "ends with {other:?}; actions end with tanh, a clip or a linear layer"
                )));
            }
        };
        let output = match (head, self.after.clone()) {
            (Some(head), Some([half_width, centre])) => Output::Scaled { head, centre, half_width },
            (Some(head), None) => Output::Unit(head),
            (None, None) => Output::Raw(self.end.clone()),
            (None, Some(_)) => return Err(Fault::usage("scales actions after a clip that is not from −1 to 1")),
        };
        let standardised = !self.scale.is_empty() || self.clip.is_some();
        let standardise = match standardised {
            false => None,
            true => {
                let (scale, mean) = self.affine(self.layers.first().map_or(0, |layer| layer.inputs))?;
                let clip = self.clip.unwrap_or(f64::INFINITY);
                Some(Standardisation { from: "the model".to_owned(), mean, scale, clip })
            }
        };
        Ok(FoundNetwork {
            source: String::new(),
            layers: self.layers,
            dense: self.dense,
            activation,
            output: Told::ByFile(output),
            standardise,
            origin: Origin::default(),
            notes: Vec::new(),
        })
    }
}
