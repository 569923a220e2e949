//! Spectrally normalised critics: what is learnt is W, what is used is Ŵ = β W / σ(W) in every
//! layer (`lipschitz::SpectralNorm` has the equations).
//!
//! Power iteration follows each gradient step, one round by default, and every pass until the next
//! (targets, both losses, evaluation) uses the Ŵ it gives. The target critics average Ŵ, not W: a
//! mean of matrices of norm β has at most norm β, so that targets keep the bound without singular
//! vectors of their own; and since only W's direction matters, Adam makes W grow (each step is
//! orthogonal to it), so that an average of W would favour the later ones.
//!
//! By projection there is no Ŵ: each gradient step is followed by W ← W min(1, β / σ(W)), so layers
//! of a smaller norm are free.

use liprl_nets::{Buffer, Gradient, Weights, lipschitz::SpectralNorm, optim::TrainState};
use liprl_numerics::{Mlp, StateIo, StreamRng};
use tch::{Device, Tensor};

use super::{CriticSpectralNorm, SpectralForm};
use crate::AgentError;

/// Rounds of power iteration on the first weights, so that learning starts near norm β.
const FIRST_ROUNDS: usize = 100;

/// The singular vectors of all critics and the parameters in use.
#[derive(Debug)]
pub(crate) struct SpectralCritics {
    norms: Vec<SpectralNorm>,
    /// Rounds of power iteration after a gradient step.
    iterations: usize,
    form: SpectralForm,
    effective: Buffer,
}

impl SpectralCritics {
    /// Normalises every layer of these critics; the first vectors are drawn from `rng`.
    pub(crate) fn new(
        config: &CriticSpectralNorm,
        critics: &mut TrainState,
        rng: &mut StreamRng,
    ) -> Result<Self, AgentError> {
        let params = critics.params().tensor();
        let norm = |mlp: &Mlp| SpectralNorm::new(mlp, 0..mlp.layers.len(), config.scale, rng);
        let mut spectral = Self {
            norms: critics.mlps().iter().map(norm).collect(),
            iterations: config.iterations,
            form: config.form,
            effective: Buffer::zeros_on(&[params.numel()], params.device())?,
        };
        spectral.update(critics, FIRST_ROUNDS)?;
        Ok(spectral)
    }

    /// The parameters in use.
    pub(crate) fn params(&self) -> &Buffer {
        &self.effective
    }

    /// Views of each critic's parameters in use.
    pub(crate) fn weights(&self, mlps: &[Mlp]) -> Vec<Weights> {
        parts(mlps).map(|(mlp, start)| Weights::new(mlp, &self.effective, start)).collect()
    }

    /// The parameters in use by autograd over the learnt ones, any device: the specification of
    /// `refresh` and `pull_back`.
    pub(crate) fn forward(&self, mlps: &[Mlp], params: &Tensor) -> Result<Tensor, AgentError> {
        if self.form == SpectralForm::Project {
            return Ok(params.shallow_clone());
        }
        let each = parts(mlps)
            .zip(&self.norms)
            .map(|((mlp, start), norm)| norm.forward(&params.f_narrow(0, start as i64, mlp.len() as i64)?));
        Ok(Tensor::f_cat(&each.collect::<Result<Vec<_>, _>>()?, 0)?)
    }

    /// After a gradient step: power iteration, and the parameters in use brought up to date.
    pub(crate) fn refresh(&mut self, critics: &mut TrainState) -> Result<(), AgentError> {
        self.update(critics, self.iterations)
    }

    fn update(&mut self, critics: &mut TrainState, rounds: usize) -> Result<(), AgentError> {
        let (Self { norms, effective, form, .. }, (mlps, learnt)) = (self, critics.parts_mut());
        let mut limit = |learnt: &mut [f32], effective: &mut [f32]| {
            (0..rounds).for_each(|_| iterate(norms, mlps, learnt));
            match form {
                SpectralForm::Normalise => apply(norms, mlps, learnt, effective),
                SpectralForm::Project => {
                    project(norms, mlps, learnt);
                    effective.copy_from_slice(learnt);
                }
            }
        };
        if effective.tensor().device() == Device::Cpu {
            limit(learnt.slice_mut(), effective.slice_mut());
            return Ok(());
        }
        let (mut numbers, mut used) = (learnt.to_vec()?, effective.to_vec()?);
        limit(&mut numbers, &mut used);
        if *form == SpectralForm::Project {
            learnt.fill_from(&numbers)?;
        }
        Ok(effective.fill_from(&used)?)
    }

    /// Turns gradients with respect to the parameters in use into those with respect to the learnt
    /// ones, in place.
    pub(crate) fn pull_back(&self, mlps: &[Mlp], gradients: &mut [&mut Gradient]) {
        if self.form == SpectralForm::Project {
            return;
        }
        for gradient in gradients {
            for (index, ((mlp, start), norm)) in parts(mlps).zip(&self.norms).enumerate() {
                let effective = &self.effective.slice()[start..start + mlp.len()];
                norm.pull_back(effective, gradient.part_mut(index, mlp));
            }
        }
    }

    /// Everything that changes besides the learnt parameters; `critics` are loaded already.
    pub(crate) fn state(&mut self, critics: &mut TrainState, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        for (index, norm) in self.norms.iter_mut().enumerate() {
            norm.state(&mut io.scope(&format!("critic/spectral/{index}")))?;
        }
        if io.loading() { self.update(critics, 0) } else { Ok(()) }
    }
}

/// Each network with the offset of its parameters.
fn parts(mlps: &[Mlp]) -> impl Iterator<Item = (&Mlp, usize)> {
    mlps.iter().scan(0, |start, mlp| {
        *start += mlp.len();
        Some((mlp, *start - mlp.len()))
    })
}

fn iterate(norms: &mut [SpectralNorm], mlps: &[Mlp], params: &[f32]) {
    for ((mlp, start), norm) in parts(mlps).zip(norms) {
        norm.iterate(&params[start..start + mlp.len()]);
    }
}

fn apply(norms: &[SpectralNorm], mlps: &[Mlp], params: &[f32], effective: &mut [f32]) {
    for ((mlp, start), norm) in parts(mlps).zip(norms) {
        let range = start..start + mlp.len();
        norm.apply(&params[range.clone()], &mut effective[range]);
    }
}

fn project(norms: &mut [SpectralNorm], mlps: &[Mlp], params: &mut [f32]) {
    for ((mlp, start), norm) in parts(mlps).zip(norms) {
        norm.project(&mut params[start..start + mlp.len()]);
    }
}
