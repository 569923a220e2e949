//! Perceptrons that cannot exceed a Lipschitz constant, whatever their parameters: a bound α by
//! construction, in the Euclidean norm.
//!
//! Each takes a flat buffer of free numbers to the weights of a plain perceptron (`Mlp`), which is
//! what acts and what certificates look at. √α is on the first and on the last weight, which keeps
//! activations at one scale. Activations have slopes in [0, 1], or are `max_min` where the table
//! permits it.
//!
//! | layers | weights | why at most α | `max_min` |
//! | --- | --- | --- | --- |
//! | `spectral` | W / max(1, ‖W‖₂) | product of norms | yes |
//! | `bjorck` | orthonormal by iteration | product of norms | yes |
//! | `cayley` | orthonormal by the Cayley transform | product of norms | yes |
//! | `aol` | W diag(Σⱼ\|WᵀW\|ᵢⱼ)^−½ | product of norms | yes |
//! | `sandwich` | √2 Ψₖ₊₁⁻¹ Bₖ₊₁ · √2 AₖᵀΨₖ | matrix inequality with multipliers Ψ² | no |
//! | `ldlt` | √2 W̃ₖ Fₖ₋₁ᵀ | matrix inequality with multiplier 1 | no |
//! | `sll` | h − 2WᵀT σ(Wh + b) between orthonormal maps, multiplied out | matrix inequality with multipliers 2T | no |
//! | `ldlt_residual` | the LDLᵀ chain beside a linear map Ax | matrix inequality with multiplier 1 | no |
//!
//! A product of norms needs an activation of constant 1, the matrix inequality one that acts unit by
//! unit with slopes in [0, 1]. A swap of two units has no such slopes.
//!
//! The last two are `Mlp::dense`: each layer sees the input and all hidden outputs.
//!
//! `certificate` checks the claim on the numbers as they are stored. Derivations:
//! docs/derivations/lipschitz_layers.md.

mod certificate;
pub mod matrices;
mod residual;

use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

pub use certificate::{dense_bound, lmi_bound};

use crate::{Autograd, NetsError, lipschitz};
use liprl_numerics::StreamRng;
use liprl_numerics::{Activation, Init, Mlp};

/// Share of α left to rounding: weights are computed in f64 and stored in f32.
const MARGIN: f64 = 1e-5;

/// The construction that keeps layers within their constant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layers {
    /// W / max(1, ‖W‖₂): the fastest.
    Spectral,
    /// Björck orthonormalisation.
    Bjorck,
    /// Orthonormal by the Cayley transform.
    Cayley,
    /// Almost orthogonal layers: cheap, loose.
    Aol,
    /// Sandwich layers (Wang & Manchester 2023): tight for any widths.
    #[default]
    Sandwich,
    /// Chains from the block LDLᵀ factors of the certificate.
    Ldlt,
    /// `ldlt` beside a linear map from input to output.
    LdltResidual,
    /// SDP-based residual layers (Araujo et al. 2023); hidden layers of one width.
    Sll,
}

impl Layers {
    fn dense(self) -> bool {
        matches!(self, Self::Sll | Self::LdltResidual)
    }

    /// True if every layer's norm is at most 1, which is the whole proof.
    fn product_of_norms(self) -> bool {
        matches!(self, Self::Spectral | Self::Bjorck | Self::Cayley | Self::Aol)
    }
}

/// A perceptron with a constant by construction.
#[derive(Clone, Debug)]
pub struct LipschitzMlp {
    layers: Layers,
    mlp: Mlp,
    alpha: f64,
}

/// The plain weights that free numbers stand for.
#[derive(Debug)]
pub struct Effective {
    /// Each layer's weight `[outputs, inputs]`, f64, with gradient.
    pub weights: Vec<Tensor>,
    /// Each layer's bias `[outputs]`.
    pub biases: Vec<Tensor>,
    /// Multipliers of the matrix inequality for each hidden layer `[outputs]`, constants; `None`
    /// where the product of norms is the proof.
    pub multipliers: Option<Vec<Tensor>>,
}

impl Effective {
    /// As `Mlp`'s flat parameters, `[len]`, f64.
    pub fn flat(&self) -> Result<Tensor, NetsError> {
        let parts = self.weights.iter().zip(&self.biases).flat_map(|(w, b)| [w.flatten(0, -1), b.shallow_clone()]);
        Ok(Tensor::f_cat(&parts.collect::<Vec<_>>(), 0)?)
    }
}

