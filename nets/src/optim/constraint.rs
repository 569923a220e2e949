//! Limits on weight matrices, kept after each step (`WeightConstraint`).

use std::ops::Range;

use liprl_numerics::{Mlp, StateIo, StreamRng};
use tch::Device;

use super::{matrices::Matrix, muon::StepBound};
use crate::{Buffer, NetsError, WeightConstraint, lipschitz::SpectralNorm};

/// Rounds of power iteration after a step (arXiv 2507.13338).
const ROUNDS: usize = 16;
/// Rounds on the first weights.
const FIRST_ROUNDS: usize = 100;
/// Share of α left to rounding in f32.
const MARGIN: f64 = 1e-5;

/// The limit on the matrices of one or more networks.
#[derive(Debug)]
pub(super) struct Constraint {
    kind: WeightConstraint,
    matrices: Vec<Matrix>,
    /// α^(1/K) of each matrix.
    limits: Vec<f64>,
    /// Each network's place, with the singular vectors of kinds that iterate.
    norms: Vec<(Range<usize>, SpectralNorm)>,
}

impl Constraint {
    /// The limit for these networks; `params` are brought within it.
    pub(super) fn new(
        kind: WeightConstraint,
        mlps: &[Mlp],
        params: &mut Buffer,
        rng: &mut StreamRng,
    ) -> Result<Self, NetsError> {
        let limit = |mlp: &Mlp| match kind.alpha() {
            Some(alpha) => (alpha * (1.0 - MARGIN)).powf(1.0 / mlp.layers.len() as f64),
            None => f64::INFINITY,
        };
        if kind.alpha().is_some() && mlps.iter().any(|mlp| mlp.layer_norm || mlp.dense) {
            let problem = "takes networks without LayerNorm and without connections past layers";
            return Err(NetsError::bad_config("weight_constraint", problem));
        }
        let (mut norms, mut start) = (Vec::new(), 0);
        if matches!(kind, WeightConstraint::SpectralNormalise { .. } | WeightConstraint::Decay { .. }) {
            for mlp in mlps {
                let range = start..start + mlp.len();
                start = range.end;
                norms.push((range, SpectralNorm::new(mlp, 0..mlp.layers.len(), limit(mlp), rng)));
            }
        }
        let limits = mlps.iter().flat_map(|mlp| vec![limit(mlp); mlp.layers.len()]).collect();
        let matrices = Matrix::all(mlps, params.tensor().device())?;
        let mut constraint = Self { kind, matrices, limits, norms };
        constraint.enter(params)?;
        Ok(constraint)
    }

    /// Copy with a memory of its own.
    pub(super) fn copy(&self) -> Result<Self, NetsError> {
        let matrices = self.matrices.iter().map(Matrix::copy).collect::<Result<_, _>>()?;
        Ok(Self { kind: self.kind, matrices, limits: self.limits.clone(), norms: self.norms.clone() })
    }

    /// Brings new parameters within the limit.
    pub(super) fn enter(&mut self, params: &mut Buffer) -> Result<(), NetsError> {
        if self.kind.alpha().is_some() {
            self.clip(params)?;
        }
        on_cpu(params, |params| {
            for (range, norm) in &mut self.norms {
                (0..FIRST_ROUNDS).for_each(|_| norm.iterate(&params[range.clone()]));
            }
        })
    }

    /// Keeps the limit after step `steps`, of at most `bound` in each matrix.
    pub(super) fn keep(&mut self, params: &mut Buffer, steps: u64, bound: Option<StepBound>) -> Result<(), NetsError> {
        match self.kind {
            WeightConstraint::SvdClip { every, .. } if steps.is_multiple_of(every) => self.clip(params),
            WeightConstraint::SvdClip { .. } => Ok(()),
            WeightConstraint::SoftCap { .. } => {
                let Some(bound) = bound else { return self.clip(params) };
                for (matrix, limit) in self.matrices.iter_mut().zip(&self.limits) {
                    let most = limit * (1.0 - bound.decay) + bound.rate * matrix.scale();
                    let w = matrix.of(params.tensor())?;
                    matrix.soft_cap(&w, most, *limit)?;
                }
                Ok(())
            }
            kind @ (WeightConstraint::SpectralNormalise { .. } | WeightConstraint::Decay { .. }) => {
                on_cpu(params, |params| {
                    for (range, norm) in &mut self.norms {
                        let params = &mut params[range.clone()];
                        (0..ROUNDS).for_each(|_| norm.iterate(params));
                        match kind {
                            WeightConstraint::Decay { rate } => norm.decay(params, rate),
                            _ => norm.project(params),
                        }
                    }
                })
            }
        }
    }

    fn clip(&self, params: &Buffer) -> Result<(), NetsError> {
        for (matrix, limit) in self.matrices.iter().zip(&self.limits) {
            matrix.clip(&matrix.of(params.tensor())?, *limit)?;
        }
        Ok(())
    }

    /// Everything that changes besides the parameters.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), NetsError> {
        for (index, (_, norm)) in self.norms.iter_mut().enumerate() {
            norm.state(&mut io.scope(&format!("constraint/{index}")))?;
        }
        Ok(())
    }
}

/// Changes the parameters on the CPU, wherever they are.
fn on_cpu(params: &mut Buffer, change: impl FnOnce(&mut [f32])) -> Result<(), NetsError> {
    if params.tensor().device() == Device::Cpu {
        change(params.slice_mut());
        return Ok(());
    }
    let mut numbers = params.to_vec()?;
    change(&mut numbers);
    params.fill_from(&numbers)
}
