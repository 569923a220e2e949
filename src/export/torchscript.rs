//! A traced module for libtorch, `torch.jit.load` and C++.

use std::path::Path;

use liprl_control::{Policy, PolicyHead};
use liprl_numerics::{Activation, NORM_EPS, Streams};
use rand_distr::{Distribution, StandardNormal};
use tch::{CModule, TchError, Tensor};

use super::ExportError;
use super::parts::{LayerParts, Parts, Scaling, Standardise, narrow};

/// Observations on which a written file is compared with the policy.
const COMPARED: usize = 64;
/// Largest difference of two actions in `[-1, 1]` that rounding may explain. A wrong graph differs
/// by more.
const TOLERANCE: f64 = 1e-4;

/// Traces the parts into a module and saves it.
pub(super) fn write(parts: &Parts, path: &Path) -> Result<(), TchError> {
    tch::no_grad(|| {
        let module = Module::of(parts)?;
        let input = Tensor::f_zeros([2, parts.obs_dim as i64], (tch::Kind::Float, tch::Device::Cpu))?;
        let mut failed = None;
        let mut forward = |inputs: &[Tensor]| {
            let actions = inputs.iter().map(|obs| module.actions(parts, obs)).collect::<Result<Vec<_>, _>>();
            actions.unwrap_or_else(|error| {
                failed = Some(error);
                inputs.iter().map(Tensor::shallow_clone).collect()
            })
        };
        let traced = CModule::create_by_tracing("policy", "forward", &[input], &mut forward)?;
        failed.map_or_else(|| traced.save(path), Err)
    })
}

/// The parts' numbers as tensors. They are made before the trace, which would take their making for
/// a step of the policy and lose the numbers.
struct Module {
    /// The mean in two parts, and the scale.
    standardise: Option<[Tensor; 3]>,
    layers: Vec<TensorLayer>,
    /// Half width and centre.
    scaling: Option<[Tensor; 2]>,
}

struct TensorLayer {
    weight: Tensor,
    bias: Tensor,
    norm: Option<[Tensor; 2]>,
    /// For max_min: the place of each unit's partner, and true for the first of a pair.
    pairs: [Tensor; 2],
}

impl Module {
    fn of(parts: &Parts) -> Result<Self, TchError> {
        let row = |numbers: &[f32]| Tensor::f_from_slice(numbers);
        let standardise = |of: &Standardise| {
            let (mean, rest) = of.mean_in_two();
            Ok::<_, TchError>([row(&mean)?, row(&rest)?, row(&narrow(&of.scale))?])
        };
        let layer = |of: &LayerParts| {
            let norm = of.norm.as_ref().map(|[scale, shift]| Ok::<_, TchError>([row(scale)?, row(shift)?]));
            let weight = row(&of.weight)?.f_view(of.shape().map(|size| size as i64))?;
            let (partner, first): (Vec<i64>, Vec<bool>) =
                (0..of.bias.len() as i64).map(|i| (i ^ 1, i % 2 == 0)).unzip();
            let pairs = [Tensor::f_from_slice(&partner)?, Tensor::f_from_slice(&first)?];
            Ok(TensorLayer { weight, bias: row(&of.bias)?, norm: norm.transpose()?, pairs })
        };
        let scaling = |of: &Scaling| Ok::<_, TchError>([row(&narrow(&of.half_width))?, row(&narrow(&of.centre))?]);
        Ok(Self {
            standardise: parts.standardise.as_ref().map(standardise).transpose()?,
            layers: parts.layers.iter().map(layer).collect::<Result<_, TchError>>()?,
            scaling: parts.scaling.as_ref().map(scaling).transpose()?,
        })
    }

    /// The actions `[…, A]` at observations `[…, O]`.
    fn actions(&self, parts: &Parts, obs: &Tensor) -> Result<Tensor, TchError> {
        let mut x = obs.shallow_clone();
        if let (Some([mean, rest, scale]), Some(Standardise { clip, .. })) = (&self.standardise, &parts.standardise) {
            x = x.f_sub(mean)?.f_sub(rest)?.f_mul(scale)?;
            x = if clip.is_finite() { x.f_clamp(-clip, *clip)? } else { x };
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let z = layer.linear(&x)?;
            if i + 1 == self.layers.len() {
                x = z;
                continue;
            }
            let hidden = layer.activate(parts.activation, &z)?;
            x = if parts.dense { Tensor::f_cat(&[x, hidden], -1)? } else { hidden };
        }
        x = match parts.head {
            PolicyHead::Tanh => x.f_tanh()?,
            PolicyHead::Clamp => x.f_clamp(-1.0, 1.0)?,
        };
        match &self.scaling {
            Some([half_width, centre]) => x.f_mul(half_width)?.f_add(centre),
            None => Ok(x),
        }
    }
}

impl TensorLayer {
    /// The layer before its activation.
    fn linear(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let z = x.f_linear(&self.weight, Some(&self.bias))?;
        match &self.norm {
            Some([scale, shift]) => z.f_layer_norm(self.bias.size(), Some(scale), Some(shift), NORM_EPS, false),
            None => Ok(z),
        }
    }

    fn activate(&self, activation: Activation, z: &Tensor) -> Result<Tensor, TchError> {
        match activation {
            Activation::Relu => z.f_relu(),
            Activation::LeakyRelu(slope) => z.f_maximum(&z.f_mul_scalar(slope)?),
            Activation::Tanh => z.f_tanh(),
            Activation::Swish => z.f_silu(),
            Activation::Elu => z.f_elu(),
            Activation::MaxMin => {
                let [partner, first] = &self.pairs;
                let other = z.f_index_select(-1, partner)?;
                z.f_maximum(&other)?.f_where_self(first, &z.f_minimum(&other)?)
            }
        }
    }
}

/// Runs the file through libtorch, one observation at a time and all together, and compares its
/// actions with the policy's.
///
/// # Errors
/// [`ExportError::Differs`] if they are not the same up to rounding.
pub(super) fn check(parts: &Parts, policy: &Policy, path: &Path) -> Result<(), ExportError> {
    let module = CModule::load(path)?;
    let mut policy = policy.clone();
    let mut rng = Streams::new(0).rng("export");
    let mut obs = vec![0f32; COMPARED * parts.obs_dim];
    for row in obs.chunks_exact_mut(parts.obs_dim) {
        for (i, x) in row.iter_mut().enumerate() {
            let z: f64 = StandardNormal.sample(&mut rng);
            *x = parts.standardise.as_ref().map_or(z, |of| of.mean[i] + z / of.scale[i]) as f32;
        }
    }
    let sizes = [-1, parts.obs_dim as i64];
    let rows = tch::no_grad(|| module.forward_ts(&[Tensor::f_from_slice(&obs)?.f_view(sizes)?]))?;
    let mut wanted = vec![0f32; parts.act_dim];
    for (r, obs) in obs.chunks_exact(parts.obs_dim).enumerate() {
        policy.act(obs, &mut wanted)?;
        let alone = tch::no_grad(|| module.forward_ts(&[Tensor::f_from_slice(obs)?.f_view(sizes)?]))?;
        for (i, &wanted) in wanted.iter().enumerate() {
            for found in [rows.f_double_value(&[r as i64, i as i64])?, alone.f_double_value(&[0, i as i64])?] {
                let found = match &parts.scaling {
                    Some(Scaling { centre, half_width }) => (found - centre[i]) / half_width[i],
                    None => found,
                };
                let difference = (found - f64::from(wanted)).abs();
                if difference.is_nan() || difference > TOLERANCE {
                    return Err(ExportError::Differs { action: i, difference });
                }
            }
        }
    }
    Ok(())
}