impl LipschitzMlp {
    /// The perceptron with these sizes and constant `alpha`.
    ///
    /// # Errors
    /// [`NumericsError::BadConfig`](liprl_numerics::NumericsError::BadConfig) for an activation with
    /// slopes outside [0, 1], max_min with layers whose proof does not hold for it or after an odd
    /// width, or an α that is not positive and finite.
    pub fn new(
        layers: Layers,
        inputs: usize,
        hidden: &[usize],
        outputs: usize,
        activation: Activation,
        alpha: f64,
    ) -> Result<Self, NetsError> {
        let bad = |setting: &str, problem| NetsError::bad_config(setting, problem);
        if activation == Activation::Swish {
            let problem = "swish has slopes from −0.1 to 1.1, a constant by construction needs [0, 1]; take relu, leaky_relu or tanh";
            return Err(bad("activation", problem.into()));
        }
        if let Activation::LeakyRelu(slope) = activation
            && !(0.0..=1.0).contains(&slope)
        {
            let problem = format!("leaky_relu has the slope {slope}, a constant by construction needs one in [0, 1]");
            return Err(bad("activation", problem));
        }
        if activation == Activation::MaxMin && !layers.product_of_norms() {
            let problem = "max_min swaps units, the proof of these layers needs slopes in [0, 1]; take layers spectral, bjorck, cayley or aol, or the activation relu, leaky_relu or tanh";
            return Err(bad("activation", problem.into()));
        }
        activation.check(hidden)?;
        if !(alpha > 0.0 && alpha.is_finite()) {
            return Err(bad("alpha", format!("{alpha} is not a Lipschitz constant; it has to be positive and finite")));
        }
        if layers.dense() && hidden.is_empty() {
            return Err(bad("hidden", "residual layers need at least one hidden layer".into()));
        }
        if layers == Layers::Sll && hidden.iter().any(|&size| size != hidden[0]) {
            return Err(bad("hidden", format!("sll layers are of one width, not {hidden:?}")));
        }
        let mlp = if layers.dense() {
            Mlp::dense(inputs, hidden, outputs, activation)
        } else {
            Mlp::new(inputs, hidden, outputs, activation, false, Init::Uniform)
        };
        Ok(Self { layers, mlp, alpha })
    }

    /// The plain perceptron that acts.
    pub fn mlp(&self) -> &Mlp {
        &self.mlp
    }

    /// The constant.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// The free numbers' shapes, layer by layer: matrix, bias, one number per unit (log Ψ of
    /// sandwiches, log q of `sll`), and a second matrix (the map into `sll`'s first layer, the
    /// linear map beside `ldlt_residual`'s last).
    fn shapes(&self) -> Vec<[Vec<i64>; 4]> {
        let (inputs, last) = (self.mlp.inputs() as i64, self.mlp.layers.len() - 1);
        let size = |k: usize| self.mlp.layers[k].outputs as i64;
        let shape = |k: usize| {
            let (before, outputs) = (if k == 0 { inputs } else { size(k - 1) }, size(k));
            let units = matches!(self.layers, Layers::Sandwich | Layers::Sll) && k < last;
            let matrix = match self.layers {
                Layers::Sandwich => vec![before + outputs, outputs],
                Layers::Sll if k < last => vec![outputs, outputs],
                _ => vec![outputs, before],
            };
            let second = match self.layers {
                Layers::Sll if k == 0 => vec![outputs, inputs],
                Layers::LdltResidual if k == last => vec![outputs, inputs],
                _ => vec![0, 0],
            };
            [matrix, vec![outputs], vec![if units { outputs } else { 0 }], second]
        };
        (0..=last).map(shape).collect()
    }

    /// Number of free numbers.
    #[allow(clippy::len_without_is_empty)] // a network without parameters does not exist
    pub fn len(&self) -> usize {
        self.shapes().iter().flatten().map(|shape| shape.iter().product::<i64>() as usize).sum()
    }

    /// First numbers `[len]`: matrices normal with deviation √(2/(rows + columns)) (Glorot), or
    /// 1/√columns for `ldlt`, whose W̃ shrinks small ones; biases and log Ψ zero.
    pub fn initialise(&self, numbers: &mut [f32], rng: &mut StreamRng) {
        numbers.fill(0.0);
        let mut start = 0;
        for shapes in self.shapes() {
            for shape in shapes {
                let count = shape.iter().product::<i64>() as usize;
                if let [rows, columns] = shape[..]
                    && count > 0
                {
                    let std = match self.layers {
                        Layers::Ldlt | Layers::LdltResidual => (1.0 / columns as f64).sqrt(),
                        _ => (2.0 / (rows + columns) as f64).sqrt(),
                    };
                    for number in &mut numbers[start..start + count] {
                        let draw: f64 = StandardNormal.sample(rng);
                        *number = (std * draw) as f32;
                    }
                }
                start += count;
            }
        }
    }

    /// The plain weights of the free numbers `raw [len]`, computed in f64 whatever their type, by
    /// autograd.
    pub fn effective(&self, raw: &Tensor) -> Result<Effective, NetsError> {
        let raw = raw.f_to_kind(Kind::Double)?;
        let (mut start, mut parts) = (0, Vec::new());
        for shapes in self.shapes() {
            let part = shapes.map(|shape| {
                let count: i64 = shape.iter().product();
                start += count;
                raw.narrow(0, start - count, count).view(shape.as_slice())
            });
            parts.push(part);
        }
        let matrices: Vec<&Tensor> = parts.iter().map(|[matrix, ..]| matrix).collect();
        let root = (self.alpha * (1.0 - MARGIN)).sqrt();
        let (mut weights, multipliers) = match self.layers {
            Layers::Sandwich => sandwich_chain(&parts)?,
            Layers::Ldlt => ldlt_chain(&matrices)?,
            Layers::LdltResidual => residual::ldlt(&parts)?,
            Layers::Sll => residual::sll(&parts)?,
            Layers::Spectral => (each(&matrices, matrices::spectral)?, None),
            Layers::Bjorck => (each(&matrices, matrices::bjorck)?, None),
            Layers::Cayley => (each(&matrices, matrices::semi_orthogonal)?, None),
            Layers::Aol => (each(&matrices, matrices::aol)?, None),
        };
        let last = weights.len() - 1;
        if self.layers.dense() {
            // Every layer sees the input, which is what is scaled.
            for w in &mut weights {
                let inputs = self.mlp.inputs() as i64;
                let (x, hidden) = (w.f_narrow(1, 0, inputs)?, w.f_narrow(1, inputs, w.size()[1] - inputs)?);
                *w = Tensor::f_cat(&[x * root, hidden], 1)?;
            }
        } else {
            weights[0] = &weights[0] * root;
        }
        weights[last] = &weights[last] * root;
        let alpha = root * root;
        let multipliers = multipliers.map(|all| all.into_iter().map(|t| t * alpha).collect());
        Ok(Effective { weights, biases: parts.into_iter().map(|[_, bias, ..]| bias).collect(), multipliers })
    }

    /// The autograd form: `raw [len]`, `x [B, inputs]` to `[B, outputs]`, in x's type.
    pub fn forward(&self, raw: &Tensor, x: &Tensor) -> Result<Tensor, NetsError> {
        let flat = self.effective(raw)?.flat()?.f_to_kind(x.kind())?;
        Ok(self.mlp.forward(&flat, x))
    }

    /// A proven constant of the perceptron with the plain f32 weights that `raw` gives, computed in
    /// f64: at most `alpha`, or the product of the norms where the proof by construction fails on
    /// the rounded numbers.
    pub fn certified(&self, raw: &Tensor) -> Result<f64, NetsError> {
        let effective = tch::no_grad(|| self.effective(raw))?;
        let stored = |t: &Tensor| t.f_to_kind(Kind::Float)?.f_to_kind(Kind::Double);
        let flat = stored(&effective.flat()?)?;
        let product = lipschitz::product_bound(&self.mlp, &flat)?;
        let Some(multipliers) = effective.multipliers else { return Ok(product) };
        let weights = effective.weights.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
        let bound = if self.layers.dense() {
            dense_bound(&weights, &multipliers, self.mlp.inputs() as i64)?
        } else {
            lmi_bound(&weights, &multipliers)?
        };
        Ok(bound.map_or(product, |bound| bound.min(product)))
    }
}

fn each(matrices: &[&Tensor], layer: impl Fn(&Tensor) -> Result<Tensor, NetsError>) -> Result<Vec<Tensor>, NetsError> {
    matrices.iter().map(|matrix| layer(matrix)).collect()
}

/// A layer's free numbers, as `LipschitzMlp::shapes` has them.
type Part = [Tensor; 4];

type Chain = (Vec<Tensor>, Option<Vec<Tensor>>);

/// Sandwich layers h ↦ √2 AᵀΨ σ(√2 Ψ⁻¹B h + b) multiplied together, the last one h ↦ B h + b;
/// multipliers Ψ².
fn sandwich_chain(parts: &[Part]) -> Result<Chain, NetsError> {
    let (mut weights, mut multipliers, mut carried) = (Vec::new(), Vec::new(), None::<Tensor>);
    for (k, [matrix, _, log_psi, _]) in parts.iter().enumerate() {
        let (a_t, b) = matrices::sandwich(matrix)?;
        let last = k + 1 == parts.len();
        let psi = log_psi.f_clamp(-20.0, 20.0)?.f_exp()?;
        let into = if last { b } else { b.f_div(&psi.f_unsqueeze(1)?)? * std::f64::consts::SQRT_2 };
        weights.push(match &carried {
            Some(carried) => into.f_matmul(carried)?,
            None => into,
        });
        if !last {
            carried = Some(a_t.f_mul(&psi.f_unsqueeze(0)?)? * std::f64::consts::SQRT_2);
            multipliers.push(psi.f_detach()?.f_square()?);
        }
    }
    Ok((weights, Some(multipliers)))
}

/// Cₖ = √2 W̃ₖ Fₖ₋₁ᵀ, the last without √2; multipliers 1.
fn ldlt_chain(matrices: &[&Tensor]) -> Result<Chain, NetsError> {
    let (mut weights, mut multipliers) = (Vec::new(), Vec::new());
    for (k, w) in matrices.iter().enumerate() {
        let mut weight = matrices::contraction(w)?;
        if k > 0 {
            weight = matrices::times_factor(&weight, matrices[k - 1])?;
        }
        if k + 1 < matrices.len() {
            weight = &weight * std::f64::consts::SQRT_2; // not in place: its own gradient needs it
            multipliers.push(Tensor::f_ones([w.size()[0]], (Kind::Double, w.device()))?);
        }
        weights.push(weight);
    }
    Ok((weights, Some(multipliers)))
}

#[cfg(test)]
mod tests;
